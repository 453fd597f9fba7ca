"""Asking the server whether what was logged can be read already."""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

PAUSE_S: Final = 0.01
PAUSE_MOST_S: Final = 0.25
ANSWER_S: Final = 5.0
"""Seconds for one answer; a server that takes longer is asked again."""


def wait_until_queryable(uri: str, run_id: str, wanted: Mapping[str, int], deadline: float) -> bool:
    """Poll the run until every session in *wanted* has been applied up to its seq.

    Args:
        uri: the tracking URI.
        run_id: of the run.
        wanted: per session id the last seq that must be there, with nothing missing before it.
        deadline: by ``time.monotonic()``.

    Returns:
        Whether it was so before the deadline. An absent server is no error.
    """
    pause = PAUSE_S
    while True:
        left = deadline - time.monotonic()
        run = _ask(uri, f"/api/v1/runs/{run_id}", max(0.1, min(left, ANSWER_S)))
        if run is not None and _covers(run, wanted):
            return True
        if left <= 0:
            return False
        time.sleep(min(pause, max(0.0, left)))
        pause = min(pause * 1.5, PAUSE_MOST_S)


def _covers(run: Mapping[str, Any], wanted: Mapping[str, int]) -> bool:
    try:
        found = {said["session"]: said for said in run["completeness"]["sessions"]}
        return all(
            session in found
            and found[session]["last_seq"] >= last
            and not any(first <= last for first, _last in found[session]["missing"])
            for session, last in wanted.items()
        )
    except (KeyError, TypeError, ValueError):
        return False


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
