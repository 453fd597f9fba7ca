"""What a session refused and has not declared yet, in a file, so that it is known when the process is killed.

A full spool takes no point, but each has its seq: the hole must be declared in the ledger. The process does
that itself as soon as a record fits again. Should it be killed before, the sender finds the range here.

The file has its whole size before anything is refused, so a full disk holds it; it is written in place, by
``pwrite`` and not by a map, because a map of a file system that binds nothing could end the training.
Called with the writer's lock held. ``docs/spool.md`` gives the bytes.
"""

import os
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

SLOT_SIZE: Final = 128
SLOTS: Final = 64
"""Streams that can be refusing at a time; of further ones only the process itself knows."""

_SLOT: Final = Struct("<QQH")
_CRC: Final = Struct("<I")
_NAME_MAX: Final = SLOT_SIZE - _CRC.size - _SLOT.size


class Refused(NamedTuple):
    """Records that were refused: ``n`` of them from ``first_seq`` of a stream."""

    stream: str
    first_seq: int
    n: int


class RefusedFile:
    """The writing end."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises OSError where there is no room for it."""
        self._slots: dict[str, int] = {}
        self._free = list(reversed(range(SLOTS)))
        path.write_bytes(bytes(SLOT_SIZE * SLOTS))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file; what it says stays."""
        os.close(self._descriptor)

    def note(self, stream: str, first_seq: int, count: int) -> None:
        """Take down what is not declared of a stream now; *count* 0: nothing is.

        Never raises: what cannot be taken down is still declared by the process, if it lives.
        """
        slot = self._slots.get(stream)
        name = stream.encode()
        if slot is None:
            if not count or not self._free or len(name) > _NAME_MAX:
                return
            slot = self._slots[stream] = self._free.pop()
        if count:
            body = (_SLOT.pack(first_seq, count, len(name)) + name).ljust(SLOT_SIZE - _CRC.size, b"\0")
        else:
            body = bytes(SLOT_SIZE - _CRC.size)
            del self._slots[stream]
            self._free.append(slot)
        try:
            os.pwrite(self._descriptor, _CRC.pack(crc32(body)) + body, slot * SLOT_SIZE)
        except OSError:
            pass


def read_refused(path: Path) -> list[Refused]:
    """What the file says, a slot whose checksum is wrong left out. No file says nothing.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for at in range(0, len(content) - SLOT_SIZE + 1, SLOT_SIZE):
        body = content[at + _CRC.size : at + SLOT_SIZE]
        first_seq, count, length = _SLOT.unpack_from(body)
        if count and length <= _NAME_MAX and _CRC.unpack_from(content, at)[0] == crc32(body):
            name = body[_SLOT.size : _SLOT.size + length].decode()
            found.append(Refused(name, first_seq, count))
    return found
