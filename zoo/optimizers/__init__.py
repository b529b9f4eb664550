"""Optimizers and groups of optimizers."""
