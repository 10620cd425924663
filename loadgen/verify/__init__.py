"""Reconciliation: whether every row of the source is at a destination, and right."""
