"""What the broker refuses for good is put aside in ``rejected/``, readable, so that the rest can go on."""

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

import orjson

from runstone.events.types import RangeDeclared
from runstone.sender.packing import Packed
from runstone.sender.replacing import replace_json
from runstone.spool.layout import MachineFolder, SessionFolder

log = logging.getLogger(__name__)


def reject_envelope(folder: MachineFolder, packed: Packed, reason: str) -> RangeDeclared:
    """Put an envelope aside; the event that says so in its stream."""
    now = time.time_ns() // 1_000_000
    name = f"{packed.session}-{packed.stream}-{packed.first_seq}.json"
    _put_aside(folder, name, {"reason": reason, "time_ms": now, "envelope": orjson.Fragment(packed.value)})
    return RangeDeclared(packed.session, packed.first_seq, packed.n, "rejected", now, reason)


def reject_upload(
    folder: MachineFolder,
    session: SessionFolder,
    upload: str,
    order: Mapping[str, Any] | None,
    reason: str,
) -> None:
    """Put an upload aside that can never succeed, its content as well where it is there, and tell the client.

    Order and content stay in the session, for the caller to remove; whoever does all of this again comes to
    the same.

    Raises:
        OSError: the client cannot be told now.
    """
    now = time.time_ns() // 1_000_000
    name = f"{session.session}-upload-{upload}"
    kept = folder.rejected / f"{name}.data"
    # A second name rather than a new one: a sender that dies here, or a disk that is full, leaves the
    # content where the next attempt looks for it, so that attempt fails for the same reason.
    with contextlib.suppress(OSError):
        os.link(session.upload_data(upload), kept)
    _put_aside(folder, f"{name}.json", {"reason": reason, "time_ms": now, "order": order})
    told = {
        "path": None if order is None else order.get("path"),
        "reason": reason,
        "kept": str(kept) if kept.exists() else None,
    }
    replace_json(session.upload_rejected(upload), told)


def _put_aside(folder: MachineFolder, name: str, content: dict[str, object]) -> None:
    log.error("put aside as rejected/%s: %s", name, content["reason"])
    try:
        replace_json(folder.rejected / name, content)
    except OSError as wrong:
        # A full disk must not stop the records behind this one; the range is declared all the same.
        log.warning("rejected/%s cannot be written: %s", name, wrong)
