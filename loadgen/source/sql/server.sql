-- Read from the embedded server after its start.

-- name: has_database
-- Whether the playground's database exists; an interrupted first start may have left the server without it.
SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %(name)s)
