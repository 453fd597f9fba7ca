"""What a reader is asked for, checked. Pure."""

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runstone.events import limits
from runstone.exceptions import InvalidInputError
from runstone.ledger import position

Moment = datetime | int | str
"""A datetime (without a zone: local time), milliseconds UTC, an ISO 8601 text, or an age such as ``90m``."""

_AGE: Final = re.compile(r"(\d{1,6})\s*([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events: at most one of ``run_id`` and ``experiment``; times are the broker's, in ms.

    Attributes:
        run_id: a stream; empty for all. experiment: a name, an id, or None for all.
        since, until: the first time that is asked for, and the first that is no more; None: no bound.
        start: a position to go on from, by partition; empty: none.
        follow: whether to wait for what is yet to come.
    """

    run_id: str = ""
    experiment: str | int | None = None
    since: int | None = None
    until: int | None = None
    start: dict[int, int] = field(default_factory=dict)
    follow: bool = False


def choose(
    run_id: str | None,
    experiment: str | int | None,
    since: Moment | None,
    until: Moment | None,
    start: str | None,
    follow: bool,
) -> Choice:
    """The choice that a caller's arguments describe.

    Raises:
        InvalidInputError: they contradict each other, or one is of no use.
    """
    if run_id is not None and experiment is not None:
        raise InvalidInputError("run_id and experiment are both given; expected at most one of them")
    if since is not None and start is not None:
        raise InvalidInputError("since and a position are both given; expected at most one of them")
    if run_id == "" or experiment == "":
        raise InvalidInputError("run_id or experiment is empty; expected an id or a name, or nothing at all")
    return Choice(
        run_id or "",
        experiment,
        None if since is None else moment(since),
        None if until is None else moment(until),
        {} if start is None else position.from_text(start),
        follow,
    )


def moment(asked: Moment) -> int:
    """Milliseconds UTC.

    Raises:
        InvalidInputError: it is no time between the years 1970 and 9999.
    """
    found: float | None = None
    if isinstance(asked, datetime):
        found = asked.timestamp() * 1000
    elif isinstance(asked, str):
        if age := _AGE.fullmatch(asked.strip()):
            found = (time.time() - int(age[1]) * _SECONDS[age[2]]) * 1000
        else:
            try:
                found = datetime.fromisoformat(asked.strip()).timestamp() * 1000
            except (ValueError, OverflowError):
                found = None
    elif isinstance(asked, int) and not isinstance(asked, bool):
        found = asked
    if found is None or not 0 <= found <= limits.TIME_MAX:
        raise InvalidInputError(
            f"{asked!r} is no time; expected a datetime, milliseconds UTC, a text such as "
            "2026-11-24T03:00:00+00:00, or an age such as 90m, 24h or 7d"
        )
    return int(found)
