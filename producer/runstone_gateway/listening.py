"""How the gateway listens: how long a request's line and headers may be, and JSON for what is no HTTP.

aiohttp answers what it cannot read in plain text, with a trace in the log, and leaves a handler waiting whose
body turns out to be cut wrongly. A program in front of the gateway reads JSON, whatever it sent.
"""

from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import _ErrInfo

from runstone_gateway.mlflow.errors import BAD_REQUEST
from runstone_gateway.problems import LOG, problem

LINE_MOST: Final = 65_536
"""Bytes of a request's line, and of a header, as many as MLflow's server takes: filters and lists of run ids
stand in addresses."""


class Runner(web.AppRunner):
    """Runs the gateway's application; bodies come as they are, to be stored or passed on so."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=3,
            auto_decompress=False,
            max_line_size=LINE_MOST,
            max_field_size=LINE_MOST,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        settings = made._kwargs  # noqa: SLF001  # no public way leads to a protocol of one's own
        return _Server(made.request_handler, request_factory=made.request_factory, **settings)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        reading = self._current_request
        if reading is None or not self._messages or not isinstance(self._messages[-1][0], _ErrInfo):
            return
        if not reading.content.is_eof():  # the body that a handler reads goes on in a way that is none
            self._messages.clear()
            reading.content.set_exception(web.RequestPayloadError("the body is not as its headers say"))
            reading.content.feed_eof()
            self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            wrong = (
                f"the request's line or a header has more than {LINE_MOST} bytes; ask for less at once, or "
                "send long filters and lists in the body of a POST"
            )
        else:
            wrong = f"this is no HTTP request: {' '.join(exc.message.split())[:300]}"
        LOG.info("what came from %s is answered with %d: %s", request.remote, status, wrong)
        members: dict[str, Any] = {"error_code": BAD_REQUEST, "message": wrong}  # for MLflow's clients
        answer = problem(status, "Bad Request", wrong, **members)
        answer.force_close()
        return answer
