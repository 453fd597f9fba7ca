"""The rows that rules read and write; their fields are columns, which ``schema.sql`` explains."""

from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runstone.events import types
from runstone_ingest.marks import Mark
from runstone_ingest.projector.points import Segment
from runstone_ingest.records import DeadLetter

MarkKey = tuple[str, str]
"""(stream, session)."""

ModelKey = tuple[str, str]
"""(stream, model id)."""


@dataclass(slots=True)
class Run:
    """A row of ``runs``."""

    run_id: str
    topic_partition: int
    last_offset: int
    experiment_id: int | None = None
    experiment_name: str | None = None
    name: str | None = None
    status: str = "RUNNING"
    status_reason: str | None = None
    lifecycle_stage: str = "active"
    start_time: int | None = None
    end_time: int | None = None
    user_name: str | None = None
    parent_run_id: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    owner_session: str | None = None
    ended_by: str | None = None


@dataclass(slots=True)
class Model:
    """A row of ``logged_models``."""

    model_id: str
    stream: str
    experiment_id: int | None = None
    name: str | None = None
    model_type: str = ""
    source_run_id: str = ""
    status: str = "PENDING"
    lifecycle_stage: str = "active"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None


@dataclass(slots=True)
class Experiment:
    """A row of ``experiments``."""

    experiment_id: int
    name: str
    created_as: str
    creation_time: int
    last_update_time: int
    lifecycle_stage: str = "active"
    artifact_location: str = ""


@dataclass(slots=True)
class ModelVersion:
    """A row of ``model_versions``, but for the name that it hangs on."""

    version: int
    source: str
    creation_time: int
    last_update_time: int
    run_id: str = ""
    run_link: str = ""
    description: str = ""
    model_id: str = ""
    user_name: str = ""
    current_stage: str = "None"
    lifecycle_stage: str = "active"
    storage_location: str = ""


@dataclass(slots=True)
class RegisteredModel:
    """A row of ``registered_models``, and what a batch changes of the rows that hang on it.

    They hang on the model and not on its name, so that a rename moves them all. A tag or alias that is None
    is deleted. ``versions`` holds those that were loaded as well.
    """

    name: str
    creation_time: int
    last_update_time: int
    description: str = ""
    last_version: int = 0
    stored: bool = False  # whether the database has it, under whatever name
    tags: dict[str, str | None] = field(default_factory=dict)
    aliases: dict[str, int | None] = field(default_factory=dict)
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    version_tags: dict[tuple[int, str], str | None] = field(default_factory=dict)
    deleted_versions: set[int] = field(default_factory=set)  # whose aliases go

    def copy(self) -> "RegisteredModel":
        """One that can be changed while this one stays what the database holds."""
        made = copy(self)
        made.tags, made.aliases, made.version_tags = {}, {}, {}
        made.versions = {number: copy(version) for number, version in self.versions.items()}
        made.deleted_versions = set()
        return made


class Moved(NamedTuple):
    """What became of a registered model that the database has under the name ``old``."""

    old: str
    new: str | None  # None: it was deleted
    time: int


@dataclass(slots=True)
class Verdict:
    """A row of ``verdicts``; it is accepted where ``code`` is empty."""

    request: str
    offset: int
    code: str
    answer: dict[str, Any]


@dataclass(slots=True)
class Param:
    """A value that was given to a param, and by whom first."""

    value: str
    session: str
    time: int


@dataclass(slots=True)
class Needed:
    """Which rows a batch meets; all of them must be in `Loaded` if they exist."""

    marks: set[MarkKey] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    models: set[ModelKey] = field(default_factory=set)
    experiment_ids: set[int] = field(default_factory=set)
    experiment_names: set[str] = field(default_factory=set)
    experiment_tags: set[tuple[int, str]] = field(default_factory=set)
    registered_models: set[str] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)  # of any of these models, since one may be renamed
    stages: set[str] = field(default_factory=set)  # all versions of these models that are in one of them


@dataclass(slots=True)
class Loaded:
    """The rows that exist, as the database holds them; never changed by a rule."""

    marks: dict[MarkKey, Mark] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[ModelKey, Model] = field(default_factory=dict)
    experiments: dict[int, Experiment] = field(default_factory=dict)
    experiment_tags: set[tuple[int, str]] = field(default_factory=set)
    registered_models: dict[str, RegisteredModel] = field(default_factory=dict)
    installed: bool = False


