-- The runner simplyload at the destination, DuckDB or Snowflake; the runner fills in {names}.
-- Staged columns are texts, {values} casts them.

-- name: write_parquet
-- Writes a batch, which is a variable of Python, as a file.
COPY (SELECT {columns} FROM batch) TO {file} (FORMAT parquet)

-- name: make_state_schema
-- Makes the schema of our own table.
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: make_state
-- Makes the table of the position, which has one row.
CREATE TABLE IF NOT EXISTS {schema}."position" (content VARCHAR)

-- name: position
-- The position, as JSON; no row before the first copy is complete.
SELECT content FROM {schema}."position"

-- name: forget_position
-- Removes the position.
DELETE FROM {schema}."position"

-- name: store_position
-- Stores a position.
INSERT INTO {schema}."position" VALUES ({content})

-- name: make_stage
-- Makes Snowflake's own stage for files, where there is none over the bucket.
CREATE STAGE IF NOT EXISTS {schema}.FILES

-- name: put
-- Uploads a file to Snowflake's own stage.
PUT {file} {stage} AUTO_COMPRESS = FALSE OVERWRITE = TRUE

-- name: make_staging
-- Makes a staging table of texts, in place of one that a killed process left.
CREATE OR REPLACE TRANSIENT TABLE {table} ({columns})

-- name: copy_into
-- Loads a file into its staging table, also one whose name was used before.
COPY INTO {table} FROM {location} FILE_FORMAT = (TYPE = PARQUET)
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE PURGE = {purge}

-- name: drop_table
-- Removes a table.
DROP TABLE IF EXISTS {table}

-- name: drop_state_schema
-- Removes the position, and the stage.
DROP SCHEMA IF EXISTS {schema} CASCADE

-- name: insert_rows
-- Adds the rows of a first copy.
INSERT INTO {table} ({columns}, {deleted}, {loaded_at})
SELECT {values}, FALSE, CURRENT_TIMESTAMP FROM {staged} s

-- name: mark_all
-- TRUNCATE of a table with a key.
UPDATE {table} SET {deleted} = TRUE, {loaded_at} = CURRENT_TIMESTAMP WHERE NOT {deleted}

-- name: delete_all
-- TRUNCATE of a table without a key.
DELETE FROM {table}

-- name: merge
-- Merges folded changes; unchanged values come from the row of the copy that a change started from.
MERGE INTO {table} t USING (
    SELECT {columns_as_they_will_be},
           s.{is_deleted} = 't' AS {deleted}, CURRENT_TIMESTAMP AS {loaded_at}
    FROM {staged} s LEFT JOIN {table} o ON {is_origin}
    WHERE NOT (s.{is_deleted} = 't' AND o.{first_key} IS NULL AND CONTAINS(s.{unchanged}, '1'))
) r ON {same_key}
WHEN MATCHED THEN UPDATE SET {sets}{deleted} = r.{deleted}, {loaded_at} = r.{loaded_at}
WHEN NOT MATCHED THEN INSERT ({columns}, {deleted}, {loaded_at})
    VALUES ({merged}, r.{deleted}, r.{loaded_at})

-- name: fill_columns
-- Fills added columns of existing rows.
UPDATE {table} AS t SET {sets} FROM {staged} s WHERE {same_key}

-- name: remove_copies
-- Removes copies of equal rows: they are numbered from 1 without gaps, and the last ones go.
DELETE FROM {table} AS t USING (
    SELECT s.{staged_row} AS digest, c.present + CAST(s.{copies} AS BIGINT) AS remaining
    FROM {staged} s JOIN (
        SELECT {row} AS digest, COUNT(*) AS present FROM {table}
        WHERE {row} IN (SELECT {staged_row} FROM {staged}) GROUP BY {row}
    ) c ON c.digest = s.{staged_row}
    WHERE CAST(s.{copies} AS BIGINT) < 0
) d WHERE t.{row} = d.digest AND t.{copy_number} > d.remaining

-- name: add_copies
-- Adds copies of equal rows with the next numbers.
INSERT INTO {table} ({columns}, {row}, {copy_number}, {loaded_at})
SELECT {values}, s.{staged_row}, COALESCE(c.present, 0)
       + ROW_NUMBER() OVER (PARTITION BY s.{staged_row} ORDER BY s.{staged_row}), CURRENT_TIMESTAMP
FROM {staged} s LEFT JOIN (
    SELECT {row} AS digest, COUNT(*) AS present FROM {table}
    WHERE {row} IN (SELECT {staged_row} FROM {staged}) GROUP BY {row}
) c ON c.digest = s.{staged_row}
WHERE CAST(s.{copies} AS BIGINT) > 0
