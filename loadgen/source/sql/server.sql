-- What the embedded server is asked once it runs.

-- name: has_database
-- Whether the playground's database is there; the start that made the server may have been cut off.
SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %(name)s)
