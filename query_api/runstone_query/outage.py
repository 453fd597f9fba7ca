"""When to ask again for something that is away and nobody knows for how long.

MLflow's client tries a request seven more times and waits before each for what ``Retry-After`` says, no
longer. With a constant second a database that is away for eight would fail every training. So the answer
grows with the outage: seven tries reach over about three minutes, and nobody waits for much longer than the
outage took.
"""

import math
import time
from collections.abc import Callable

from runstone_query.configuration import RETRY_AFTER_MAX_S


def patience(seconds: float, *, waited: bool = False) -> int:
    """Seconds after which to ask again for what has been away for *seconds*.

    *waited*: for most of them somebody was kept waiting; the next try need not be as far away then.
    """
    return min(RETRY_AFTER_MAX_S, max(1, math.ceil(seconds * (0.5 if waited else 1.5))))


class Outage:
    """Since when something does not answer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: float | None = None

    def goes_on(self) -> int:
        """It did not answer: seconds after which to ask again."""
        if self._since is None:
            self._since = self._now()
        return patience(self._now() - self._since)

    def over(self) -> None:
        """It answered."""
        self._since = None
