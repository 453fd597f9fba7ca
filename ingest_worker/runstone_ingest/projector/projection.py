"""Runs the rules over a batch."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runstone.events import CATALOG, Envelope, cut, types
from runstone_ingest.projector.catalog import Names, apply_to_catalog, needed_of_catalog
from runstone_ingest.projector.models import ON_A_MODEL
from runstone_ingest.projector.points import Segment
from runstone_ingest.projector.rows import Changes, Loaded, Needed, Run, Tally
from runstone_ingest.projector.runs import BESIDE_THE_RUN, ON_A_SESSION, ON_THE_RUN, begin, revoke_loss
from runstone_ingest.records import Admitted, DeadLetter

Item = Admitted | DeadLetter

ModelEvent = (
    types.ModelCreated
    | types.ModelFinalized
    | types.ModelParams
    | types.ModelTags
    | types.ModelTagDeleted
    | types.ModelDeleted
)
SessionEvent = types.SessionEnded | types.SessionLost | types.SessionFound | types.RangeDeclared


def needed(items: Iterable[Item]) -> Needed:
    """Which rows `project` will ask for."""
    found = Needed()
    for item in items:
        if isinstance(item, DeadLetter):
            if item.address is not None and item.accountable:
                found.marks.add((item.address.stream, item.address.session))
            continue
        envelope = item.envelope
        stream = envelope.stream
        found.marks.add((stream, envelope.session))
        if stream == CATALOG:
            for event in envelope.events:
                assert isinstance(event, types.CatalogEvent)
                needed_of_catalog(found, event)
            continue
        found.runs.add(stream)
        for event in envelope.events:
            if isinstance(event, SessionEvent):
                found.marks.add((stream, event.session))
            elif isinstance(event, ModelEvent):
                found.models.add((stream, event.model_id))
    return found


def project(items: Iterable[Item], loaded: Loaded) -> Changes:
    """What *items*, in topic order within each partition, make of the rows in *loaded*.

    What of a record has been applied already is trimmed; a record of which nothing is new is a duplicate.
    """
    changes = Changes(loaded)
    names = Names(loaded.experiments)
    for item in items:
        record = item.record
        tally = changes.tallies.setdefault((record.topic, record.partition), Tally())
        tally.records += 1
        if isinstance(item, DeadLetter):
            tally.dead += 1
            _bury(changes, item)
            continue
        envelope = item.envelope
        mark = changes.mark(envelope.stream, envelope.session)
        ranges = mark.claim(envelope.first_seq, envelope.end_seq)
        if not ranges:
            tally.duplicates += 1
        elif not all(isinstance(event, SessionEvent) for event in envelope.events) or envelope.points:
            # who speaks about sessions only (a sender, a worker) is not what the run is waited for
            mark.last_time = max(record.time, mark.last_time or 0)
        for low, end in ranges:
            piece = cut(envelope, low, end)
            if piece.stream == CATALOG:
                for event in piece.events:
                    assert isinstance(event, types.CatalogEvent)
                    apply_to_catalog(changes, names, event, record.offset)
            else:
                _Stream(changes, piece, record.partition, record.offset).apply()
    return changes


def _bury(changes: Changes, letter: DeadLetter) -> None:
    changes.dead.append(letter)
    if letter.address is not None and letter.accountable:
        session, stream, first_seq, n = letter.address
        changes.mark(stream, session).leave_out(first_seq + n)


@dataclass(slots=True)
class _Stream:
    """One envelope's new records on their way into the rows of their stream."""

    changes: Changes
    envelope: Envelope
    partition: int
    offset: int

    def _run(self) -> Run:
        return self.changes.run(self.envelope.stream, self.partition, self.offset)

    def apply(self) -> None:
        changes, envelope = self.changes, self.envelope
        stream, session = envelope.stream, envelope.session
        mark = changes.mark(stream, session)
        if mark.ended == "lost" and revoke_loss(changes.known_run(stream), session, mark):
            changes.written.add(stream)
        if envelope.points:
            self._run()
        for event in envelope.events:
            kind = type(event)
            if kind in ON_THE_RUN:
                ON_THE_RUN[kind](self._run(), session, event)
                changes.written.add(stream)
                if isinstance(event, types.RunStarted | types.RunJoined):
                    begin(mark)
            elif kind in BESIDE_THE_RUN:
                self._run()
                BESIDE_THE_RUN[kind](changes, stream, session, event)
            elif isinstance(event, SessionEvent):
                self._apply_to_session(event)
            elif isinstance(event, ModelEvent):
                self._apply_to_model(event)
            elif isinstance(event, types.ModelArtifact):
                if event.model_id != stream:
                    self._run()
                changes.model_artifacts[stream, event.model_id, event.path] = event
            else:
                self._run()  # a series, which _segments takes
        self._segments()
        run = changes.known_run(stream)
        if run is not None:
            run.last_offset = self.offset

    def _apply_to_session(self, event: SessionEvent) -> None:
        stream = self.envelope.stream
        if isinstance(event, types.SessionLost) and event.session == self.envelope.session:
            return  # whoever says so is heard, and so not lost
        mark = self.changes.mark(stream, event.session)
        # a process that says so of itself has left the run; that ends it only when its machine says so
        leaves = isinstance(event, types.SessionEnded) and event.session == self.envelope.session
        run = None if leaves else self.changes.known_run(stream)
        if ON_A_SESSION[type(event)](run, mark, event):
            self.changes.written.add(stream)

    def _apply_to_model(self, event: ModelEvent) -> None:
        if event.model_id != self.envelope.stream:
            self._run()
        model = self.changes.model(self.envelope.stream, event.model_id)
        ON_A_MODEL[type(event)](model, event)
        model.last_update_time = event.time

    def _segments(self) -> None:
        """Points of single calls and whole series, in the order in which they were appended."""
        envelope, points = self.envelope, self.envelope.points
        done = 0
        for place, (index, event) in enumerate(zip(envelope.index, envelope.events, strict=True)):
            if isinstance(event, types.Series):
                before = index - place
                self._table(done, before)
                done = before
                zeros = array("q", bytes(8 * len(event.values)))
                self._segment([event.key], zeros, event.steps, event.times, event.values)
        self._table(done, len(points))

    def _table(self, low: int, end: int) -> None:
        p = self.envelope.points
        if low == 0 and end == len(p):
            self._segment(p.keys, p.k, p.s, p.t, p.v)
        else:
            self._segment(p.keys, p.k[low:end], p.s[low:end], p.t[low:end], p.v[low:end])

    def _segment(
        self,
        keys: Sequence[types.SeriesKey],
        k: "array[int]",
        s: "array[int]",
        t: "array[int]",
        v: "array[float]",
    ) -> None:
        if v:
            self.changes.segments.append(Segment(self.envelope.stream, self.offset, keys, k, s, t, v))
