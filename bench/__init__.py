"""Benchmarks: ratios against the best tool for the same work, from one run on one machine."""
