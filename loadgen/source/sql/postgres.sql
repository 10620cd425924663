-- What every session starts with.

-- name: session
-- Tables are looked for in public whatever the role's own search_path says; times are in UTC.
SELECT set_config('search_path', 'public', false), set_config('TimeZone', 'UTC', false)
