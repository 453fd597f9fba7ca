"""What handlers work with, kept in the application under these keys."""

from typing import Any, Final

import orjson
from aiohttp import web

from runstone_query.configuration import Configuration
from runstone_query.end_offsets import EndOffsets
from runstone_query.mlflow.recent_histories import RecentHistories
from runstone_query.routing import Route
from runstone_query.snapshot import ReadModel

CONFIGURATION: Final = web.AppKey("configuration", Configuration)
MODEL: Final = web.AppKey("model", ReadModel)
END_OFFSETS: Final = web.AppKey("end_offsets", EndOffsets)
RECENT_HISTORIES: Final = web.AppKey("recent_histories", RecentHistories)
ROUTES_SERVED: Final = web.AppKey("routes_served", tuple[Route, ...])


def json(answer: Any) -> web.Response:
    """*answer* as JSON; numpy arrays included, which must be finite."""
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=body, content_type="application/json")
