"""Runners of the local tools under test: `runner` in tools.toml names one."""
