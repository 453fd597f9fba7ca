"""What became of the files whose upload this process has ordered in a session.

The sender leaves ``<id>.done`` or ``<id>.rejected`` beside an order that it has settled. What is done is read
once, remembered as the last pointer of its run, and removed, so that neither the folder nor this memory grows
with the number of files. Any thread of the training process may ask.
"""

import itertools
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import orjson

from runstone import notices
from runstone.spool.layout import SessionFolder

TOLD_MOST: Final = 5
"""Rejected files that have a warning each; a folder may have thousands."""


class OrderedUploads:
    """The uploads of one session; their ids sort in the order of the calls."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._pending: dict[str, str] = {}
        self._rejected: dict[str, str] = {}
        self._pointers: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        """How many are, as far as is known, neither done nor rejected."""
        return len(self._pending)

    def next_id(self) -> str:
        """An id for another one."""
        return f"{next(self._numbers):08d}-{os.urandom(4).hex()}"

    def ordered(self, upload: str, run_id: str) -> None:
        """One more was ordered."""
        self._pending[upload] = run_id

    def of(self, run_id: str | None = None) -> list[str]:
        """Those of a run, or of all, that are not done: the pending and the rejected."""
        found = [*list(self._pending.items()), *list(self._rejected.items())]
        return [upload for upload, of_run in found if run_id in {None, of_run}]

    def any_rejected(self, uploads: Collection[str]) -> bool:
        """Whether the store refuses one of them for good."""
        return not self._rejected.keys().isdisjoint(uploads)

    def pointers(self, run_id: str) -> dict[str, int]:
        """The sender's sessions that published pointers of the run, and the last seq of each."""
        return dict(self._pointers.get(run_id, {}))

    def look(self, folder: SessionFolder) -> None:
        """See which were settled since; the sender begins them in their order, so the first tells enough."""
        for upload in list(self._pending):
            if not self.settled(folder, upload):
                return

    def settled(self, folder: SessionFolder, upload: str) -> bool:
        """Whether an upload is done, or rejected, which is said here."""
        run_id = self._pending.get(upload)
        if run_id is None:
            return True
        told, done = folder.upload_rejected(upload), folder.upload_done(upload)
        try:
            rejected, found = told.exists(), done.read_bytes() if done.exists() else None
        except OSError:
            return upload not in self._pending  # another thread was quicker; or a disk in trouble
        if rejected:
            self._rejected[upload] = run_id
            if len(self._rejected) <= TOLD_MOST:
                notices.warn_once(f"rejected {upload}", _rejection(told))
            else:
                notices.warn_once(
                    f"rejected in {folder.path}",
                    f"more artifacts were rejected; {told.parent}/*.rejected say which, and why",
                )
        elif found is None:
            return upload not in self._pending
        else:
            self._note(run_id, found)
        self._pending.pop(upload, None)
        if not rejected:
            _remove(folder, upload)
        return True

    def _note(self, run_id: str, done: bytes) -> None:
        try:
            pointer = orjson.loads(done)
            session, seq = str(pointer["session"]), int(pointer["seq"])
        except (ValueError, KeyError, TypeError):
            return
        known = self._pointers.setdefault(run_id, {})
        known[session] = max(seq, known.get(session, 0))


def _remove(folder: SessionFolder, upload: str) -> None:
    """Remove what says that an upload is done, unless the sender is not yet done with it."""
    try:
        if not folder.upload_json(upload).exists():
            folder.upload_done(upload).unlink(missing_ok=True)
    except OSError:
        pass


def _rejection(told: Path) -> str:
    """What the sender left about a rejected upload, as one line."""
    try:
        found = orjson.loads(told.read_bytes())
        path, reason, kept = found["path"], " ".join(str(found["reason"]).split()), found["kept"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"an artifact was rejected and will not be stored; see {told}"
    where = f"its content is kept in {kept}" if kept else "its content is gone"
    return f"artifact {path!r} was rejected and will not be stored: {reason}; {where}"
