"""Records kept in a temporary file, so that a stream of any length can be gone through without memory."""

import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Final, Self

from runstone_ingest.records import Record

_HEAD: Final = struct.Struct("<qqH")
_LENGTH: Final = struct.Struct("<i")


class KeptRecords:
    """Records of one partition, in the order in which they were kept. A context manager."""

    def __init__(self, topic: str, partition: int) -> None:
        """The file has no name and goes with this object."""
        self._topic = topic
        self._partition = partition
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._file.close()

    def keep(self, record: Record) -> None:
        """Append *record*."""
        self._file.write(_HEAD.pack(record.offset, record.time, len(record.headers)))
        parts = [record.key, record.value]
        for name, value in record.headers:
            parts += [name.encode("utf-8", "surrogatepass"), value]
        for part in parts:
            self._file.write(_LENGTH.pack(-1 if part is None else len(part)))
            self._file.write(part or b"")
        self.count += 1

    def __iter__(self) -> Iterator[Record]:
        """Every record, from the first; nothing may be kept meanwhile."""
        self._file.seek(0)
        for _ in range(self.count):
            offset, at, headers = _HEAD.unpack(self._file.read(_HEAD.size))
            key, value = self._part(), self._part()
            named = [
                ((self._part() or b"").decode("utf-8", "surrogatepass"), self._part()) for _ in range(headers)
            ]
            yield Record(self._topic, self._partition, offset, key, value, named, at)  # type: ignore[arg-type]  # a header may have no value, as Kafka's

    def _part(self) -> bytes | None:
        (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
        return None if length < 0 else self._file.read(length)
