"""Decoding loops with static shapes."""
