"""What lies in a spool, told without changing anything: of this machine or another one, live or damaged.

`inspect` is given a spool's root, the folder of one machine and boot, of one session, or a segment. With
``whole`` every record is read and checked; without it only sizes and small files are looked at, which is
quick whatever the backlog. Nothing that is found raises: what cannot be read is a `Finding`.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import orjson

from runstone.addresses import without_credentials
from runstone.spool.layout import ACK, SEGMENT_SUFFIX, MachineFolder, SessionFolder, machine_id
from runstone.spool.locks import is_held
from runstone.spool.reader import Damage, EventRecord, Item, PointRun, SegmentReader
from runstone.spool.refused import Refused, read_refused
from runstone.spool.segment import CRC, FORMAT, HEADER_SIZE, unpack_header

_READ_AT_ONCE: Final = 1 << 20
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: where, and what in a sentence."""

    path: Path
    what: str


@dataclass(slots=True)
class SegmentReport:
    """One segment.

    Attributes:
        size: bytes of the file. used: up to the end of what was written.
        waiting: bytes in it that the broker has not acknowledged.
        closed: its writer ended it; null where that was not read.
        points, events, series: how many records of each kind were read.
    """

    number: int
    path: Path
    size: int
    used: int
    waiting: int
    closed: bool | None = None
    points: int = 0
    events: int = 0
    series: int = 0


@dataclass(slots=True)
class StreamReport:
    """One stream of a session.

    Attributes:
        records: how many were read. next_seq: behind the last of them.
        dropped: how many the process refused for lack of room, and declared.
        missing: ranges (first seq, how many) that damage took.
        events: how many there are of each type of event.
    """

    records: int = 0
    next_seq: int = 0
    dropped: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class SessionReport:
    """One session.

    Attributes:
        boot: ``this`` boot of this machine, an ``earlier`` one, ``elsewhere`` another machine.
        state: ``live``; of a process that is gone: ``waiting`` to be delivered, or ``delivered``.
        told: what ``session.json`` says. uri: the destination.
        acknowledged: segment and position; null where nothing was.
        refused: what the process refused and has not declared.
        uploads: artifacts that wait, and their bytes.
        streams: by name; empty unless all was read.
    """

    session: str
    path: Path
    boot: str
    state: str
    uri: str
    told: dict[str, Any]
    acknowledged: tuple[int, int] | None
    segments: list[SegmentReport]
    refused: list[Refused]
    uploads: tuple[int, int]
    streams: dict[str, StreamReport]
    findings: list[Finding]

    @property
    def waiting(self) -> int:
        """Bytes of records that the broker has not acknowledged."""
        return sum(segment.waiting for segment in self.segments)


@dataclass(slots=True)
class SpoolReport:
    """All that was found.

    Attributes:
        destinations: what senders noted about each address.
        rejected: what brokers or stores refused for good, one file each.
    """

    path: Path
    sessions: list[SessionReport] = field(default_factory=list)
    destinations: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def all_findings(self) -> list[Finding]:
        """Those of the spool itself and of its sessions."""
        return [*self.findings, *(found for session in self.sessions for found in session.findings)]


def inspect(path: Path, *, whole: bool) -> SpoolReport:
    """What lies at *path*; see the module.

    Raises:
        ValueError: nothing of a spool is there.
    """
    report = SpoolReport(path)
    if path.suffix == SEGMENT_SUFFIX and path.is_file():
        report.sessions.append(_session(SessionFolder(path.absolute().parent), whole, only=path))
        return report
    if not path.is_dir():
        raise ValueError(f"{path} is neither a folder nor a segment of a spool")
    folder = path.absolute()
    if (folder / "session.json").exists() or any(folder.glob(f"*{SEGMENT_SUFFIX}")):
        report.sessions.append(_session(SessionFolder(folder), whole))
        return report
    machines = [folder] if _has_sessions(folder, report.findings) else _folders(folder)
    machines = [found for found in machines if _has_sessions(found, report.findings)]
    if not (machines or report.findings) and any(folder.iterdir()):
        raise ValueError(f"{path} is no spool: nothing in it has a folder 'sessions'")
    for machine in map(MachineFolder, machines):
        if _text(machine.format) != str(FORMAT):
            report.findings.append(
                Finding(machine.format, f"says {_text(machine.format)!r}; this program knows format {FORMAT}")
            )
        found = (_json(path) for path in sorted(machine.destinations.glob("*.json")))
        report.destinations += [told for told in found if told is not None]
        report.rejected += sorted(machine.rejected.glob("*.json"))
        for session in _folders(machine.sessions):
            if session.name.startswith("."):
                continue
            try:
                found_there = _session(SessionFolder(session), whole)
            except OSError as wrong:
                report.findings.append(Finding(session, f"cannot be read: {wrong.strerror}"))
                continue
            if session.exists():  # else the sender has just removed it
                report.sessions.append(found_there)
    return report


