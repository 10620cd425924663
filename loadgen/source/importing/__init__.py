"""Reads the catalogue and statistics of a live Postgres, which may be production."""
