"""Conclusions from the run record."""
