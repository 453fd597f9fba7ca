"""What the client says to a person: single lines on stderr, each thing once a process.

Not by ``logging``: a training script that configures no logging must see them, one that does must not have
them among its own records, and importing ``logging`` costs more than the rest of the client.
"""

import sys
from typing import Final

_said: Final[set[str]] = set()


def say(line: str) -> None:
    """Write ``runstone: line`` to stderr; where that is closed or full, nothing happens."""
    if sys.stderr is None:  # print would take stdout, which is the program's own
        return
    try:
        print(f"runstone: {line}", file=sys.stderr, flush=True)
    except (
        OSError,
        ValueError,
        AttributeError,
        RuntimeError,
    ):  # the last from a handler that interrupted print
        pass


def warn_once(topic: str, line: str) -> None:
    """Write a warning, unless one about *topic* was written in this process before."""
    if topic not in _said:
        _said.add(topic)
        say(f"warning: {line}")
