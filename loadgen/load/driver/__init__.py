"""Connections to Postgres, its wire format, requests in batches, and the timer of the hot path."""
