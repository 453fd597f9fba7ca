"""What the broker refuses for good is put aside in ``rejected/``, readable, so that the rest can go on."""

import contextlib
import logging
import time
from pathlib import Path

import orjson

from runstone.events.types import RangeDeclared
from runstone.sender.packing import Packed
from runstone.sender.replacing import replace_json
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)


def reject_envelope(folder: MachineFolder, packed: Packed, reason: str) -> RangeDeclared:
    """Put an envelope aside; the event that says so in its stream."""
    now = time.time_ns() // 1_000_000
    name = f"{packed.session}-{packed.stream}-{packed.first_seq}.json"
    _put_aside(folder, name, {"reason": reason, "time_ms": now, "envelope": orjson.Fragment(packed.value)})
    return RangeDeclared(packed.session, packed.first_seq, packed.n, "rejected", now, reason)


def reject_upload(
    folder: MachineFolder, session: str, upload: str, order: object, data: Path, reason: str
) -> None:
    """Put an upload aside that can never succeed: its order, and its content where that is still there."""
    now = time.time_ns() // 1_000_000
    name = f"{session}-upload-{upload}"
    _put_aside(folder, f"{name}.json", {"reason": reason, "time_ms": now, "order": order})
    with contextlib.suppress(OSError):
        data.rename(folder.rejected / f"{name}.data")


def _put_aside(folder: MachineFolder, name: str, content: dict[str, object]) -> None:
    log.error("put aside as rejected/%s: %s", name, content["reason"])
    try:
        replace_json(folder.rejected / name, content)
    except OSError as wrong:
        # A full disk must not stop the records behind this one; the range is declared all the same.
        log.warning("rejected/%s cannot be written: %s", name, wrong)
