"""Where a tool under test delivers: what the watch asks of any destination."""
