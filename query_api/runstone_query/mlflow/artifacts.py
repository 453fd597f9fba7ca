"""``artifacts/list``: the files and folders in a folder of a run, from the pointers that were published."""

from operator import itemgetter
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from runstone.events.artifact_paths import check_artifact_path
from runstone.exceptions import InvalidInputError
from runstone_query import artifacts
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import invalid, no_run
from runstone_query.mlflow.run_language import filled
from runstone_query.reading import read_for_gateway
from runstone_query.snapshot import Snapshot
from runstone_query.statements import pieces

_BLOCKS: Final = {name: filled(block) for name, block in pieces(__file__, "artifacts.sql").items()}


async def list_artifacts(request: web.Request) -> web.Response:
    """What lies in a folder of a run; nothing where it is none."""
    fields = await asked(request)
    run_id = fields.run_id()
    path = _checked(fields.text("path"))

    async def listing(snapshot: Snapshot) -> dict[str, Any]:
        root = await snapshot.row(_BLOCKS["root"], run_id)
        if root is None:
            raise no_run(run_id)
        entries = await artifacts.listing(snapshot, run_id, path, recursive=False)
        within = sorted((entry for entry in entries if entry["path"] != path), key=itemgetter("path"))
        files = [_file(entry) for entry in within]
        return {"root_uri": root["artifact_uri"], **({"files": files} if files else {})}

    return answer(await read_for_gateway(request, listing))


def _checked(path: str) -> str:
    """A path that stays within its run however often it is decoded."""
    path = path.rstrip("/")
    decoded = path
    while decoded:
        try:
            check_artifact_path(decoded)
        except InvalidInputError:
            raise invalid("Invalid path") from None
        if (further := unquote(decoded)) == decoded:
            break
        decoded = further
    return path


def _file(entry: dict[str, Any]) -> dict[str, Any]:
    found = {"path": entry["path"], "is_dir": entry["is_dir"]}
    return found if entry["is_dir"] else found | {"file_size": entry["size"]}


ENDPOINTS: Final = (Endpoint("GET", "artifacts/list", list_artifacts),)
