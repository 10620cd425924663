"""Lets `python -m loadgen` run the `loadgen` command."""

import sys

from loadgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
