-- Queries of a copy in Snowflake. The reader fills in {names}. Run against
-- fakesnow through the real connector, not against a Snowflake account.

-- name: schemas
-- Schemas of the database.
SELECT schema_name FROM {database}.information_schema.schemata
WHERE schema_name <> 'INFORMATION_SCHEMA' ORDER BY 1

-- name: tables
-- Columns of a schema's tables in their order, decimals with precision and scale.
SELECT table_name, column_name,
       CASE WHEN data_type = 'NUMBER'
            THEN 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'
            ELSE data_type END
FROM {database}.information_schema.columns
WHERE table_schema = {schema} ORDER BY table_name, ordinal_position

-- name: newest_marker
-- The highest sequence of a run's markers.
SELECT MAX({sequence}) FROM {table} WHERE {run_id} = {run}

-- name: clock
-- Snowflake's time, in UTC and without a zone.
SELECT SYSDATE()
