"""The read model as dictionaries: what the writer's SQL does with a batch's changes, said in Python.

The laws of the projector are checked against it, batch after batch, without a database.
"""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from runstone.events import Envelope, Event, PointTable, encode, encoding
from runstone.events.types import SeriesKey
from runstone_ingest.projector import Changes, Loaded, project
from runstone_ingest.projector.points import group
from runstone_ingest.projector.projection import Item, needed
from runstone_ingest.projector.rows import Needed, RegisteredModel
from runstone_ingest.projector.runs import is_within
from runstone_ingest.records import Admitted, Record


@dataclass(frozen=True)
class Point:
    """A metric point of a single call, as a record of a session."""

    key: SeriesKey
    step: int
    time: int
    value: float


def pack(session: str, stream: str, first_seq: int, records: list[Event | Point]) -> Envelope:
    """The envelope that carries *records*."""
    index, events, table = [], [], PointTable()
    for at, record in enumerate(records):
        if isinstance(record, Point):
            if record.key not in table.keys:
                table.keys = (*table.keys, record.key)
            table.k.append(table.keys.index(record.key))
            table.s.append(record.step)
            table.t.append(record.time)
            table.v.append(record.value)
        else:
            index.append(at)
            events.append(record)
    return Envelope(session, stream, first_seq, len(records), index, events, table)


def admitted(envelope: Envelope, offset: int, topic: str = "t", partition: int = 0) -> Admitted:
    """*envelope* as it comes out of a topic."""
    headers = encoding.headers(envelope.session, envelope.stream, envelope.first_seq, envelope.n)
    value = encode(envelope)
    return Admitted(Record(topic, partition, offset, envelope.stream.encode(), value, headers), envelope)


@dataclass
class Hanging:
    """The rows that hang on a registered model, but for its versions."""

    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    version_tags: dict[tuple[int, str], str] = field(default_factory=dict)

    def take(self, model: RegisteredModel) -> None:
        """What a batch changed of them."""
        for here, changed in (
            (self.tags, model.tags),
            (self.aliases, model.aliases),
            (self.version_tags, model.version_tags),
        ):
            for key, value in changed.items():
                here.pop(key, None)
                if value is not None:
                    here[key] = value
        gone = [alias for alias, version in self.aliases.items() if version in model.deleted_versions]
        for alias in gone:
            del self.aliases[alias]

    def __repr__(self) -> str:
        return repr([sorted(rows.items()) for rows in vars(self).values()])


