"""Fetches a run's artifacts into a folder: whole, checked by their hash, and not again what is there.

A file comes under a temporary name beside its place and is renamed once its hash is right. What was cut off
goes on where it ended, also in another process: the temporary name stands for the content. Whoever fetches a
file holds a lock on the temporary one, so several processes may fetch into one folder.

A few threads fetch, each over a connection of its own.
"""

import fcntl
import hashlib
import http.client
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from runstone.api_client import ReadApi
from runstone.events.artifact_paths import check_artifact_path
from runstone.exceptions import InvalidInputError, NoSuchArtifactError, ServerError

AT_ONCE: Final = 4
BLOCK: Final = 1 << 20
TIMEOUT_S: Final = 60
TRIES: Final = 4
"""How often a file is asked for that was cut off; each time it goes on where it ended."""

RETRY_S: Final = 0.5

_CUT_OFF: Final = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What is known of a file: *sha256* is empty where it was never computed."""

    path: str
    size: int
    sha256: str


def pointers(uri: str, run_id: str, path: str = "") -> list[Pointer]:
    """The files at or below *path*, by path.

    Raises:
        NoSuchRunError: the server at *uri* knows no such run.
        NoSuchArtifactError: it has no such file or folder.
        InvalidInputError: *path* leaves the run.
        ServerError: the server does not answer, or names a path that leaves the run.
    """
    if path:
        check_artifact_path(path)
    found = [_pointer(entry) for entry in ReadApi(uri).artifacts(run_id, path)]
    if path and not found:
        raise NoSuchArtifactError(
            f"run {run_id} has no artifact {path!r} (yet); "
            f"'runstone artifacts list {run_id}' shows what it has"
        )
    return found


def _pointer(entry: Mapping[str, Any]) -> Pointer:
    try:
        return Pointer(check_artifact_path(entry["path"]), entry["size"], entry["sha256"])
    except InvalidInputError as wrong:
        raise ServerError(f"the server names a file that cannot be stored here: {wrong}") from None


def download(
    uri: str,
    run_id: str,
    wanted: Sequence[Pointer],
    folder: Path,
    arrived: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Fetch files of a run to their paths below *folder*, which is made where it is missing.

    Args:
        uri: the server's address.
        run_id: whose files they are.
        wanted: which ones.
        folder: where to. What is there already and has the right content stays, other files of these names
            are replaced.
        arrived: called by several threads with each number of bytes that came, or need not come.

    Raises:
        NoSuchArtifactError: one of them is no longer there.
        ServerError: the server does not answer, or sends something else; what came is kept for the next try.
        InvalidInputError: a file cannot be put there.
        OSError: the disk refuses.
    """
    fetching = _Fetching(uri, run_id, arrived)
    try:
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(wanted))), "runstone-download") as threads:
            try:
                jobs = [threads.submit(fetching.fetch, pointer, folder / pointer.path) for pointer in wanted]
                for job in jobs:
                    job.result()
            except BaseException:
                fetching.stopped = True
                threads.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        fetching.close()


