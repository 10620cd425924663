"""The locustfile of the package: `locust -f "$(loadgen locustfile)"`."""

from loadgen.load.user import PostgresUser  # isort: skip - first: it imports locust, which patches
from loadgen.load import listeners

__all__ = ["PostgresUser", "listeners"]
