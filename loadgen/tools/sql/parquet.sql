-- A copy in Parquet files, read by DuckDB. The reader fills in {names}.

-- name: copied
-- The rows of a table that has not changed since its first copy.
CREATE VIEW {view} AS SELECT * FROM read_parquet({files}, union_by_name = true)

-- name: changed
-- The newest version of each key by LSN and place in its transaction, unless that is a delete. Rows
-- of the first copy are older than every change.
CREATE VIEW {view} AS
SELECT * EXCLUDE (__op, __pos, __seq, __lsn, __age) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY {key} ORDER BY __lsn DESC NULLS LAST, __seq DESC NULLS LAST
    ) AS __age
    FROM (
        SELECT *, lpad(regexp_extract(__pos, '([0-9A-F]+)/([0-9A-F]+)', 1), 8, '0')
               || lpad(regexp_extract(__pos, '([0-9A-F]+)/([0-9A-F]+)', 2), 8, '0') AS __lsn
        FROM read_parquet({files}, union_by_name = true)
    )
) WHERE __age = 1 AND __op IS DISTINCT FROM 'delete'
