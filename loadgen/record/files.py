"""Files are written whole or not at all, and logs by whole lines.

Processes that share a file take turns by `lock_within`. The calls that write block, also under
gevent, so that no other greenlet sees a half-written file.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loadgen.errors import RecordError

LONE = "backslashreplace"  # writes lone surrogates, which UTF-8 does not have, as JSON does
PRIVATE_UMASK = 0o077  # files of all our processes are their user's alone
_BLOCK = 4096  # bytes read at a time when looking back for the last line break
_LOCK_POLL_SECONDS = 0.05


def append_lines(path: Path, header: str, lines: str) -> None:
    """Append whole lines in one write call, after `header` if the file is new.

    A torn last line, of a killed process, is cut off first. If the disk is full, so are the lines
    that were written in part: the file always ends with a whole line.
    """
    with naming(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            end = _whole_length(descriptor)
            content = (lines if end else header + lines).encode()
            try:
                _write_all(descriptor, content)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)


def replace_file(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Replace the file's content atomically; if `synced`, it survives a power cut too."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            temporary.replace(path)
            if synced:
                _sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def lock_within(descriptor: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock an open file (flock); return False if another process holds it for all that time.

    It polls, so that Ctrl-C works and other greenlets run meanwhile.
    """
    deadline = time.monotonic() + seconds
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return True


def _sync_folder(folder: Path) -> None:
    """Let a replaced file survive a power cut, on systems where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an operating system's error about `path` into one that names it and says what to do."""
    try:
        yield
    except FileExistsError as exc:
        raise RecordError(f"{path} is there already: a run's folder is never used twice") from exc
    except OSError as exc:
        why = exc.strerror or exc
        raise RecordError(f"can't write {path}: {why}; free the space or set REPORTS_DIR") from exc


def _write_all(descriptor: int, content: bytes) -> None:
    written = os.write(descriptor, content)
    while written < len(content):  # a disk that is almost full takes a part, then says why
        written += os.write(descriptor, content[written:])


def _whole_length(descriptor: int) -> int:
    """Return the file's length up to its last line break, cutting off what follows."""
    end = size = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _BLOCK)
        cut = os.pread(descriptor, end - start, start).rfind(b"\n") + 1
        end = start + cut
        if cut:
            break
    if end < size:
        os.ftruncate(descriptor, end)
    return end
