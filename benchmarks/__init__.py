"""Benchmarks: each opens with its claim and method; none gates a change."""
