-- What an administrator runs once in Snowflake before a study, and once after it. {names} are filled
-- in by snowflake_setup.py. Written by Snowflake's reference; never run on a Snowflake account.

-- name: account
-- What the study as a whole needs: a limit on credits, our own warehouse, role and user.
USE ROLE ACCOUNTADMIN;

CREATE RESOURCE MONITOR IF NOT EXISTS {monitor} WITH CREDIT_QUOTA = {credits}
  FREQUENCY = NEVER START_TIMESTAMP = IMMEDIATELY
  TRIGGERS ON 80 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND;

CREATE WAREHOUSE IF NOT EXISTS {probe} WAREHOUSE_SIZE = XSMALL GENERATION = '{generation}'
  AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE
  ENABLE_QUERY_ACCELERATION = FALSE RESOURCE_MONITOR = {monitor};
CREATE ROLE IF NOT EXISTS {reader};
GRANT ROLE {reader} TO ROLE SYSADMIN;
GRANT USAGE ON WAREHOUSE {probe} TO ROLE {reader};
GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE {reader};
GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE {reader};
GRANT DATABASE ROLE SNOWFLAKE.OBJECT_VIEWER TO ROLE {reader};
GRANT DATABASE ROLE SNOWFLAKE.ORGANIZATION_BILLING_VIEWER TO ROLE {reader};
GRANT MONITOR USAGE ON ACCOUNT TO ROLE {reader};
CREATE USER IF NOT EXISTS {reader_user} TYPE = SERVICE DEFAULT_ROLE = {reader}
  DEFAULT_WAREHOUSE = {probe} RSA_PUBLIC_KEY = '<public key of SNOWFLAKE_PRIVATE_KEY_PATH>';
GRANT ROLE {reader} TO USER {reader_user};

-- name: tool
-- What one tool gets: all of its own, and all like the others', so that bills can be compared.
CREATE WAREHOUSE IF NOT EXISTS {warehouse} WAREHOUSE_SIZE = XSMALL GENERATION = '{generation}'
  AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE
  ENABLE_QUERY_ACCELERATION = FALSE RESOURCE_MONITOR = {monitor};
CREATE DATABASE IF NOT EXISTS {database} DATA_RETENTION_TIME_IN_DAYS = 1;
CREATE ROLE IF NOT EXISTS {role};
GRANT ROLE {role} TO ROLE SYSADMIN;
GRANT USAGE, OPERATE, MONITOR ON WAREHOUSE {warehouse} TO ROLE {role};
GRANT ALL PRIVILEGES ON DATABASE {database} TO ROLE {role};
GRANT ALL PRIVILEGES ON ALL SCHEMAS IN DATABASE {database} TO ROLE {role};
CREATE USER IF NOT EXISTS {user} TYPE = SERVICE DEFAULT_ROLE = {role}
  DEFAULT_WAREHOUSE = {warehouse} DEFAULT_NAMESPACE = {database}
  RSA_PUBLIC_KEY = '<public key that the tool shows or is given>';
ALTER USER {user} SET QUERY_TAG = {tag};
GRANT ROLE {role} TO USER {user};
GRANT MONITOR ON WAREHOUSE {warehouse} TO ROLE {reader};
GRANT USAGE ON DATABASE {database} TO ROLE {reader};
GRANT USAGE ON ALL SCHEMAS IN DATABASE {database} TO ROLE {reader};
GRANT USAGE ON FUTURE SCHEMAS IN DATABASE {database} TO ROLE {reader};
GRANT SELECT ON ALL TABLES IN DATABASE {database} TO ROLE {reader};
GRANT SELECT ON FUTURE TABLES IN DATABASE {database} TO ROLE {reader};

-- name: without_tool
-- The tool's reverse; the database goes with its rows.
DROP USER IF EXISTS {user};
DROP DATABASE IF EXISTS {database};
DROP WAREHOUSE IF EXISTS {warehouse};
DROP ROLE IF EXISTS {role};

-- name: without_account
-- The reverse of what the study as a whole needed.
DROP USER IF EXISTS {reader_user};
DROP WAREHOUSE IF EXISTS {probe};
DROP ROLE IF EXISTS {reader};
DROP RESOURCE MONITOR IF EXISTS {monitor};
