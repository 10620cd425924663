"""Costs of a run and of a month: rate cards, estimates, and figures from Snowflake and AWS."""
