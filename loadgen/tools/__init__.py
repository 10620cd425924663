"""Tools under test: tools.toml, landing conventions, readers of their copies, local runners."""
