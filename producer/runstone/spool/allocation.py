"""Making a segment's file: allocated in full before it is mapped, complete before it has its name.

A full disk under a sparse map is SIGBUS and kills the training, so a segment is mapped only where
allocation binds blocks. Elsewhere (network and copy-on-write file systems, systems without the call) the
writer appends with ``write()``, which reports a full disk as an error.
"""

import errno
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

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
            self.memory.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def create_segment(folder: SessionFolder, number: int, size: int, uri: str, mapped: bool) -> SegmentFile:
    """Make segment *number* of *size* bytes and give it its name.

    Raises:
        OSError: it cannot be made, among others for lack of space.
    """
    path = folder.segment(number)
    temporary = path.with_suffix(".new")
    salt = int.from_bytes(os.urandom(4), "little")
    header = pack_header(
        SegmentHeader(folder.session, number, salt, size, time.time_ns(), time.monotonic_ns(), uri)
    )
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    memory: mmap.mmap | None = None
    try:
        if mapped and _allocate(descriptor, size):
            memory = mmap.mmap(descriptor, size)
            memory[: len(header)] = header
        else:
            os.ftruncate(descriptor, size)
            os.pwrite(descriptor, header, 0)
        temporary.rename(path)
    except BaseException:
        os.close(descriptor)
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
