"""Connections to Postgres inside gevent's loop, its wire format, requests in batches, the timer."""
