"""moto's server with a fixed clock: `moto_at.py 2026-11-20T10:00:00+00:00 -p PORT`.

moto stamps each resource with its time of creation, and has no option to set that time.
"""

import datetime as dt
import sys
from types import SimpleNamespace

from moto.core import utils
from moto.server import main

AT = dt.datetime.fromisoformat(sys.argv.pop(1))


class FixedDatetime(dt.datetime):
    """A datetime whose now is always AT."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "FixedDatetime":
        """Return AT."""
        return cls.fromtimestamp(AT.timestamp(), tz)


utils.datetime = SimpleNamespace(**{**vars(dt), "datetime": FixedDatetime})
main()
