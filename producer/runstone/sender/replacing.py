"""Small files that others read at any moment: written beside and renamed, so never seen in part."""

import os
from pathlib import Path
from typing import Any

import orjson


def replace_json(path: Path, found: Any) -> None:
    """Put *found* into *path* as JSON. Raises OSError where that is not possible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(orjson.dumps(found))
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in *path*; None where there is no file or something else in it."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None
