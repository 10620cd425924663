"""`locust` starts here."""

from loadgen.load.user import PostgresUser  # isort: skip - first: it imports locust, which patches
from loadgen.load import listeners

__all__ = ["PostgresUser", "listeners"]
