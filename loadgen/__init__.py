"""SimplyLoad Playground: rate-controlled Postgres load, verification, freshness and cost."""

__version__ = "0.1.0"