@dataclass
class Tables:
    """The rows, by their keys."""

    loaded: Loaded = field(default_factory=Loaded)
    params: dict[Any, tuple[str, int]] = field(default_factory=dict)
    conflicts: dict[Any, tuple[str, int]] = field(default_factory=dict)
    tags: dict[Any, tuple[str, int]] = field(default_factory=dict)
    artifacts: dict[Any, Any] = field(default_factory=dict)
    datasets: dict[Any, Any] = field(default_factory=dict)
    inputs: dict[Any, int] = field(default_factory=dict)
    outputs: dict[Any, int] = field(default_factory=dict)
    experiment_tags: dict[Any, str] = field(default_factory=dict)
    model_artifacts: dict[Any, Any] = field(default_factory=dict)
    registry: dict[str, "Hanging"] = field(default_factory=dict)
    verdicts: dict[str, Any] = field(default_factory=dict)
    series: dict[Any, list[tuple[int, int, float]]] = field(default_factory=dict)

    def batch(self, items: list[Item]) -> Changes:
        """Project *items*, given the rows they ask for, and apply what comes out."""
        loaded = self._load(needed(items))
        before = deepcopy(loaded)
        changes = project(items, loaded)
        assert loaded == before, "a rule changed a row that it was only given"
        self.loaded.marks |= changes.marks
        self.loaded.runs |= changes.runs
        self.loaded.models |= changes.models
        self.loaded.experiments |= changes.experiments
        self.loaded.installed |= changes.installation is not None
        for (run_id, key), values in changes.params.items():
            first, _ = self.params.setdefault((run_id, key), (values[0].value, values[0].time))
            for value in values:
                if value.value != first:
                    self.conflicts.setdefault((run_id, key, value.value), (value.session, value.time))
        for tag_key, tag in changes.tags.items():
            self.tags.pop(tag_key, None)
            if tag is not None:
                self.tags[tag_key] = tag.value, tag.time
        for run_id, path in changes.deleted_artifacts:
            for at in [at for at in self.artifacts if at[0] == run_id and is_within(path, at[1])]:
                del self.artifacts[at]
        self.artifacts |= changes.artifacts
        self.model_artifacts |= changes.model_artifacts
        self.datasets |= changes.dataset_inputs
        self.inputs = changes.model_inputs | self.inputs
        self.outputs = changes.model_outputs | self.outputs
        for key, value in changes.experiment_tags.items():
            self.experiment_tags.pop(key, None)
            if value is not None:
                self.experiment_tags[key] = value
        self.loaded.experiment_tags = set(self.experiment_tags)
        self._registry(changes)
        for request, verdict in changes.verdicts.items():
            self.verdicts.setdefault(request, (verdict.code, verdict.answer))
        if changes.segments:
            grouped = group(changes.segments)
            for number, series in enumerate(grouped.series):
                part = slice(grouped.starts[number], grouped.starts[number + 1])
                self.series.setdefault(series, []).extend(
                    zip(
                        grouped.s[part].tolist(),
                        grouped.t[part].tolist(),
                        grouped.v[part].tolist(),
                        strict=True,
                    )
                )
        return changes

    def _load(self, wanted: Needed) -> Loaded:
        every = self.loaded
        names = wanted.experiment_names
        loaded = Loaded(
            {key: every.marks[key] for key in wanted.marks & every.marks.keys()},
            {key: every.runs[key] for key in wanted.runs & every.runs.keys()},
            {key: every.models[key] for key in wanted.models & every.models.keys()},
            {
                key: row
                for key, row in every.experiments.items()
                if key in wanted.experiment_ids or row.name in names or row.created_as in names
            },
            every.experiment_tags & wanted.experiment_tags,
            {
                name: every.registered_models[name].copy()
                for name in wanted.registered_models & every.registered_models.keys()
            },
            every.installed,
        )
        for model in loaded.registered_models.values():
            model.versions = {
                number: row
                for number, row in model.versions.items()
                if number in wanted.versions or row.current_stage in wanted.stages
            }
        return loaded

    def _registry(self, changes: Changes) -> None:
        stored = self.loaded.registered_models
        for old, new, time in changes.moved:
            model, hanging = stored.pop(old), self.registry.pop(old)
            if new is not None:
                assert new not in stored
                stored[new], self.registry[new] = model, hanging
                for version in model.versions.values():
                    version.last_update_time = time
        for name, model in changes.registered_models.items():
            if model is None:
                assert name not in stored
                continue
            hanging = self.registry.setdefault(name, Hanging())
            versions = stored[name].versions | model.versions if name in stored else model.versions
            hanging.take(model)
            stored[name] = model.copy()
            stored[name].versions, stored[name].stored = versions, True

    def content(self) -> str:
        """Everything that must not depend on how records were packed, batched and repeated; NaN equals NaN."""
        runs = {key: asdict(run) | {"last_offset": None} for key, run in sorted(self.loaded.runs.items())}
        marks = {key: asdict(mark) for key, mark in sorted(self.loaded.marks.items())}
        rest = {
            name: sorted(getattr(self, name).items(), key=repr) for name in vars(self) if name != "loaded"
        }
        registry = [asdict(model) for _name, model in sorted(self.loaded.registered_models.items())]
        for model in registry:
            model["versions"] = sorted(model["versions"].items())
        models, experiments = sorted(self.loaded.models.items()), sorted(self.loaded.experiments.items())
        return repr((runs, marks, models, experiments, registry, rest))
