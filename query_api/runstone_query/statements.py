"""Puts statements together from the named blocks of ``.sql`` files.

A block may leave names open in braces, such as ``{schema}``. `fill` puts other blocks, placeholders and
checked identifiers there; nothing else may ever be passed to it, and a user's text least of all.
"""

import re
from collections.abc import Mapping
from typing import Final

from runstone_store import named_sql

_COMMENTS: Final = re.compile(r"\A(?:-- .*\n)+")
_OPEN: Final = re.compile(r"\{([a-z_]+)\}")


def pieces(beside: str, file: str) -> Mapping[str, str]:
    """The blocks of *file* without the comments above them, so that they fit into one another."""
    return {name: _COMMENTS.sub("", block) for name, block in named_sql.load(beside, file).items()}


def fill(block: str, **parts: str) -> str:
    """*block* with the names of *parts* filled in; other names stay open."""
    return _OPEN.sub(lambda name: parts.get(name[1], name[0]), block)
