"""Our own Postgres server."""
