-- Read and run by `loadgen db clean`.

-- name: running
-- Whether a load, a watch or a seeding works with this database: each holds a lock for as long.
SELECT NOT (pg_try_advisory_xact_lock(hashtext('loadgen load'))
            AND pg_try_advisory_xact_lock(hashtext('loadgen watch'))
            AND pg_try_advisory_xact_lock(hashtext('loadgen seed')))

-- name: slots
-- Those of the named slots that are there for this database, and who reads them.
SELECT slot_name::text AS slot, active_pid FROM pg_catalog.pg_replication_slots
WHERE database = current_database() AND slot_name = ANY (%(slots)s)
ORDER BY 1

-- name: schemas
-- The schemas of a name that hold nothing.
SELECT n.nspname::text FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY (%(schemas)s) AND n.nspname <> 'public'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid)
