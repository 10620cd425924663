"""Tools that run on this machine."""
