-- Queries of both sides of a table, in SQL of all three engines. scan.py fills in {names}: {key} is
-- the key as an integer, {row} the row's canonical text.

-- name: bounds
-- Lowest and highest key, the number of rows, and of rows without a key.
SELECT min({key}), max({key}), count(*), count(*) - count({key}) FROM {table} WHERE {live}

-- name: source_bounds
-- The same of the source, whose key has an index and is never null. The rows are the planner's
-- estimate, and counted only if there is none.
SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table}),
       CASE WHEN sum(reltuples) > 0 THEN sum(greatest(reltuples, 0))::bigint
            ELSE (SELECT count(*) FROM {table}) END, 0
FROM pg_catalog.pg_class
WHERE oid = {name}::pg_catalog.regclass AND relkind <> 'p'
   OR oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({name}::pg_catalog.regclass)
              WHERE isleaf)

-- name: checksums
-- The number of rows of each range of keys, and the md5 of their md5s in the key's order.
SELECT part, count(*), md5({joined})
FROM (SELECT {number} AS part, {key} AS k, md5({row}) AS digest FROM {table}
      WHERE {live} AND {between} {fence}) rows_of_ranges
GROUP BY part ORDER BY part

-- name: checksums_by_index
-- The same by an index on the key: one range after the other, so that nothing is sorted.
SELECT (first - {low}) / {width} AS part, found.*
FROM generate_series({low}::bigint, {high}::bigint, {width}::bigint) AS first,
     LATERAL (SELECT count(*) AS rows, md5(string_agg(md5({row}), '' ORDER BY {key}))
              FROM {table}
              WHERE {key} BETWEEN first AND first + least({width} - 1, {high} - first)) AS found
WHERE found.rows > 0 ORDER BY part

-- name: hashes
-- The same between two Postgres, by the row hash of hash partitioning. It is hashed again:
-- otherwise the sum would not change if two rows exchanged a value. The seed is the hash of a
-- float's zero and of a numeric's NaN, and must not be 0, the hash of NULL.
SELECT {number}, count(*),
       sum(hashint8extended(hash_record_extended(ROW({values}), 4611686018427388039), 0))::text
FROM {table} WHERE {live} AND {between} GROUP BY 1

-- name: counts
-- The number of rows in each piece of a table.
SELECT {number}, count(*) FROM {table} WHERE {live} AND {between} GROUP BY 1

-- name: digests
-- Key and md5 of each row of a range.
SELECT {key}, md5({row}) FROM {table} WHERE {live} AND {between} ORDER BY 1

-- name: rows
-- Rows of the given keys: key, mark (the transaction that wrote it at the source), canonical texts.
SELECT {key}, {mark}, {texts} FROM {table} WHERE {live} AND {between} AND {key} IN ({keys})

-- name: rows_without_key
-- Some of the rows without a key.
SELECT {key}, {mark}, {texts} FROM {table} WHERE {live} AND {key} IS NULL LIMIT {limit}

-- name: estimated_rows
-- The planner's estimate of the source's rows, which are counted only if there is none.
SELECT CASE WHEN sum(reltuples) > 0 THEN sum(greatest(reltuples, 0))::bigint
            ELSE (SELECT count(*) FROM {table}) END
FROM pg_catalog.pg_class
WHERE oid = {name}::pg_catalog.regclass AND relkind <> 'p'
   OR oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({name}::pg_catalog.regclass)
              WHERE isleaf)

-- name: buckets
-- The number of rows of each bucket, the sum of their hashes, and the snapshot.
SELECT bucket, count(*), {sum}, {snapshot}
FROM (SELECT {bucket} AS bucket, {hash} AS digest FROM {table} WHERE {live} {fence}) rows_of_table
GROUP BY bucket

-- name: bucket_rows
-- The rows of some buckets, one bucket after the other: bucket, mark, canonical texts.
SELECT {bucket} AS bucket, {mark}, {texts} FROM {table} WHERE {live} {among} ORDER BY 1

-- name: bucket_counts
-- The same of a table without a key, equal rows as one: bucket, mark of the youngest, canonical
-- texts, md5, number.
SELECT bucket, CAST(max(mark) AS VARCHAR), {least_texts}, digest, count(*)
FROM (SELECT {bucket} AS bucket, md5({row}) AS digest, {written_by} AS mark, {named_texts}
      FROM {table} WHERE {live} {among} {fence}) rows_of_buckets
GROUP BY bucket, digest ORDER BY bucket

-- name: survivors
-- The number of the source's rows that were there already at a snapshot, and have not changed.
SELECT count(*) FROM {table}
WHERE pg_visible_in_snapshot(({written_by})::text::xid8, '{snapshot}'::pg_snapshot)
