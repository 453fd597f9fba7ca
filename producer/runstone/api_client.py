"""Asks a Runstone's read API, over HTTP from the standard library.

For commands that a person waits for: one connection per question, a deadline, and errors in one sentence.
"""

import http.client
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from runstone.exceptions import (
    ConflictError,
    InvalidInputError,
    NoSuchExperimentError,
    NoSuchRunError,
    ServerError,
)

TIMEOUT_S: Final = 60
"""For connecting, and between two pieces of an answer; a large search takes seconds."""

_EXPERIMENTS: Final = "/api/v1/experiments"
_DONE: Final = (200, 202)


class ReadApi:
    """The read API behind the tracking URI *uri* (http or https, with or without a path)."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")

    def search_runs(self, **asked: Any) -> dict[str, Any]:
        """A page of runs: ``{"runs", "next_page_token"}``; *asked* is the body of ``/api/v1/runs/search``."""
        return self._ask("POST", "/api/v1/runs/search", asked)

    def run(self, run_id: str) -> dict[str, Any]:
        """One run. Raises `NoSuchRunError` where there is none."""
        return self._ask("GET", f"/api/v1/runs/{quote(run_id, safe='')}")

    def full_id(self, text: str) -> str:
        """The id of the one run whose id begins with *text*; *text* where no run's does.

        Raises:
            NoSuchRunError: several do.
        """
        if not text.isalnum() or len(text) >= 32:
            return text
        runs = self.search_runs(filter=f"run_id LIKE '{text}%'", view="all", limit=2)["runs"]
        if len(runs) > 1:
            if text in {run["run_id"] for run in runs}:
                return text
            raise NoSuchRunError(f"several runs' ids begin with {text!r}; type more of it")
        return str(runs[0]["run_id"]) if runs else text

    def compare(self, run_ids: list[str]) -> dict[str, Any]:
        """Runs side by side: ``{"runs", "params": {"differ", "agree"}, "metrics"}``."""
        return self._ask("POST", "/api/v1/runs/compare", {"run_ids": run_ids})

    def experiments(self, **asked: Any) -> dict[str, Any]:
        """A page of experiments: ``{"experiments", "next_page_token"}``; *asked* is the route's query."""
        return self._ask("GET", f"{_EXPERIMENTS}?{urlencode(asked)}")

    def experiment(self, experiment_id: int) -> dict[str, Any]:
        """One experiment. Raises `NoSuchExperimentError` where there is none."""
        return self._ask("GET", f"{_EXPERIMENTS}/{experiment_id}")

    def artifacts(self, run_id: str, path: str = "") -> list[dict[str, Any]]:
        """The pointers of all files of a run at or below *path*, by path.

        ``url`` is where the content can be fetched.
        """
        asked = urlencode({"recursive": "true", "path": path} if path else {"recursive": "true"})
        found = self._ask("GET", f"/api/v1/runs/{quote(run_id, safe='')}/artifacts?{asked}")
        return [{**pointer, "url": self._uri + pointer["content_url"]} for pointer in found["artifacts"]]

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, server, answer = self._exchange(method, path, body)
        try:
            found = orjson.loads(answer)
        except orjson.JSONDecodeError:
            found = None
        if type(found) is not dict or not server.startswith("runstone/"):
            raise ServerError(
                f"{self._uri} answers, but it is not a Runstone server ({path} gives {status}); "
                "RUNSTONE_TRACKING_URI names the server to ask"
            )
        if status in _DONE:
            return found
        detail = str(found.get("detail", f"{path} gives {status}"))
        if str(found.get("type")).endswith("no-such-route"):
            raise ServerError(
                f"the Runstone at {self._uri} does not serve {path.partition('?')[0]}; expected one of this "
                "version, and RUNSTONE_TRACKING_URI without anything behind host and port, unless a proxy "
                "wants it"
            )
        if status == 404:
            raise (NoSuchExperimentError if path.startswith(_EXPERIMENTS) else NoSuchRunError)(detail)
        if status == 400:
            raise InvalidInputError(detail)
        if status == 409:
            raise ConflictError(detail)
        raise ServerError(f"{self._uri} cannot answer now: {detail}")

    def _exchange(self, method: str, path: str, body: object) -> tuple[int, str, bytes]:
        """Status, the Server header and the body of the answer."""
        parts = urlsplit(self._uri)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        headers = {"Accept": "application/json"}
        content = None if body is None else orjson.dumps(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, parts.path + path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Server") or "", answer.read()
        except (OSError, UnicodeError, http.client.HTTPException) as away:  # a host's name that is none
            reason = getattr(away, "strerror", None) or str(away) or type(away).__name__
            raise ServerError(
                f"no Runstone answers at {self._uri} ({reason}); start one with 'runstone up', or name one "
                "with RUNSTONE_TRACKING_URI"
            ) from None
        finally:
            connection.close()
