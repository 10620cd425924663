"""The source database: where it is, how it is started, what is in it."""
