"""`locust` starts here."""

from loadgen.load.locustfile import PostgresUser, listeners

__all__ = ["PostgresUser", "listeners"]
