"""The values of rows and writes, from a seed."""
