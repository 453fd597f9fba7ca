"""What comes out of a topic, and what is first made of it."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runstone.events import Envelope


class Record(NamedTuple):
    """A Kafka record, byte for byte, and when the broker got it (ms)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    time: int = 0

    def hash(self) -> bytes:
        """The first 16 bytes of SHA-256 over key, value and headers, each part preceded by its length.

        Kept with the offset, so that a broker that lost its tail and used offsets again is noticed.
        """
        digest = hashlib.sha256()
        parts = [self.key, self.value]
        for name, value in self.headers:
            parts += [name.encode("utf-8", "surrogatepass"), value]
        for part in parts:
            digest.update(b"-" if part is None else b"%d:" % len(part))
            digest.update(part or b"")
        return digest.digest()[:16]

    def size(self) -> int:
        """Bytes of memory, roughly, of what it holds; a small one is mostly objects."""
        return len(self.value or b"") + 2048

    def headers_json(self) -> list[list[str]]:
        """The headers as ``[[name, base64 of the value], …]``."""
        return [[storable(name), base64.b64encode(value or b"").decode()] for name, value in self.headers]


def storable(text: str) -> str:
    """*text* with what Postgres cannot hold (NUL, lone surrogates) made visible."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


class Address(NamedTuple):
    """Which records of which session in which stream a Kafka record carries, as its headers say."""

    session: str
    stream: str
    first_seq: int
    n: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be applied.

    Attributes:
        reason: what was found and what was expected, for a person.
        address: what the headers say, None where they cannot be read.
        accountable: whether its seqs are this partition's to account for; those of a record that belongs
            elsewhere are not, because the stream's marks are kept by another partition.
    """

    record: Record
    reason: str
    address: Address | None
    accountable: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A record whose value, key and headers agree."""

    record: Record
    envelope: Envelope
