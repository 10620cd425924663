"""Runners of the local tools under test: what tools.toml calls `runner` runs on this machine."""
