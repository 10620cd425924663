"""The account that the embedded server runs under, since Postgres refuses to run as root.

An ordinary user runs it as itself; root runs it as `nobody`, an account that every passwd has.
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from loadgen.errors import SourceError

# Without the caller's environment: no PG* variable, locale or library path changes what runs.
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LANG": "C"}


class ChildOptions(TypedDict, total=False):
    """The arguments that make subprocess start a child under an account."""

    user: int
    group: int
    extra_groups: list[int]
    env: dict[str, str]
    start_new_session: bool


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """The owner of the server's processes and data; `switch` if that is not the current user."""

    name: str
    uid: int
    gid: int
    switch: bool

    def own(self, path: Path) -> None:
        """Give `path` to the account."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def child_options(self) -> ChildOptions:
        """Return subprocess' options: our own environment, out of reach of the caller's Ctrl-C."""
        options = ChildOptions(env=dict(_ENVIRONMENT), start_new_session=True)
        if self.switch:
            # The passwd entry's own groups would need a look-up; an empty list drops root's.
            options |= ChildOptions(user=self.uid, group=self.gid, extra_groups=[])
        return options

    def run(
        self, command: Sequence[str | Path], cwd: Path, pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end under this account, output captured."""
        return subprocess.run(  # noqa: S603 - the command is built here, not given by a user
            command,
            cwd=cwd,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **self.child_options(),
        )


def server_account(user: str = "nobody") -> SystemAccount:
    """Return the account for servers that we start; `user` applies only to root."""
    if os.geteuid() != 0:
        return SystemAccount(str(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as exc:
        raise SourceError(
            f"root can't run Postgres, and there is no user {user!r} to run it as: "
            "run as an ordinary user, or set DATABASE_URL"
        ) from exc
    return SystemAccount(user, entry.pw_uid, entry.pw_gid, switch=True)
