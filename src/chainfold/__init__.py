"""Placeholder until the registry is wired."""
