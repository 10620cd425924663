"""Checks before a long run: facts are collected once, then judged."""
