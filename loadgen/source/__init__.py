"""The source database: its connections, schema, contents, observation and grants."""
