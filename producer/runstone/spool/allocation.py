"""Making a segment's file: allocated in full before it is mapped, complete before it has its name.

A full disk under a sparse map is SIGBUS and kills the training, so a segment is mapped only where
allocation binds blocks. Elsewhere (network and copy-on-write file systems, systems without the call) the
writer appends with ``write()``, which reports a full disk as an error.
"""

import contextlib
import errno
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from runstone.spool import forking
from runstone.spool.file_systems import BINDING, file_system_of
from runstone.spool.layout import SessionFolder
from runstone.spool.segment import SegmentHeader, pack_header


@dataclass(slots=True)
class SegmentFile:
    """A segment that is being written.

    Attributes:
        memory: the mapped file, or None where it is written by `descriptor`.
        descriptor: open for writing where the file is not mapped, else -1.
    """

    number: int
    salt: int
    size: int
    memory: mmap.mmap | None
    descriptor: int

    def close(self) -> None:
        """Give back the map or descriptor; the file stays."""
        if self.memory is not None:
            with contextlib.suppress(BufferError):  # a call that this one interrupts lets go of it later
                self.memory.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def create_segment(
    folder: SessionFolder, number: int, size: int, uri: str, mapped: bool, generation: int | None = None
) -> SegmentFile:
    """Make segment *number* of *size* bytes and give it its name.

    Args:
        folder: the session's.
        number: from 1.
        size: bytes.
        uri: the destination.
        mapped: allocation binds there, so the file may be mapped.
        generation: of the process that owns the folder (`forking.generation`); without it this one.

    Raises:
        OSError: it cannot be made, among others for lack of space; or this is a child of the owner.
    """
    if generation is None:
        generation = forking.generation
    path = folder.segment(number)
    temporary = path.with_suffix(".new")
    salt = int.from_bytes(os.urandom(4), "little")
    header = pack_header(
        SegmentHeader(folder.session, number, salt, size, time.time_ns(), time.monotonic_ns(), uri)
    )
    forking.check(generation)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    memory: mmap.mmap | None = None
    try:
        if mapped and _allocate(descriptor, size):
            memory = mmap.mmap(descriptor, size)
            memory[: len(header)] = header
        else:
            os.ftruncate(descriptor, size)
            os.pwrite(descriptor, header, 0)
        forking.check(generation)
        os.rename(temporary, path)  # noqa: PTH104  # no handler runs between the check and this call
    except BaseException:
        os.close(descriptor)
        if forking.generation == generation:
            temporary.unlink(missing_ok=True)
        raise
    if memory is not None:
        os.close(descriptor)
        descriptor = -1
    return SegmentFile(number, salt, size, memory, descriptor)


def _allocate(descriptor: int, size: int) -> bool:
    """Whether *size* bytes are now bound to the file. Raises OSError where there is no space for them."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as wrong:
        if wrong.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        return False
    return True


def allocation_binds(folder: Path) -> bool:
    """Whether a file that is allocated in *folder* can be mapped and written without SIGBUS."""
    return hasattr(os, "posix_fallocate") and file_system_of(folder) in BINDING
