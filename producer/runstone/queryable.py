"""Asking the server whether what was logged can be read already."""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from runstone.events.seq_ranges import Range, without

PAUSE_S: Final = 0.01
PAUSE_MOST_S: Final = 0.25
ANSWER_S: Final = 5.0
"""Seconds for one answer; a server that takes longer is asked again."""


def wait_until_queryable(uri: str, run_id: str, wanted: Mapping[str, int], deadline: float) -> bool:
    """Poll the run until of every session in *wanted* all has come up to its seq that ever will.

    Args:
        uri: the tracking URI.
        run_id: of the run.
        wanted: per session id the last seq that must be there, with nothing missing before it.
        deadline: by ``time.monotonic()``.

    Returns:
        Whether all of it has come. False where the deadline passes, and as soon as nothing is missing but
        what was declared lost (the spool had no room for it, say). An absent server is no error.
    """
    pause = PAUSE_S
    while True:
        left = deadline - time.monotonic()
        run = _ask(uri, f"/api/v1/runs/{run_id}", max(0.1, min(left, ANSWER_S)))
        if run is not None and not _lacks(run, wanted, declared=False):
            return not _lacks(run, wanted, declared=True)
        if left <= 0:
            return False
        time.sleep(min(pause, max(0.0, left)))
        pause = min(pause * 1.5, PAUSE_MOST_S)


def _lacks(run: Mapping[str, Any], wanted: Mapping[str, int], *, declared: bool) -> bool:
    """Whether something of what is *wanted* is not there; *declared*: what was declared lost included."""
    try:
        found = {said["session"]: said for said in run["completeness"]["sessions"]}
        return any(
            session not in found
            or found[session]["last_seq"] < last
            or any(first <= last for first, _end in _missing(found[session], declared=declared))
            for session, last in wanted.items()
        )
    except (KeyError, TypeError, ValueError):
        return True


def _missing(session: Mapping[str, Any], *, declared: bool) -> list[Range]:
    missing = [(first, last + 1) for first, last in session["missing"]]
    if declared:
        return missing
    return without(
        missing, ((lost["first_seq"], lost["first_seq"] + lost["count"]) for lost in session["declared"])
    )


def _ask(uri: str, path: str, timeout: float) -> Any:
    """The JSON at *path*; None where there is none (now)."""
    import http.client  # noqa: PLC0415  # importing runstone must stay cheap

    parts = urlsplit(uri)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path + path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        return orjson.loads(body) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
