-- Snowflake's own views over a period. Plain SELECTs with explicit casts; binds are the
-- connector's. Run against fakesnow's server with tables of these columns, through the real
-- connector; never against a Snowflake account.

-- name: session
-- Checks that Snowflake lets us in; needs no warehouse.
SELECT 1

-- name: metered_hours
-- Credits of each warehouse and clock hour.
SELECT UPPER(warehouse_name), start_time,
       CAST(credits_used_compute AS NUMBER(38, 9)),
       CAST(credits_used_cloud_services AS NUMBER(38, 9)),
       CAST(credits_attributed_compute_queries AS NUMBER(38, 9))
FROM snowflake.account_usage.warehouse_metering_history
WHERE start_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)
  AND UPPER(warehouse_name) IN (%(warehouses)s)
ORDER BY 1, 2

-- name: metered_days
-- Credits of the whole account by UTC day and service, with the adjustment that the 10 % rule gives.
SELECT usage_date, service_type,
       CAST(credits_used_compute AS NUMBER(38, 9)),
       CAST(credits_used_cloud_services AS NUMBER(38, 9)),
       CAST(credits_adjustment_cloud_services AS NUMBER(38, 9))
FROM snowflake.account_usage.metering_daily_history
WHERE usage_date >= CAST(%(since)s AS DATE) AND usage_date <= CAST(%(until)s AS DATE)
ORDER BY 1, 2

-- name: statements
-- Statements of a warehouse, with their user and the warehouse's size at that time.
SELECT UPPER(warehouse_name), start_time, end_time, user_name, role_name, query_tag, warehouse_size
FROM snowflake.account_usage.query_history
WHERE end_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)
  AND UPPER(warehouse_name) IN (%(warehouses)s) AND warehouse_size IS NOT NULL
ORDER BY 1, 2

-- name: attributed_credits
-- Credits of statements, without idle time, by user and query tag.
SELECT UPPER(warehouse_name), user_name, query_tag,
       CAST(credits_attributed_compute AS NUMBER(38, 9))
FROM snowflake.account_usage.query_attribution_history
WHERE start_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)
  AND UPPER(warehouse_name) IN (%(warehouses)s)

-- name: serverless
-- Credits without a warehouse, by database: pipes, streaming and the like. Some have no database:
-- clients of Snowpipe Streaming, Openflow, container services.
SELECT COALESCE(UPPER(database_name), ''), service_type, start_time,
       CAST(credits_used AS NUMBER(38, 9)), name
FROM snowflake.account_usage.metering_history
WHERE start_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)
  AND (COALESCE(database_name, '') = '' OR UPPER(database_name) IN (%(databases)s))
  AND service_type NOT IN ('WAREHOUSE_METERING', 'WAREHOUSE_METERING_READER', 'QUERY_ACCELERATION')
ORDER BY 1, 2, 3

-- name: acceleration
-- Credits of query acceleration, which is billed beside its warehouse and under its name.
SELECT UPPER(name), service_type, start_time, CAST(credits_used AS NUMBER(38, 9)), name
FROM snowflake.account_usage.metering_history
WHERE start_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)
  AND UPPER(name) IN (%(warehouses)s) AND service_type = 'QUERY_ACCELERATION'
ORDER BY 1, 2, 3

-- name: storage
-- Bytes of each database by UTC day: live and Time Travel together, Fail-safe.
SELECT UPPER(database_name), usage_date, CAST(average_database_bytes AS NUMBER(38, 3)),
       CAST(average_failsafe_bytes AS NUMBER(38, 3))
FROM snowflake.account_usage.database_storage_usage_history
WHERE usage_date >= CAST(%(since)s AS DATE) AND usage_date <= CAST(%(until)s AS DATE)
  AND UPPER(database_name) IN (%(databases)s)
ORDER BY 1, 2

-- name: table_sizes
-- Current rows and bytes of each database's tables.
SELECT UPPER(table_catalog), CAST(row_count AS NUMBER(38, 0)), CAST(bytes AS NUMBER(38, 0))
FROM snowflake.account_usage.tables
WHERE deleted IS NULL AND UPPER(table_catalog) IN (%(databases)s)

-- name: transfers
-- Bytes that left the account; Snowflake does not show the database.
SELECT source_cloud, source_region, target_cloud, target_region,
       CAST(bytes_transferred AS NUMBER(38, 0))
FROM snowflake.account_usage.data_transfer_history
WHERE start_time >= CAST(%(since)s AS TIMESTAMP_LTZ) AND start_time < CAST(%(until)s AS TIMESTAMP_LTZ)

-- name: rates
-- The contract's prices of a credit and of a terabyte, by day.
SELECT date, service_type, currency, CAST(effective_rate AS NUMBER(38, 9))
FROM snowflake.organization_usage.rate_sheet_daily
WHERE date >= CAST(%(since)s AS DATE) AND date <= CAST(%(until)s AS DATE)
  AND (UPPER(account_name) IN (%(accounts)s) OR UPPER(account_locator) IN (%(accounts)s))
  AND service_type IN ('WAREHOUSE_METERING', 'STORAGE') AND billing_type = 'consumption'
  AND is_adjustment = FALSE AND usage_type NOT LIKE 'overage-%%'
ORDER BY 1, 2
