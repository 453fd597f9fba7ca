"""The gateway's clock, as events carry it."""

import time


def now_ms() -> int:
    """Milliseconds UTC since 1970."""
    return int(time.time() * 1000)
