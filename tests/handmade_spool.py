"""Spools written record by record with ``segment.pack_record``, so that tests decide about every byte."""

import fcntl
import os
import struct
import time
from pathlib import Path

import orjson

from runstone.events.identity import new_session_id
from runstone.events.types import Event, to_json
from runstone.spool.layout import MachineFolder
from runstone.spool.segment import (
    END,
    EVENT,
    HEADER_SIZE,
    KEY,
    POINT,
    SERIES,
    STREAM,
    SegmentHeader,
    pack_header,
    pack_record,
)

SEGMENT_SIZE = 1 << 20


class HandmadeSegment:
    """One segment file. Streams and keys are defined where they are first used."""

    def __init__(self, path: Path, session: str, uri: str, number: int, size: int = SEGMENT_SIZE) -> None:
        self.path = path
        self.salt = int.from_bytes(os.urandom(4), "little")
        self.size = size
        self.at = HEADER_SIZE
        self.positions: list[int] = []
        self._streams: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, int] = {}
        header = SegmentHeader(session, number, self.salt, size, time.time_ns(), time.monotonic_ns(), uri)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(pack_header(header))
        self.file = os.open(temporary, os.O_RDWR)
        os.posix_fallocate(self.file, 0, size)
        temporary.rename(path)

    def put(self, kind, stream=0, key=0, seq=0, payload=b"", mono=None, now=None):
        """Write one record at the end."""
        record = pack_record(
            self.salt, kind, stream, key, seq, now or time.time_ns(), mono or time.monotonic_ns(), payload
        )
        os.pwrite(self.file, record, self.at)
        self.positions.append(self.at)
        self.at += len(record)

    def stream(self, name: str, seq: int) -> tuple[int, int]:
        if name not in self._streams:
            index = len(self._streams) + 1
            self.put(STREAM, stream=index, payload=struct.pack("<Q", seq) + name.encode())
            self._streams[name] = index, seq
        index, base = self._streams[name]
        return index, seq - base

    def key(self, name: str) -> int:
        if name not in self._keys:
            self._keys[name] = len(self._keys) + 1
            self.put(KEY, key=self._keys[name], payload=orjson.dumps(name))
        return self._keys[name]


class HandmadeSession:
    """A session with its lock held until `die`; ``with_lock=False`` makes one that is dead already."""

    def __init__(self, machine: MachineFolder, uri: str, *, alive: bool = True, session: str | None = None):
        machine.make()
        self.machine = machine
        self.uri = uri
        self.id = session or new_session_id()
        self.folder = machine.session(self.id)
        self.folder.uploads.mkdir(parents=True)
        self._lock = os.open(self.folder.lock, os.O_RDWR | os.O_CREAT)
        if alive:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder.cause.write_bytes(bytes(64))
        self.number = 1
        self.seqs: dict[str, int] = {}
        self.segment = self._segment()
        self.folder.json.write_bytes(orjson.dumps({"session": self.id, "uri": uri, "pid": 0, "program": "t"}))

    def _segment(self) -> HandmadeSegment:
        return HandmadeSegment(self.folder.segment(self.number), self.id, self.uri, self.number)

    def roll(self) -> None:
        """End the segment and go on in the next."""
        self.segment.put(END)
        self.number += 1
        self.segment = self._segment()

    def _next(self, stream: str) -> tuple[int, int]:
        seq = self.seqs.get(stream, 0)
        self.seqs[stream] = seq + 1
        return self.segment.stream(stream, seq)

    def event(self, stream: str, event: Event, mono: int | None = None) -> None:
        index, seq = self._next(stream)
        self.segment.put(EVENT, stream=index, seq=seq, payload=orjson.dumps(to_json(event)), mono=mono)

    def point(self, stream: str, key: str, step: int, value: float, now: int | None = None) -> None:
        index, seq = self._next(stream)
        key_index = self.segment.key(key)
        self.segment.put(POINT, index, key_index, seq, struct.pack("<qd", step, value), now=now)

    def series(self, stream, key, steps, values, times=None) -> None:
        index, seq = self._next(stream)
        key_index = self.segment.key(key)
        n = len(steps)
        payload = struct.pack(f"<II{n}q{n}d", n, times is not None, *steps, *values)
        if times is not None:
            payload += struct.pack(f"<{n}q", *times)
        self.segment.put(SERIES, index, key_index, seq, payload)

    def die(self, cause: int = 0) -> None:
        """The process is gone: its lock is free."""
        if cause:
            self.folder.cause.write_bytes(bytes([cause]).ljust(64, b"\0"))
        os.close(self._lock)

    def wake(self) -> None:
        """What a client does after writing."""
        with self.machine.asleep.open("r+b") as asleep:
            if asleep.read(1) == b"\1":
                asleep.seek(0)
                asleep.write(b"\0")
        fifo = os.open(self.machine.wake, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, b"\1")
        finally:
            os.close(fifo)

    def upload(self, run_id: str, path: str, content: bytes, upload: str | None = None) -> str:
        upload = upload or new_session_id()
        self.folder.upload_data(upload).write_bytes(content)
        order = {
            "id": upload, "run_id": run_id, "experiment_id": 7, "path": path, "size": len(content),
            "media_type": "text/plain", "time_ms": time.time_ns() // 1_000_000,
        }  # fmt: skip
        temporary = self.folder.uploads / f".{upload}"
        temporary.write_bytes(orjson.dumps(order))
        temporary.rename(self.folder.upload_json(upload))
        return upload
