"""Abstract bases that three or more methods share."""