@dataclass(slots=True)
class Tally:
    """How many Kafka records of a partition a batch brought, and what became of them."""

    records: int = 0
    duplicates: int = 0
    dead: int = 0


@dataclass(slots=True)
class Changes:
    """What a batch makes of the rows it meets.

    Whole rows (marks, runs, models, experiments) replace those with the same key. ``params`` holds for each
    (run, key) the distinct values in topic order; the first that was ever given wins. A tag that is None is
    deleted. Of a run that is not in ``written`` nothing but ``last_offset`` changed. Stored pointers of paths
    in ``deleted_artifacts``, and of what lies below, go before ``artifacts`` come. ``moved`` happened, in
    this order, to registered models that are stored; a name in ``registered_models`` that is None is free.
    """

    loaded: Loaded
    marks: dict[MarkKey, Mark] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    params: dict[tuple[str, str], list[Param]] = field(default_factory=dict)
    tags: dict[tuple[str, str], types.Tag | None] = field(default_factory=dict)
    artifacts: dict[tuple[str, str], types.Artifact] = field(default_factory=dict)
    deleted_artifacts: set[tuple[str, str]] = field(default_factory=set)
    model_artifacts: dict[tuple[str, str, str], types.ModelArtifact] = field(default_factory=dict)
    dataset_inputs: dict[tuple[str, str, str], types.DatasetInput] = field(default_factory=dict)
    model_inputs: dict[tuple[str, str], int] = field(default_factory=dict)
    model_outputs: dict[tuple[str, str, int], int] = field(default_factory=dict)
    models: dict[ModelKey, Model] = field(default_factory=dict)
    installation: types.InstallationCreated | None = None
    experiments: dict[int, Experiment] = field(default_factory=dict)
    experiment_tags: dict[tuple[int, str], str | None] = field(default_factory=dict)
    registered_models: dict[str, RegisteredModel | None] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)

    def mark(self, stream: str, session: str) -> Mark:
        """The mark of a session in a stream, to be changed."""
        key = (stream, session)
        found = self.marks.get(key)
        if found is None:
            before = self.loaded.marks.get(key)
            found = self.marks[key] = before.copy() if before is not None else Mark()
        return found

    def known_run(self, run_id: str) -> Run | None:
        """The run's row, to be changed; None where there is none yet."""
        found = self.runs.get(run_id)
        if found is None:
            before = self.loaded.runs.get(run_id)
            if before is None:
                return None
            found = self.runs[run_id] = copy(before)
        return found

    def run(self, run_id: str, partition: int, offset: int) -> Run:
        """The run's row, to be changed; made where there is none yet."""
        found = self.known_run(run_id)
        if found is None:
            found = self.runs[run_id] = Run(run_id, partition, offset)
            self.written.add(run_id)
        return found

    def model(self, stream: str, model_id: str) -> Model:
        """The logged model's row, to be changed; made where there is none yet."""
        key = (stream, model_id)
        found = self.models.get(key)
        if found is None:
            before = self.loaded.models.get(key)
            found = self.models[key] = copy(before) if before is not None else Model(model_id, stream)
        return found

    def experiment(self, experiment_id: int) -> Experiment | None:
        """The experiment's row, to be changed; None where there is none."""
        found = self.experiments.get(experiment_id)
        if found is None:
            before = self.loaded.experiments.get(experiment_id)
            if before is None:
                return None
            found = self.experiments[experiment_id] = copy(before)
        return found

    def has_experiment_tag(self, experiment_id: int, key: str) -> bool:
        """Whether the experiment has a tag of that key at this point of the catalog."""
        at = (experiment_id, key)
        if at in self.experiment_tags:
            return self.experiment_tags[at] is not None
        return at in self.loaded.experiment_tags

    def registered_model(self, name: str) -> RegisteredModel | None:
        """The registered model that has this name at this point, to be changed; None where there is none."""
        if name not in self.registered_models:
            before = self.loaded.registered_models.get(name)
            self.registered_models[name] = before.copy() if before is not None else None
        return self.registered_models[name]