def _has_sessions(folder: Path, findings: list[Finding]) -> bool:
    """Whether *folder* is one of a machine and boot; where nobody may look, that is a finding."""
    try:
        return (folder / "sessions").is_dir()
    except OSError as wrong:
        findings.append(Finding(folder, f"cannot be read: {wrong.strerror}"))
        return False


def _session(folder: SessionFolder, whole: bool, only: Path | None = None) -> SessionReport:
    told = _json(folder.json)
    live = _is_held(folder.lock) and told is not None
    findings: list[Finding] = []
    numbers: list[int] = []
    try:
        numbers = folder.segment_numbers()
    except OSError as wrong:
        findings.append(Finding(folder.path, f"cannot be read: {wrong.strerror}"))
    # After the segments were listed: what the sender removes meanwhile is acknowledged.
    acknowledged = _acknowledged(folder, findings)
    report = SessionReport(
        session=folder.session,
        path=folder.path,
        boot=_boot(folder.machine),
        state="live" if live else "waiting",
        uri=without_credentials(str((told or {}).get("uri", ""))),
        told=told or {},
        acknowledged=acknowledged,
        segments=[],
        refused=_refused(folder, findings),
        uploads=_uploads(folder),
        streams={},
        findings=findings,
    )
    if told is None and (numbers or only):
        findings.append(Finding(folder.json, "is missing or damaged; segments tell where they belong"))
    shown = numbers if only is None else [_number(only)]
    reading = _Reading(report, blind=bool(shown) and shown[0] > 1)
    expected = acknowledged[0] if acknowledged and numbers and numbers[0] > 1 else 1
    for number in shown:
        if only is None and number > expected:
            findings.append(Finding(folder.segment(expected), "is missing, and a later segment is there"))
        expected = max(expected, number + 1)
        final = not live or number not in numbers[-1:]
        reading.segment(number, only or folder.segment(number), final=final, whole=whole)
    if not live and not report.waiting and not report.uploads[0]:
        report.state = "delivered" if acknowledged or not shown else "waiting"
    return report


