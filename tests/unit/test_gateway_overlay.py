"""The overlay: whatever the read model has applied and whatever was pruned, own writes are seen."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runstone_gateway.overlay import Overlay

PLACE = ("events", 0)
RUN = "a run"
KEYS = ("a", "b", "c")


@dataclass
class Mark:
    place: tuple[str, int]
    offset: int | None


def empty() -> dict[str, Any]:
    return {"exists": False, "fields": {}, "params": {}, "tags": {}}


def fold(writes: list[tuple[str, str, str]]) -> dict[str, Any]:
    """What a run is after *writes*, the way the projector folds them."""
    run = empty()
    for kind, key, value in writes:
        if kind == "created":
            run["exists"] = True
            run["fields"] |= {"name": value, "lifecycle_stage": "active"}
        elif kind == "field":
            run["fields"]["lifecycle_stage"] = value
        elif kind == "param":
            run["params"].setdefault(key, value)
        elif kind == "tag":
            run["tags"][key] = value
        else:
            run["tags"].pop(key, None)
    return run


def write(overlay: Overlay, mark: Mark, kind: str, key: str, value: str) -> None:
    """As a handler does it, after it has looked."""
    if kind == "created":
        overlay.created(RUN, {"name": value, "lifecycle_stage": "active"}, mark)
    elif kind == "field":
        overlay.changed(RUN, mark, fields={"lifecycle_stage": value})
    elif kind == "param":
        overlay.changed(RUN, mark, params={key: value})
    else:
        overlay.changed(RUN, mark, tags={key: value if kind == "tag" else None})


changes = st.tuples(
    st.sampled_from(["field", "param", "tag", "untag"]), st.sampled_from(KEYS), st.sampled_from("123")
)


@given(st.lists(changes, max_size=12), st.data())
def test_a_run_is_seen_with_all_own_writes_however_far_the_read_model_and_the_acknowledgements_are(
    later, data
):
    writes = [("created", "", "n")]
    for kind, key, value in later:
        if kind != "param" or key not in fold(writes)["params"]:  # others are refused before they are written
            writes.append((kind, key, value))
    applied = data.draw(st.integers(0, len(writes)))
    acknowledged = data.draw(st.integers(0, len(writes)))
    pruned = data.draw(st.integers(0, applied))
    overlay = Overlay()
    for offset, one in enumerate(writes):
        write(overlay, Mark(PLACE, offset if offset < acknowledged else None), *one)
    overlay.prune(PLACE, pruned)
    model = fold(writes[:applied])
    found = model["fields"] | {"params": model["params"], "tags": model["tags"]} if model["exists"] else None
    seen = overlay.over(RUN, found, KEYS, KEYS)
    expected = fold(writes)
    assert seen is not None
    assert {name: seen.fields[name] for name in expected["fields"]} == expected["fields"]
    assert seen.params == expected["params"]
    assert seen.tags == expected["tags"]


@given(st.lists(changes, max_size=12))
def test_nothing_stays_when_the_read_model_has_everything(later):
    overlay = Overlay()
    for offset, one in enumerate([("created", "", "n"), *later]):
        write(overlay, Mark(PLACE, offset), *one)
    overlay.prune(PLACE, len(later) + 1)
    assert len(overlay) == 0


def test_an_unacknowledged_write_stays_whatever_the_read_model_says():
    overlay = Overlay()
    write(overlay, Mark(PLACE, None), "created", "", "n")
    overlay.prune(PLACE, 10**9)
    assert overlay.over(RUN, None) is not None


def test_a_param_of_somebody_else_that_came_first_wins_over_the_own_one():
    overlay = Overlay()
    write(overlay, Mark(PLACE, 7), "param", "a", "mine")
    seen = overlay.over(RUN, {"params": {"a": "theirs"}}, ["a"])
    assert seen is not None
    assert seen.params == {"a": "theirs"}


def test_a_write_that_the_broker_refused_was_never_true():
    overlay = Overlay()
    kept, refused = Mark(PLACE, 0), Mark(PLACE, None)
    write(overlay, kept, "created", "", "n")
    write(overlay, refused, "param", "a", "1")
    overlay.withdraw(refused)
    seen = overlay.over(RUN, None, ["a"])
    assert seen is not None
    assert seen.params == {}


def test_partitions_are_pruned_one_by_one():
    overlay = Overlay()
    overlay.created("one", {}, Mark(("events", 0), 3))
    overlay.created("two", {}, Mark(("events", 1), 3))
    overlay.prune(("events", 0), 4)
    assert overlay.over("one", None) is None
    assert overlay.over("two", None) is not None


def test_datasets_are_those_that_were_applied_and_those_that_were_just_logged():
    overlay = Overlay()
    write(overlay, Mark(PLACE, 0), "created", "", "n")
    overlay.changed(RUN, Mark(PLACE, 5), datasets=[("a", "1")])
    asked = [("a", "1"), ("a", "2"), ("b", "1")]
    seen = overlay.over(RUN, {"datasets": {"a": ["2"]}}, datasets=asked)
    assert seen is not None
    assert seen.datasets == {("a", "1"), ("a", "2")}
    overlay.prune(PLACE, 6)
    seen = overlay.over(RUN, {"datasets": {"a": ["1", "2"]}}, datasets=asked)
    assert seen is not None
    assert (seen.datasets, len(overlay)) == ({("a", "1"), ("a", "2")}, 0)
