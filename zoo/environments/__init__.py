"""Simulated environments, gymnasium style."""
