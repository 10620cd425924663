"""`locust` starts here."""

from loadgen.users import PostgresUser  # isort: skip - first: it imports locust, which patches
from loadgen import listeners

__all__ = ["PostgresUser", "listeners"]
