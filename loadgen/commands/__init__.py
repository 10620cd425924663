"""One module a command of `loadgen`; each has add_parser(subparsers) and run(args) -> int."""
