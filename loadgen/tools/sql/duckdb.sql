-- Queries of a copy in DuckDB. The reader fills in {names}.

-- name: schemas
-- Schemas of this file that are not the engine's own.
SELECT DISTINCT schema_name FROM duckdb_schemas()
WHERE (NOT internal OR schema_name = 'main') AND database_name = current_database() ORDER BY 1

-- name: tables
-- Columns of a schema's tables and views in their order.
SELECT table_name, column_name, data_type FROM duckdb_columns()
WHERE schema_name = {schema} AND database_name = current_database()
ORDER BY table_name, column_index

-- name: newest_marker
-- The highest sequence of a run's markers.
SELECT max({sequence}) FROM {table} WHERE {run_id} = {run}
