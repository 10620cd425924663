"""Prints the watch's messages on the terminal: each warning once, until its cause is gone."""

import sys
import threading

from loadgen.terminal import print_wrapped


class Notifier:
    """Prints messages, and warnings by topic. Threads may share it."""

    def __init__(self) -> None:
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def inform(self, message: str) -> None:
        """Print a message."""
        print_wrapped(message)

    def warn(self, topic: str, message: str) -> None:
        """Print a warning, unless there was one on the topic that is not resolved."""
        with self._lock:
            if topic in self._warned:
                return
            self._warned.add(topic)
        print_wrapped(f"loadgen: warning: {message}", sys.stderr)

    def resolve(self, topic: str) -> None:
        """Print the topic's next warning again."""
        with self._lock:
            self._warned.discard(topic)