class _Reading:
    """Reads the segments of a session one after the other."""

    def __init__(self, report: SessionReport, *, blind: bool) -> None:
        self._report = report
        self._blind = blind

    def segment(self, number: int, path: Path, *, final: bool, whole: bool) -> None:
        report = self._report
        try:
            if not path.is_file() and path.exists():
                report.findings.append(Finding(path, "is no file"))
                return
            size, used = path.stat().st_size, _used(path)
        except FileNotFoundError:
            return  # the sender has just removed it
        except OSError as wrong:
            report.findings.append(Finding(path, f"cannot be read: {wrong.strerror}"))
            return
        segment = SegmentReport(number, path, size, used, 0)
        report.segments.append(segment)
        try:
            reader = SegmentReader(path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as wrong:
            report.findings.append(Finding(path, f"cannot be read: {wrong}"))
            return
        try:
            self._check_header(reader, segment)
            if whole:
                self._records(reader, segment, final=final)
        except (OSError, ValueError) as wrong:
            report.findings.append(Finding(path, f"cannot be read on from {reader.position}: {wrong}"))
        finally:
            reader.close()
            acked, position = report.acknowledged or (0, 0)
            before = segment.used if number < acked else position if number == acked else HEADER_SIZE
            segment.waiting = max(0, segment.used - max(before, HEADER_SIZE))

    def _check_header(self, reader: SegmentReader, segment: SegmentReport) -> None:
        header, findings = reader.header, self._report.findings
        self._report.uri = self._report.uri or without_credentials(header.uri)
        if header.damaged:
            findings.append(
                Finding(segment.path, "is damaged in one half of its first page; the other one is whole")
            )
        if header.number != segment.number or header.session != self._report.session:
            findings.append(
                Finding(
                    segment.path, f"is segment {header.number} of session {header.session} by its first page"
                )
            )
        if segment.size < header.size:
            findings.append(
                Finding(
                    segment.path, f"was cut: it has {segment.size} bytes, its first page says {header.size}"
                )
            )

    def _records(self, reader: SegmentReader, segment: SegmentReport, *, final: bool) -> None:
        while not reader.ended:
            before = reader.position
            for item in reader.read(_READ_AT_ONCE, final=final):
                self._note(item, segment)
            if reader.position == before and not reader.ended:
                break
        segment.closed = reader.closed
        segment.used = max(segment.used, reader.position)

    def _note(self, item: Item, segment: SegmentReport) -> None:
        findings = self._report.findings
        if isinstance(item, Damage):
            findings.append(Finding(segment.path, f"is damaged at {item.at}"))
            return
        stream = self._report.streams.get(item.stream)
        if stream is None:
            stream = self._report.streams[item.stream] = StreamReport()
            stream.next_seq = item.first_seq if self._blind else 0
        stream.records += item.n
        dropped = 0
        if isinstance(item, PointRun):
            segment.points += item.n
        elif isinstance(item, EventRecord):
            segment.events += 1
            event = _event(item.payload)
            stream.events[str(event.get("type"))] += 1
            dropped = _dropped(event, item.first_seq)
            stream.dropped += dropped
        else:
            segment.series += 1
        if item.first_seq - dropped > stream.next_seq:
            missing = (stream.next_seq, item.first_seq - dropped - stream.next_seq)
            stream.missing.append(missing)
            findings.append(
                Finding(
                    segment.path,
                    f"{missing[1]} records of {item.stream} from seq {missing[0]} on are lost before it",
                )
            )
        stream.next_seq = max(stream.next_seq, item.first_seq + item.n)


def _number(path: Path) -> int:
    """The number of a segment whose file may have another name by now; 0 where nothing tells it."""
    try:
        with path.open("rb") as segment:
            return unpack_header(segment.read(HEADER_SIZE)).number
    except (OSError, ValueError):
        return 0


def _event(payload: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _dropped(event: dict[str, Any], seq: int) -> int:
    """How many records the event says were dropped right before its own *seq*."""
    first, count = event.get("first_seq"), event.get("count")
    if event.get("type") != "range_declared" or not (isinstance(first, int) and isinstance(count, int)):
        return 0
    return count if first + count == seq else 0


def _used(path: Path) -> int:
    """Where what was written ends: behind the last byte that is not zero, rounded up to 8."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        while end > 0:
            start = max(0, end - 256 * _PAGE)
            block = os.pread(file.fileno(), end - start, start).rstrip(b"\0")
            if block:
                return min(start + len(block) + 7 & ~7, end)
            end = start
    return 0


def _acknowledged(folder: SessionFolder, findings: list[Finding]) -> tuple[int, int] | None:
    try:
        found = folder.ack.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as wrong:
        findings.append(Finding(folder.ack, f"cannot be read: {wrong.strerror}"))
        return None
    if len(found) != ACK.size or crc32(found[4:]) != CRC.unpack_from(found)[0]:
        findings.append(Finding(folder.ack, "is damaged: what was acknowledged is sent again"))
        return None
    _crc, number, at = ACK.unpack(found)
    return number, at


def _refused(folder: SessionFolder, findings: list[Finding]) -> list[Refused]:
    try:
        return read_refused(folder.refused)
    except OSError as wrong:
        findings.append(Finding(folder.refused, f"cannot be read: {wrong.strerror}"))
        return []


def _uploads(folder: SessionFolder) -> tuple[int, int]:
    size = n = 0
    for order in folder.uploads.glob("*.json"):
        try:
            size += folder.upload_data(order.stem).stat().st_size
        except OSError:
            continue  # the sender has just removed it
        n += 1
    return n, size


def _boot(machine: MachineFolder) -> str:
    if machine.of_this_boot:
        return "this"
    return "earlier" if machine.path.name.rpartition("-")[0] == machine_id() else "elsewhere"


def _is_held(lock: Path) -> bool:
    try:
        return is_held(lock)
    except OSError:
        return False


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:20].decode(errors="replace").strip()
    except OSError:
        return ""


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name."""
    try:
        return sorted(found for found in folder.iterdir() if found.is_dir())
    except OSError:
        return []
