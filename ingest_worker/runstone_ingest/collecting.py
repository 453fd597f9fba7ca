"""When Python looks for garbage that refers to itself: while nothing comes.

A batch is some hundred thousand objects that all live until it is written. Python's collector looks through
them again and again as they become more, for nothing: it takes two fifths of a busy worker's time. So it is
switched off, and asked to work when the worker is idle, or at last after a while.
"""

import gc
import time
from typing import Final

from runstone_ingest.batching import Gathering

AT_LEAST_EVERY: Final = 60.0
AT_MOST_EVERY: Final = 10.0
"""Seconds."""

_last = 0.0


def take_over() -> None:
    """Collect only when `collect_if_quiet` says so; what is there by now stays for good."""
    gc.disable()
    gc.collect()
    gc.freeze()


def collect_if_quiet(gathering: Gathering) -> None:
    """Collect if nothing gathers, or nothing was collected for long; to be called every now and then."""
    global _last  # noqa: PLW0603  # the collector is the process's
    since = time.monotonic() - _last
    if since > AT_LEAST_EVERY or (since > AT_MOST_EVERY and gathering.empty):
        gc.collect()
        _last = time.monotonic()
