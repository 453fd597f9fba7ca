"""Artifact pointers of a run: what lies where, as a listing of folders and files."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "artifacts.sql")

Entry = dict[str, Any]


async def pointer(snapshot: Snapshot, run_id: str, path: str) -> Mapping[str, Any] | None:
    """The pointer of the file at *path*: path, uri, size, sha256, media_type, time."""
    return await snapshot.row(_BLOCKS["pointer"], run_id, path)


async def listing(snapshot: Snapshot, run_id: str, path: str, *, recursive: bool) -> list[Entry]:
    """What lies at *path*: a file's own entry, or the entries of a folder (of the run itself where empty).

    Folders come first, then files, each by name; *recursive* lists every file below and no folders.
    """
    if path and (row := await pointer(snapshot, run_id, path)) is not None:
        return [_file(run_id, row["path"], row)]
    folder = f"{path}/" if path else ""
    if recursive:
        rows = await snapshot.rows(_BLOCKS["all_below"], run_id, folder)
        return [_file(run_id, row["path"], row) for row in rows]
    rows = await snapshot.rows(_BLOCKS["children"], run_id, folder)
    return [
        _folder(folder + row["name"], row) if row["folder"] else _file(run_id, folder + row["name"], row)
        for row in rows
    ]


def _folder(path: str, row: Mapping[str, Any]) -> Entry:
    return {"path": path, "is_dir": True, "files": row["files"], "size": row["size"], "time": row["time"]}


def _file(run_id: str, path: str, row: Mapping[str, Any]) -> Entry:
    content = f"/api/v1/runs/{quote(run_id, safe='')}/artifacts/content?path={quote(path, safe='/')}"
    return {
        "path": path,
        "is_dir": False,
        "size": row["size"],
        "time": row["time"],
        "uri": row["uri"],
        "sha256": row["sha256"],
        "media_type": row["media_type"],
        "content_url": content,
    }
