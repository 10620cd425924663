"""`make bench`: every benchmark in turn, most against the best tool for the same work."""

import subprocess
import sys

RUNS: tuple[tuple[str, ...], ...] = (
    ("bench.seed",),
    ("bench.load",),
    ("bench.tpcb",),
    ("bench.overload",),
    ("bench.rate",),
    ("bench.verify",),
    ("bench.metrics",),
)


def main() -> int:
    """Run them all; stop at the first that fails."""
    for module, *arguments in RUNS:
        print(f"\n$ python -m {' '.join((module, *arguments))}", flush=True)
        done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
