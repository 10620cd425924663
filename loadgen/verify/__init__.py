"""Compares every row and column of a copy with the source, and judges the differences."""
