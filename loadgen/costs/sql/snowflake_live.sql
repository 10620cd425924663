-- What only a real account can answer: fakesnow has no table functions of INFORMATION_SCHEMA, and
-- knows one made-up warehouse. Never run: tests put recorded answers in their place.

-- name: warehouses
-- Each warehouse that our role may see: size, generation, AUTO_SUSPEND.
SHOW WAREHOUSES

-- name: live_hours
-- Credits of a warehouse by clock hour, minutes old; without the part that statements used.
SELECT UPPER(warehouse_name), start_time,
       CAST(credits_used_compute AS NUMBER(38, 9)),
       CAST(credits_used_cloud_services AS NUMBER(38, 9)),
       CAST(NULL AS NUMBER(38, 9))
FROM TABLE(snowflake.information_schema.warehouse_metering_history(
  DATE_RANGE_START => CAST(%(since)s AS TIMESTAMP_LTZ),
  DATE_RANGE_END => CAST(%(until)s AS TIMESTAMP_LTZ),
  WAREHOUSE_NAME => %(warehouse)s))
ORDER BY 1, 2

-- name: live_statements
-- Statements that a warehouse ran, as soon as they end; at most 10,000.
SELECT UPPER(warehouse_name), start_time, end_time, user_name, role_name, query_tag, warehouse_size
FROM TABLE(snowflake.information_schema.query_history_by_warehouse(
  WAREHOUSE_NAME => %(warehouse)s,
  END_TIME_RANGE_START => CAST(%(since)s AS TIMESTAMP_LTZ),
  END_TIME_RANGE_END => CAST(%(until)s AS TIMESTAMP_LTZ),
  RESULT_LIMIT => 10000))
WHERE warehouse_size IS NOT NULL
ORDER BY 1, 2
