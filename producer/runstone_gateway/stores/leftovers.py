"""Files that were on their way into a folder when whoever wrote them was killed: removed a day later.

A thread of its own looks through the store once, when the gateway starts. Other gateways and senders write
into the same folder: a file that one of them is still writing was changed less than a day ago.
"""

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Final

from runstone.events.artifact_roots import ArtifactRoot

TEMPORARY: Final = re.compile(r"\.[0-9a-f]{32}\.part|\.[0-9]{8,}-[0-9a-f]{8}\.[0-9]+\.part")
"""How gateways and senders name a file on its way."""

KEPT_S: Final = 86_400
"""Seconds after the last change during which a file may still be somebody's."""

LOG: Final = logging.getLogger("runstone.gateway")


class Leftovers:
    """Used on the gateway's loop."""

    def __init__(self, root: ArtifactRoot) -> None:
        self._root = root
        self._stopping = threading.Event()
        self._work: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begin to look; a bucket has no such files."""
        if isinstance(self._root, Path):
            loop = asyncio.get_running_loop()
            self._work = loop.run_in_executor(None, self._look_through, self._root)

    async def stop(self) -> None:
        """Stop after the folder that is being looked at."""
        self._stopping.set()
        if self._work is not None:
            await self._work

    def _look_through(self, root: Path) -> None:
        try:
            removed = remove(root, time.time() - KEPT_S, self._stopping)
        except FileNotFoundError:
            pass  # nothing was ever stored
        except OSError as wrong:
            LOG.warning("the artifact folder was not searched for files of killed uploads: %s", wrong)
        else:
            if removed:
                LOG.info("%d files of killed uploads were removed from the artifact folder", removed)


def remove(root: Path, changed_before: float, stopping: threading.Event) -> int:
    """Remove what was last changed before that time, in seconds since 1970; the number of files."""
    removed = 0
    for _, _, names, folder in os.fwalk(root):
        if stopping.is_set():
            break
        for name in filter(TEMPORARY.fullmatch, names):
            with contextlib.suppress(OSError):  # somebody else has removed it, or it is not ours to remove
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < changed_before:
                    os.unlink(name, dir_fd=folder)
                    removed += 1
    return removed
