"""The same records give the same rows, however they are packed, batched and repeated."""

from itertools import accumulate, groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.events import cut, types
from tests.event_strategies import SESSIONS, experiment_events, names, registry_events, run_events, sessions
from tests.rows_in_memory import Tables, admitted, pack

RUN = "0a" * 16

topic_order = st.lists(st.tuples(sessions, run_events), min_size=1, max_size=25)


@settings(max_examples=200)
@given(topic_order, st.data())
def test_packing_batching_and_repeats_change_nothing(records: list[tuple[str, Any]], data: st.DataObject):
    plain, seqs = Tables(), dict.fromkeys(SESSIONS, 0)
    numbered = []
    for offset, (session, record) in enumerate(records):
        plain.batch([admitted(pack(session, RUN, seqs[session], [record]), offset)])
        numbered.append((session, seqs[session], record))
        seqs[session] += 1

    envelopes = []
    for session, group in groupby(numbered, key=lambda one: one[0]):
        run = list(group)
        breaks = data.draw(st.lists(st.integers(0, len(run)), max_size=3).map(sorted))
        for low, end in zip([0, *breaks], [*breaks, len(run)], strict=True):
            if low < end:
                envelopes.append(pack(session, RUN, run[low][1], [r for _, _, r in run[low:end]]))
    sent = []
    for envelope in envelopes:
        sent.append(envelope)
        for again in data.draw(st.lists(st.sampled_from(sent), max_size=2)):
            # a resend may be packed otherwise: part of it, never more than was sent before
            low = data.draw(st.integers(again.first_seq, again.end_seq - 1))
            sent.append(cut(again, low, again.end_seq))
    items = [admitted(envelope, offset) for offset, envelope in enumerate(sent)]
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=len(items), max_size=len(items)))

    packed = Tables()
    ends = [end for end in accumulate(sizes) if end < len(items)]
    for low, end in zip([0, *ends], [*ends, len(items)], strict=True):
        packed.batch(items[low:end])
    assert packed.content() == plain.content()


def _catalog(events: list[Any]) -> list[Any]:
    return [admitted(pack(SESSIONS[0], "catalog", n, [e]), n) for n, e in enumerate(events)]


@given(st.lists(experiment_events, min_size=1, max_size=20), st.integers(1, 20))
def test_the_catalog_decides_alike_in_one_batch_and_in_many(events: list[Any], size: int):
    one, many = Tables(), Tables()
    items = _catalog(events)
    one.batch(items)
    for low in range(0, len(items), size):
        many.batch(items[low : low + size])
    assert many.content() == one.content()
    held = [e.name for e in one.loaded.experiments.values()]
    assert len(set(held)) == len(held), "a name is held by one experiment at most"
    asked = {e.request for e in events if e.request}
    assert set(one.verdicts) == asked, "whoever asks gets a verdict"


@settings(max_examples=300)
@given(st.lists(registry_events, min_size=1, max_size=30), st.integers(1, 30))
def test_the_registry_decides_alike_in_one_batch_and_in_many(events: list[Any], size: int):
    one, many = Tables(), Tables()
    items = _catalog(events)
    one.batch(items)
    for low in range(0, len(items), size):
        many.batch(items[low : low + size])
    assert many.content() == one.content()
    for name, model in one.loaded.registered_models.items():
        assert model.name == name
        assert sorted(model.versions) == list(range(1, model.last_version + 1)), "numbers are dense"
        alive = {n for n, version in model.versions.items() if version.lifecycle_stage == "active"}
        assert set(one.registry[name].aliases.values()) <= alive, "an alias points to a version that is there"
    assert set(one.verdicts) == {e.request for e in events if e.request}


@given(st.lists(names, min_size=1, max_size=40), st.integers(1, 40))
def test_exactly_one_of_many_creations_of_a_name_is_accepted(wanted: list[str], size: int):
    tables = Tables()
    made = [types.ExperimentCreated(name, n, request=f"e{n}") for n, name in enumerate(wanted)]
    made += [types.RegisteredModelCreated(name, n, request=f"m{n}") for n, name in enumerate(wanted)]
    items = _catalog(made)
    for low in range(0, len(items), size):
        tables.batch(items[low : low + size])
    for kind in "em":
        accepted = [name for n, name in enumerate(wanted) if tables.verdicts[f"{kind}{n}"][0] == ""]
        assert sorted(accepted) == sorted(set(wanted))
