"""Asks the read API what a write is checked against, and for verdicts on catalog requests.

Everything goes through the gateway's one pool of connections to the read API.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import orjson

from runstone_gateway.forwarding import Forwarding
from runstone_gateway.ledger import Needs
from runstone_gateway.mlflow.errors import INVALID, MlflowError
from runstone_gateway.unavailable import ReadApiAwayError

AT_LEAST: Final = "Runstone-At-Least"
"""The header that says which offsets an answer must have seen, as JSON (`ledger.Needs`)."""

TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
"""The read API itself waits at most 10 s for the read model to catch up."""

_REFUSED: Final = (400, 413)


class ReadApi:
    """The read API's internal routes."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding

    async def facts(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of ``POST /internal/v1/facts``. Raises what `get` raises."""
        status, found, retry = await self._ask("POST", "/internal/v1/facts", orjson.dumps(asked), {})
        if status != 200:
            raise _failed(status, found, retry)
        return found

    async def verdict(self, request: str, offset: int, needs: Needs) -> dict[str, Any] | None:
        """The answer of ``GET /internal/v1/verdicts/{request}``; None where there is none.

        The request lies at *offset* of the catalog.
        """
        return await self.get(f"/internal/v1/verdicts/{request}?offset={offset}", needs)

    async def get(self, path: str, needs: Needs) -> dict[str, Any] | None:
        """The JSON object at *path* once the read model has *needs*; None where it answers 404.

        Raises:
            ReadApiAwayError: it does not answer, or not in time.
            MlflowError: it refuses what is asked, which comes from the gateway's own caller.
        """
        headers = {AT_LEAST: orjson.dumps(needs).decode()}
        status, found, retry = await self._ask("GET", path, None, headers)
        if status == 404:
            return None
        if status != 200:
            raise _failed(status, found, retry)
        return found

    async def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any], str]:
        if body is not None:
            headers = headers | {"Content-Type": "application/json"}
        try:
            async with self._forwarding.request(method, path, body, headers, TIMEOUT) as answer:
                found = orjson.loads(await answer.read())
                self._forwarding.outage.over()
                return answer.status, found, answer.headers.get("Retry-After", "")
        except (TimeoutError, aiohttp.ClientError, ValueError) as away:
            raise ReadApiAwayError(
                f"the read API does not answer ({type(away).__name__})", self._forwarding.outage.goes_on()
            ) from away


def _failed(status: int, found: Mapping[str, Any], retry: str) -> Exception:
    why = str(found.get("detail") or found.get("message") or f"the read API answers {status}")
    if status in _REFUSED:
        return MlflowError(str(found.get("error_code") or INVALID), why, status=status)
    return ReadApiAwayError(why, int(retry) if retry.isdigit() else 1)
