"""Strategies for events that meet each other: few names, few times, every type there is."""

from array import array

from hypothesis import strategies as st

from runstone.events import identity, types
from runstone.events.types import SeriesKey
from tests.rows_in_memory import Point

SESSIONS = ("aa" * 16, "bb" * 16)

times = st.integers(0, 5)
words = st.sampled_from(["x", "y"])
paths = st.sampled_from(["x", "x/y", "x/y/z", "xy"])
values = st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf")])
keys = st.builds(SeriesKey, words, st.sampled_from(["", "m-1"]))
sessions = st.sampled_from(SESSIONS)
facts = st.dictionaries(words, words, max_size=2)
statuses = st.sampled_from(types.STATUSES)


def _series(key: SeriesKey, points: list[tuple[int, int, float]]) -> types.Series:
    s, t, v = zip(*points, strict=True) if points else ((), (), ())
    return types.Series(key, array("q", s), array("q", t), array("d", v))


run_events = st.one_of(
    st.builds(Point, keys, times, times, values),
    st.builds(Point, keys, times, times, values),
    st.builds(_series, keys, st.lists(st.tuples(times, times, values), max_size=3)),
    st.builds(types.RunStarted, st.just(7), words, words, times, words, st.just(""), facts),
    st.builds(types.RunJoined, times, facts),
    st.builds(types.RunContext, facts),
    st.builds(types.RunEnded, statuses, times, words),
    st.builds(types.RunRenamed, words, times),
    st.builds(types.RunDeleted, times),
    st.builds(types.RunRestored, times),
    st.builds(types.Param, words, words, times),
    st.builds(types.Tag, words, words, times),
    st.builds(types.TagDeleted, words, times),
    st.builds(types.Artifact, paths, words, times, st.just("0" * 64), words, times),
    st.builds(types.Artifact, paths, words, times, st.just("0" * 64), words, times),
    st.builds(types.ArtifactDeleted, paths | st.just(""), times),
    st.builds(types.ModelArtifact, words, paths, words, times, st.just("0" * 64), words, times),
    st.builds(types.DatasetInput, words, words, times, words, stored=facts),
    st.builds(types.ModelInput, words, times),
    st.builds(types.ModelOutput, words, times, times),
    st.builds(types.ModelCreated, words, st.just(7), words, times, words, words, facts, facts),
    st.builds(types.ModelParams, words, facts, times),
    st.builds(types.ModelTags, words, facts, times),
    st.builds(types.SessionEnded, sessions, statuses, times, words, st.booleans()),
    st.builds(types.SessionLost, sessions, times),
    st.builds(types.SessionFound, sessions, times),
    st.builds(types.RangeDeclared, sessions, times, times, words, times, words),
    st.builds(types.ModelFinalized, words, st.sampled_from(["READY", "FAILED", "PENDING"]), times),
    st.builds(types.ModelTagDeleted, words, words, times),
    st.builds(types.ModelDeleted, words, times),
)

names = st.sampled_from(["a", "b", "c"])
requests = st.just("") | st.uuids().map(lambda request: request.hex)
numbers = st.integers(1, 3)
stages = st.sampled_from(["None", "Staging", "Production", "Archived"])
IDS = [0, *(identity.experiment_id(name) for name in "abc")]
ids = st.sampled_from(IDS)
experiment_events = st.one_of(
    st.builds(types.ExperimentCreated, names, times, facts, words, requests),
    st.builds(types.ExperimentRenamed, ids, names, times, requests),
    st.builds(types.ExperimentDeleted, ids, times, requests),
    st.builds(types.ExperimentRestored, ids, times, requests),
    st.builds(types.ExperimentTag, ids, words, words, times, requests),
    st.builds(types.ExperimentTagDeleted, ids, words, times, requests),
)
registry_events = st.one_of(
    st.builds(types.RegisteredModelCreated, names, times, words, facts, requests),
    st.builds(types.RegisteredModelRenamed, names, names, times, requests),
    st.builds(types.RegisteredModelUpdated, names, words, times, requests),
    st.builds(types.RegisteredModelDeleted, names, times, requests),
    st.builds(types.RegisteredModelTag, names, words, words, times, requests),
    st.builds(types.RegisteredModelTagDeleted, names, words, times, requests),
    st.builds(types.RegisteredModelAlias, names, words, numbers, times, requests),
    st.builds(types.RegisteredModelAliasDeleted, names, words, times, requests),
    st.builds(types.ModelVersionCreated, names, words, times, words, tags=facts, request=requests),
    st.builds(types.ModelVersionCreated, names, words, times, request=requests),
    st.builds(types.ModelVersionUpdated, names, numbers, words, times, requests),
    st.builds(types.ModelVersionStaged, names, numbers, stages, times, st.booleans(), requests),
    st.builds(types.ModelVersionDeleted, names, numbers, times, requests),
    st.builds(types.ModelVersionTag, names, numbers, words, words, times, requests),
    st.builds(types.ModelVersionTagDeleted, names, numbers, words, times, requests),
)
