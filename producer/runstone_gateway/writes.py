"""Looks up what a write to a run or model is checked against, and remembers what was written.

`run` and `model` answer with the read model's facts under the overlay of this gateway's own unapplied
writes. They await only before they look at the overlay, so a caller that checks and appends without an
await of its own cannot be contradicted by another request of this gateway.

**What is remembered for a moment.** A training loop logs metric after metric to one run, and all that must
be known is that the run exists and is active. So for `REMEMBERED_FOR` seconds a run that was asked about is
taken to be as it was then, with everything that this gateway wrote since. What another gateway or a native
client wrote in the meantime may be missing: for so long a metric or tag may be accepted for a run that was
just deleted elsewhere (it is kept, and shown when the run is restored). Params and tags that a check needs
are always asked for.

**What is not there** is asked for again at the very end of its partition before anybody is told so: another
gateway, or a native client, may have created it a moment ago.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runstone.events import CATALOG, Event, PointTable
from runstone.events.limits import INDEXED_MAX
from runstone_gateway.facts import ReadApi
from runstone_gateway.ledger import Ledger, Needs, Place, Written, merged
from runstone_gateway.overlay import Dataset, Overlay, Subject
from runstone_gateway.unavailable import UnavailableError

REMEMBERED_FOR: Final = 5.0
"""Seconds."""

OVERLAY_MOST: Final = 128 * 1024 * 1024
"""Bytes of what the read model has not applied, above which nothing is written that must be remembered."""

REMEMBERED_MOST: Final = 20_000
"""Runs; those that were not used for longest are forgotten first."""


class Writes:
    """The facts, the overlay and the ledger as one; on the gateway's loop."""

    def __init__(self, ledger: Ledger, read_api: ReadApi) -> None:
        self.ledger = ledger
        self.overlay = Overlay()
        self._read_api = read_api
        self._remembered: OrderedDict[str, tuple[float, Subject]] = OrderedDict()
        self._forgotten = 0

    async def run(
        self,
        run_id: str,
        params: Sequence[str] = (),
        tags: Sequence[str] = (),
        datasets: Sequence[Dataset] = (),
        *,
        fresh: bool = False,
    ) -> Subject | None:
        """The run with those of *params*, *tags* and *datasets* that it has; None where there is none.

        With *fresh* it is asked for also where it is remembered.

        Raises:
            UnavailableError: the read API or Kafka does not answer.
        """
        if len(run_id) > INDEXED_MAX:  # nobody's id, and more than the read API takes
            return None
        if not (params or tags or datasets or fresh) and (known := self._recall(run_id)) is not None:
            return known
        forgotten = self._forgotten
        wanted: dict[str, list[str]] = {"params": list(params), "tags": list(tags)}
        if datasets:
            wanted["datasets"] = sorted({name for name, _ in datasets})
        told = await self._told(run_id, {"runs": {run_id: wanted}})
        found = self.overlay.over(run_id, told, params, tags, datasets)
        if found is None or found.fields.get("experiment_id") is None:
            return None  # of a run that has not begun there may be points, but it is in no experiment
        if forgotten == self._forgotten:
            self._remember(run_id, found)
        return found

    async def model(self, model_id: str, params: Sequence[str] = ()) -> tuple[str, Subject] | None:
        """The logged model with those of *params* that it has, and its stream; None where there is none."""
        # its stream is its source run's, which only the read model knows: ask without naming a partition
        await self.ledger.ready()
        asked = {"models": [model_id]}
        told = (await self._ask(asked, None))["models"].get(model_id)
        if told is None and not self.overlay.has(model_id):
            told = (await self._ask(asked, await self.ledger.ends()))["models"].get(model_id)
        elif told is not None:
            place = self.ledger.place(str(told["stream"]))
            if (floor := self.ledger.unapplied_floor(place)) is not None:
                told = (await self._ask(asked, _needs(place, floor)))["models"].get(model_id)
        subject = self.overlay.over(model_id, told, params)
        return None if subject is None else (str(subject.fields["stream"]), subject)

    async def experiment(self, experiment_id: int) -> Mapping[str, Any] | None:
        """The experiment's name, lifecycle_stage and artifact_location; None where there is none."""
        await self.ledger.ready()
        place, asked = self.ledger.place(CATALOG), {"experiments": [experiment_id]}
        floor = self.ledger.unapplied_floor(place)
        told = (await self._ask(asked, _needs(place, floor), place))["experiments"].get(str(experiment_id))
        if told is None:
            end = _needs(place, await self.ledger.end(place))
            told = (await self._ask(asked, end, place))["experiments"].get(str(experiment_id))
        return None if told is None else dict(told)

    async def experiment_and_run(
        self, experiment_id: int, run_id: str
    ) -> tuple[Mapping[str, Any] | None, Subject | None]:
        """An experiment, and a run in it that most likely does not exist yet; None for either."""
        await self.ledger.ready()
        places = [self.ledger.place(CATALOG), self.ledger.place(run_id)]
        floors = [_needs(place, self.ledger.unapplied_floor(place)) or {} for place in places]
        asked = {"experiments": [experiment_id], "runs": {run_id: {}}}
        found = await self._ask(asked, merged(*floors), *places)
        experiment = found["experiments"].get(str(experiment_id))
        if experiment is None:
            experiment = await self.experiment(experiment_id)
        return experiment, self.overlay.over(run_id, found["runs"].get(run_id))

    def append(
        self,
        run_id: str,
        events: Sequence[Event],
        points: PointTable | None = None,
        *,
        created: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str | None] | None = None,
        datasets: Sequence[Dataset] = (),
    ) -> Written:
        """Append to a run's stream, and remember what that changes about the run.

        *created* holds all fields of the run, where this begins it; *fields* those that get new values,
        *params* and *datasets* those that it gets, *tags* those that are set or (None) deleted.

        Raises:
            UnavailableError: nothing was written.
        """
        if created or fields or params or tags or datasets:
            self._check_room()
        written = self.ledger.append(run_id, events, points)
        if created is not None:
            self.overlay.created(run_id, created, written)
            self._remember(run_id, Subject(created, {}, {}))
        self.overlay.changed(run_id, written, fields=fields, params=params, tags=tags, datasets=datasets)
        if fields and run_id in self._remembered:
            since, known = self._remembered[run_id]
            self._remembered[run_id] = since, Subject({**known.fields, **fields}, {}, {})
        written.acknowledged.add_done_callback(lambda done: self._withdraw(written, done))
        return written

    def append_to_model(
        self,
        stream: str,
        model_id: str,
        events: Sequence[Event],
        *,
        created: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Written:
        """The same for a logged model, whose events lie in *stream*."""
        self._check_room()
        written = self.ledger.append(stream, events)
        if created is not None:
            self.overlay.created(model_id, created, written)
        self.overlay.changed(model_id, written, fields=fields, params=params)
        written.acknowledged.add_done_callback(lambda done: self._withdraw(written, done))
        return written

    def forget(self, experiment_id: int) -> None:
        """The experiment's lifecycle has changed, and its runs' with it; also of those just asked about."""
        self._forgotten += 1
        for run_id, (_, known) in list(self._remembered.items()):
            if known.fields.get("experiment_id") == experiment_id:
                del self._remembered[run_id]

    def _check_room(self) -> None:
        if self.overlay.size > OVERLAY_MOST:
            raise UnavailableError("the read model is too far behind for writes to be checked", 10)

    async def _told(self, run_id: str, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What the read model has of a run, asked at the end of its partition before it is nothing."""
        await self.ledger.ready()
        place = self.ledger.place(run_id)
        floor = self.ledger.unapplied_floor(place)
        told: Mapping[str, Any] | None = (await self._ask(asked, _needs(place, floor), place))["runs"].get(
            run_id
        )
        if told is None and not self.overlay.has(run_id):
            end = _needs(place, await self.ledger.end(place))
            told = (await self._ask(asked, end, place))["runs"].get(run_id)
        return told

    async def _ask(self, asked: Mapping[str, Any], needs: Needs | None, *concerned: Place) -> dict[str, Any]:
        """The facts; asked once more where they are older than what has been seen of the read model already.

        *concerned* are the partitions that they come from; where none is named it may be any.
        """
        while True:
            found = await self._read_api.facts({**asked, "at_least": needs} if needs else asked)
            stale: Needs = {}
            for topic, partitions in found["applied"].items():
                for partition, offset in partitions.items():
                    place = (topic, int(partition))
                    if offset < self.ledger.applied_to(place) and (not concerned or place in concerned):
                        stale.setdefault(topic, {})[partition] = self.ledger.applied_to(place)
                    self.ledger.applied(topic, place[1], offset)
                    self.overlay.prune(place, offset)
            if not stale:
                return found
            needs = merged(needs or {}, stale)

    def _recall(self, run_id: str) -> Subject | None:
        since, known = self._remembered.get(run_id, (0.0, None))
        if known is None or asyncio.get_running_loop().time() - since > REMEMBERED_FOR:
            return None
        if known.fields["lifecycle_stage"] != "active":
            return None  # nobody is refused by memory alone
        self._remembered.move_to_end(run_id)
        return known

    def _remember(self, run_id: str, found: Subject) -> None:
        self._remembered[run_id] = asyncio.get_running_loop().time(), Subject(found.fields, {}, {})
        self._remembered.move_to_end(run_id)
        if len(self._remembered) > REMEMBERED_MOST:
            self._remembered.popitem(last=False)

    def _withdraw(self, written: Written, done: "asyncio.Future[int]") -> None:
        if done.cancelled() or done.exception() is not None:
            self.overlay.withdraw(written)
            self._remembered.clear()


def _needs(place: Place, offset: int | None) -> Needs | None:
    return None if offset is None else {place[0]: {str(place[1]): offset}}
