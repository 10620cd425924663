"""What the watch says in the terminal: each thing once, until it is over. Usable by any thread."""

import sys
import threading


class Notices:
    """A topic that has been warned of is quiet until it is `over`."""

    def __init__(self) -> None:
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def warn(self, topic: str, text: str) -> None:
        """Warn, unless the topic has been warned of."""
        with self._lock:
            if topic in self._warned:
                return
            self._warned.add(topic)
        print(f"loadgen: warning: {text}", file=sys.stderr, flush=True)

    def over(self, topic: str) -> None:
        """Warn again the next time."""
        with self._lock:
            self._warned.discard(topic)
