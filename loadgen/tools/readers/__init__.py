"""Readers of a tool's copy, one for each kind of destination."""
