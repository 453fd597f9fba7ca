"""``GET /api/v1/connect``: what a sender must know to publish, and remembers for when it is offline."""

import orjson
from aiohttp import web

from runstone.events import VERSION
from runstone.exceptions import ServerError
from runstone_gateway.configuration import Configuration
from runstone_gateway.installation import Installation
from runstone_gateway.problems import problem


class Connect:
    """The route; it needs nothing but the installation's facts and the configuration."""

    def __init__(self, configuration: Configuration, installation: Installation) -> None:
        self._configuration = configuration
        self._installation = installation

    async def get(self, request: web.Request) -> web.Response:
        """The connection facts as JSON; 503 while the installation is not known yet."""
        try:
            facts = await self._installation.facts()
        except ServerError as wrong:
            return problem(503, "The installation is not ready", str(wrong))
        found = {
            "installation_id": facts.installation_id,
            "bootstrap_servers": self._configuration.advertised_servers.split(","),
            "topics": facts.topics,
            "partitions": facts.partitions,
            "artifact_root": self._configuration.artifact_root.as_uri(),
            "event_versions": [VERSION],
            "web_url": self._configuration.web_url or f"{request.scheme}://{request.host}",
        }
        return web.Response(body=orjson.dumps(found), content_type="application/json")