class _Fetching:
    """Fetches files of one run; `fetch` runs in several threads.

    Attributes:
        stopped: whoever waits for the files has gone.
    """

    def __init__(self, uri: str, run_id: str, arrived: Callable[[int], None]) -> None:
        self.stopped = False
        self._uri = uri
        self._run_id = run_id
        self._arrived = arrived
        self._own = threading.local()
        self._lock = threading.Lock()
        self._connections: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def fetch(self, pointer: Pointer, place: Path) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InvalidInputError(
                f"{place} cannot be stored: a part of its path is a file there; name another folder"
            ) from None
        if place.is_dir():
            raise InvalidInputError(f"{place} cannot be stored: it is a folder there; name another folder")
        if _has(place, pointer):
            self._arrived(pointer.size)
            return
        part = _Part(place, pointer)
        try:
            if part.overtaken:
                self._arrived(pointer.size)
                return
            self._arrived(part.size)
            self._fill(part, pointer)
            part.publish()
        finally:
            part.close()

    def _fill(self, part: "_Part", pointer: Pointer) -> None:
        resumed = part.size > 0
        for left in reversed(range(TRIES)):
            try:
                if part.size < pointer.size or not pointer.size:
                    self._receive(part, pointer)
            except _DiskError:
                raise
            except _CUT_OFF as cut_off:
                self._own.connection.close()
                if not left or self.stopped:
                    raise ServerError(
                        f"{self._uri} was away while {pointer.path!r} of run {self._run_id} came "
                        f"({str(cut_off) or type(cut_off).__name__}); the same call goes on where it ended"
                    ) from None
                time.sleep(RETRY_S)
                continue
            if part.matches:
                return
            self._arrived(-part.size)
            part.restart()
            if not resumed:
                break
            resumed = False  # what an earlier attempt left was not a part of it
        raise ServerError(
            f"what {self._uri} sends as {pointer.path!r} of run {self._run_id} is not what was logged: its "
            "SHA-256 differs. Either it was logged again this moment (ask again), or the store is damaged"
        )

    def _receive(self, part: "_Part", pointer: Pointer) -> None:
        connection, prefix = self._connection()
        query = urlencode({"path": pointer.path})
        headers = {"Range": f"bytes={part.size}-"} if part.size else {}
        connection.request(
            "GET", f"{prefix}/api/v1/runs/{self._run_id}/artifacts/content?{query}", headers=headers
        )
        answer = connection.getresponse()
        if answer.status not in {200, 206}:
            self._refused(answer.status, answer.read(1 << 16), pointer)
        if answer.status == 200 and part.size:  # whoever stands between us and the server knows no ranges
            self._arrived(-part.size)
            part.restart()
        while block := answer.read(BLOCK):
            if self.stopped:
                raise ConnectionAbortedError("nobody waits for it any more")
            if part.size + len(block) > pointer.size:
                answer.close()
                part.restart()
                return
            part.append(block)
            self._arrived(len(block))
        if part.size < pointer.size:
            raise ConnectionResetError("the file was cut off")

    def _refused(self, status: int, body: bytes, pointer: Pointer) -> None:
        try:
            detail = str(orjson.loads(body)["detail"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            detail = f"it answers {status}"
        if status in {404, 410}:
            raise NoSuchArtifactError(f"{pointer.path!r} of run {self._run_id}: {detail}")
        raise ServerError(f"{self._uri} does not give {pointer.path!r} of run {self._run_id}: {detail}")

    def _connection(self) -> tuple[http.client.HTTPConnection, str]:
        parts = urlsplit(self._uri)
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            found = self._own.connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
            with self._lock:
                self._connections.append(found)
        return found, parts.path.rstrip("/")


class _DiskError(OSError):
    """The disk refuses what has come."""


class _Part:
    """A file as far as it has come, locked.

    Attributes:
        size: bytes so far. overtaken: another process has fetched the file while this one waited.
    """

    def __init__(self, place: Path, pointer: Pointer) -> None:
        self._place = place
        self._pointer = pointer
        named = hashlib.sha256(f"{place.name}/{pointer.size}/{pointer.sha256}".encode()).hexdigest()
        self._path = place.with_name(f".runstone-{named[:32]}.part")
        self._file = self._open()
        self._published = False
        self._digest = hashlib.sha256()
        self.size = 0
        self.overtaken = _has(place, pointer)
        if not pointer.sha256:
            self.restart()  # nobody could tell whether what is there is a part of it
        while block := os.read(self._file, BLOCK):
            self._digest.update(block)
            self.size += len(block)
        if self.size > pointer.size:
            self.restart()

    def _open(self) -> int:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(file), self._path.stat()):
                    return file
            except FileNotFoundError:
                pass  # it was renamed by the process that held the lock
            os.close(file)

    @property
    def matches(self) -> bool:
        pointer = self._pointer
        return self.size == pointer.size and pointer.sha256 in {"", self._digest.hexdigest()}

    def append(self, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as wrong:
            raise _DiskError(f"{self._path}: {wrong}") from wrong
        self._digest.update(block)
        self.size += len(block)

    def restart(self) -> None:
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self.size = 0

    def publish(self) -> None:
        self._path.replace(self._place)
        self._published = True

    def close(self) -> None:
        if not self._published and (self.size == 0 or self.overtaken or not self._pointer.sha256):
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def _has(place: Path, pointer: Pointer) -> bool:
    """Whether the file is there already."""
    try:
        if not pointer.sha256 or place.stat().st_size != pointer.size:
            return False
        with place.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == pointer.sha256
    except FileNotFoundError:
        return False
