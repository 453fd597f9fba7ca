"""Passes a request on to the read API and its answer back, body by body, nothing rewritten."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from runstone_gateway.outage import Outage
from runstone_gateway.problems import problem

HOP_BY_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade", "host", "server", "date")
)  # fmt: skip
"""Headers that concern one connection (RFC 9110, 7.6.1), and those that this server sets itself."""

BLOCK: Final = 256 * 1024
"""Bytes passed on at once."""


class Forwarding:
    """Runs in the gateway's loop; one connection pool to the read API, made at start, closed at stop.

    Attributes:
        outage: of the read API, as those notice who ask it.
    """

    def __init__(self, api_url: str) -> None:
        self.outage = Outage()
        self._api_url = api_url
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_json(self, path: str) -> tuple[int, dict[str, object]]:
        """Status and JSON object of a GET of the gateway's own; raises aiohttp's errors where it fails."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=5)
        async with self._session.get(self._api_url + path, timeout=timeout) as answer:
            return answer.status, await answer.json(content_type=None)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request of the gateway's own; raises aiohttp's errors where it fails."""
        assert self._session is not None
        target = URL(self._api_url + path, encoded=True)
        return self._session.request(method, target, data=body, headers=headers, timeout=timeout)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """The read API's answer to *request*, streamed; 503 where it does not answer."""
        if request.path.startswith("/internal/"):
            return problem(404, "Not found", "what lies under /internal is not for clients")
        try:
            return await self.pass_on(request, {})
        except (TimeoutError, aiohttp.ClientConnectionError) as away:
            return problem(
                503,
                "The read API does not answer",
                f"{type(away).__name__} while asking the read API; what is logged is kept, reads work again "
                "when it is back. Try again in a moment.",
            )

    async def pass_on(self, request: web.Request, added: Mapping[str, str]) -> web.StreamResponse:
        """The same with the headers *added*, in place of what the client sent under these names.

        Raises:
            TimeoutError, aiohttp.ClientConnectionError: the read API does not answer.
            web.RequestPayloadError: the body is broken.
            ConnectionError: the caller hung up, or the answer was cut off.
        """
        assert self._session is not None
        without = HOP_BY_HOP | {name.lower() for name in added}
        # the path as it came: decoding and encoding again would turn %2F in a metric's key into a slash
        target = URL(self._api_url + asked_for(request), encoded=True)
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in without]
        headers += added.items()
        body = request.content if request.body_exists else None
        try:
            async with self._session.request(
                request.method, target, headers=headers, data=body, allow_redirects=False
            ) as answer:
                self.outage.over()
                return await _pass_back(request, answer)
        except (TimeoutError, aiohttp.ClientConnectionError) as away:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the caller hung up") from away
            if isinstance(broken := request.content.exception(), web.RequestPayloadError):
                raise broken from away
            raise


def asked_for(request: web.Request) -> str:
    """Path and query of *request* as they came, also where a proxy's whole address came."""
    raw = request.raw_path
    return raw if raw.startswith("/") else URL(raw, encoded=True).raw_path_qs


async def _pass_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in HOP_BY_HOP:
            response.headers.add(name, value)
    await response.prepare(request)
    try:
        async for block in answer.content.iter_chunked(BLOCK):
            await response.write(block)
    except (
        TimeoutError,
        aiohttp.ClientError,
    ) as cut:
        # a part is sent: only hanging up says that it is not all
        raise ConnectionResetError("the read API's answer was cut off") from cut
    await response.write_eof()
    return response
