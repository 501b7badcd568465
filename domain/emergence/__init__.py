"""Emergence: when work has become real, by rules that are data."""
