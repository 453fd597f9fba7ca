"""JSON of clients: read only as deep as anything nests that is meant, since Python cannot even print what
nests as deep as its stack.
"""

from typing import Any, Final

import orjson

DEPTH_MOST: Final = 100


def loads(text: str | bytes) -> Any:
    """What *text* holds.

    Raises:
        ValueError: no JSON, or arrays and objects more than `DEPTH_MOST` deep.
    """
    found = orjson.loads(text)
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(DEPTH_MOST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return found
    raise ValueError(f"nested deeper than {DEPTH_MOST} levels")
