"""Snowflake: credits of the tools' warehouses, their storage, and the account's other costs."""
