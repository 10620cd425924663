"""What Snowflake measured and billed."""
