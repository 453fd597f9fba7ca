"""SQL in named blocks: every statement lies in a ``.sql`` file beside the module that runs it.

A block is a line ``-- name: NAME``, a comment line that says what the statement answers, and the
statement. `load` reads a file once, at import, and fails there if the file is not of that form.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse(text: str, where: str = "the text") -> Mapping[str, str]:
    """The statements of *text* by name, comments included, so that a server's log shows what they are for.

    Raises:
        ValueError: a name occurs twice, or a block lacks its comment line or its statement.
    """
    _, *parts = _NAME.split(text)
    blocks: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        statement = body.strip()
        comment, _, rest = statement.partition("\n")
        if name in blocks:
            raise ValueError(f"{where}: the block {name!r} occurs twice; rename one")
        if not comment.startswith("-- ") or not rest.strip():
            raise ValueError(f"{where}: the block {name!r} needs a comment line and a statement below it")
        blocks[name] = statement
    return MappingProxyType(blocks)


def load(beside: str, file: str) -> Mapping[str, str]:
    """The statements of *file*, which lies beside the module *beside* (its ``__file__``)."""
    path = Path(beside).with_name(file)
    return parse(path.read_text(encoding="utf-8"), str(path))
