-- Limits that would stop a load. Reads only; Postgres 14 to 18.

-- name: connections
-- How many connections the role, the database and the server allow this session's role, and how
-- many others hold now. -1 is no limit; limits of a role and a database do not bind a superuser.
WITH others AS (
    SELECT usesysid, datid, backend_type FROM pg_catalog.pg_stat_activity
    WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()
      AND coalesce(backend_type, '') NOT IN ('parallel worker', 'background worker')
)
SELECT r.rolname::text AS role,
       CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END AS of_role,
       (SELECT count(*) FROM others WHERE usesysid = r.oid) AS role_used,
       d.datname::text AS database,
       CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END AS of_db,
       (SELECT count(*) FROM others WHERE datid = d.oid) AS db_used,
       current_setting('max_connections')::integer
           - CASE WHEN r.rolsuper THEN 0
                  ELSE current_setting('superuser_reserved_connections')::integer
                  + CASE WHEN coalesce(pg_has_role(session_user,
                                  to_regrole('pg_use_reserved_connections')::oid, 'USAGE'), false)
                         THEN 0
                         ELSE coalesce(current_setting('reserved_connections', true)::integer, 0)
                    END
             END AS of_server,
       (SELECT count(*) FROM others WHERE backend_type IS DISTINCT FROM 'walsender') AS server_used
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_database d ON d.datname = current_database()
WHERE r.rolname = session_user

-- name: standby
-- Whether a commit of this session waits for standbys: their setting, how many of them stream and
-- count, and how many are hidden from this role.
SELECT current_setting('synchronous_standby_names') AS names,
       current_setting('synchronous_commit') AS commits,
       count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')) AS counting,
       count(*) FILTER (WHERE sync_state IS NULL) AS hidden
FROM pg_catalog.pg_stat_replication
