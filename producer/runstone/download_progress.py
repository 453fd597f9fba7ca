"""How far a download has come, on a terminal: one line that is written over, from the second second on."""

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

from runstone.run_tables import size

FIRST_S: Final = 1.0
AGAIN_S: Final = 0.5


class DownloadProgress:
    """Threads tell `arrived`; nothing is written where standard error is no terminal."""

    def __init__(self, whole: int) -> None:
        """*whole*: the bytes that are expected."""
        self._whole = whole
        self._came = 0
        self._lock = threading.Lock()
        self._next = time.monotonic() + FIRST_S
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def arrived(self, count: int) -> None:
        """So many bytes came; less than none where they have to come again."""
        with self._lock:
            self._came += count
            now = time.monotonic()
            if now < self._next or not sys.stderr.isatty():
                return
            self._next = now + AGAIN_S
            self._shown = True
            line = f"\r{size(self._came)} of {size(self._whole)}\x1b[K"
            print(line, end="", file=sys.stderr, flush=True)
