"""What the calls leave in the spool, from the first run of a process to its end."""

import asyncio
import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import runstone
from runstone import lifetime, notices
from runstone.events.identity import experiment_id
from runstone.events.types import Tag
from runstone.exceptions import InvalidInputError, RunEndedError, RunstoneError
from tests.spool_contents import (
    POINT,
    SERIES,
    Record,
    assert_dense,
    events,
    run_streams,
    session_folders,
    spool_records,
)

URI = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def offline_environment(monkeypatch):
    for name in ("EXPERIMENT", "RUN_ID", "DISABLED", "STRICT", "SPOOL_LIMIT"):
        monkeypatch.delenv(f"RUNSTONE_{name}", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setattr(notices, "_said", set())


@pytest.fixture
def client(tmp_path):
    made = runstone.Client(URI, spool=tmp_path / "spool")
    yield made
    while made.active_run():
        made.end_run()


@pytest.fixture
def records(tmp_path):
    def read() -> list[Record]:
        lifetime.slow_facts.finish(30)
        found = spool_records(tmp_path / "spool")
        assert_dense(found)
        return found

    return read


def uploads(root: Path) -> list[tuple[dict, bytes]]:
    [folder] = session_folders(root / "spool")
    orders = [json.loads(order.read_bytes()) for order in sorted((folder / "uploads").glob("*.json"))]
    return [(order, (folder / "uploads" / f"{order['id']}.data").read_bytes()) for order in orders]


def test_nothing_is_written_before_the_first_run(client, tmp_path):
    client.set_experiment("e")
    assert client.active_run() is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_announces_its_experiment_starts_takes_what_is_logged_and_ends(client, records):
    client.set_experiment("Churn")
    with client.start_run(run_name="first", tags={"team": "blue"}) as run:
        client.log_param("C", 0.1)
        client.log_metric("loss", 0.5, 3)
        client.log_metric("loss", np.float32(0.25))
        client.set_tag("stage", "dev")
        client.delete_tag("stage")
        assert client.active_run() is run
    assert client.active_run() is None
    found = records()
    assert [e["name"] for e in events(found, "catalog", "experiment_created")] == ["Churn"]
    of_run = [r for r in found if r.stream == run.run_id]
    kinds = [r.data["type"] if r.kind != POINT else "point" for r in of_run]
    assert [k for k in kinds if k != "run_context"] == [
        "run_started", "tag", "param", "point", "point", "tag", "tag_deleted", "run_ended",
    ]  # fmt: skip
    started = of_run[0].data
    assert started["experiment_id"] == run.experiment_id == experiment_id("Churn")
    assert (started["experiment_name"], started["name"]) == ("Churn", "first")
    assert started["user"] == started["context"]["user"]
    assert [(r.key, r.data) for r in of_run if r.kind == POINT] == [("loss", (3, 0.5)), ("loss", (0, 0.25))]
    assert events(found, run.run_id, "run_ended")[0]["status"] == "FINISHED"
    [context] = events(found, run.run_id, "run_context")
    assert {"command", "packages"} <= set(context["context"])


def test_an_experiment_is_announced_once_in_a_process(client, records):
    for name in ("a", "b", "a"):
        client.start_run(experiment=name).end()
    assert [e["name"] for e in events(records(), "catalog", "experiment_created")] == ["a", "b"]


def test_a_block_that_is_left_by_an_exception_fails_the_run_with_its_type_and_message(client, records):
    with pytest.raises(ZeroDivisionError), client.start_run() as run:
        _ = 1 / 0
    [ended] = events(records(), run.run_id, "run_ended")
    assert (ended["status"], ended["reason"]) == ("FAILED", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("code", "status"), [(0, "FINISHED"), (None, "FINISHED"), (3, "FAILED"), ("no", "FAILED")]
)
def test_a_block_that_is_left_by_an_exit_ends_by_its_code(client, records, code, status):
    with pytest.raises(SystemExit), client.start_run() as run:
        raise SystemExit(code)
    assert events(records(), run.run_id, "run_ended")[0]["status"] == status


def test_a_run_that_has_ended_takes_nothing_more(client, records, tmp_path):
    run = client.start_run()
    run.log_metric("k", 1)
    run.end()
    before = len([r for r in records() if r.stream == run.run_id])
    (tmp_path / "file").write_text("x")
    for call in (
        lambda: run.log_metric("k", 1.0),
        lambda: run.log_metric("new", 1),
        lambda: run.log_metrics({"k": 1}),
        lambda: run.log_series("k", [1]),
        lambda: run.log_param("k", 1),
        lambda: run.set_tag("k", 1),
        lambda: run.delete_tag("k"),
        lambda: run.log_text("x", "a.txt"),
        lambda: run.log_artifact(tmp_path / "file"),
    ):
        with pytest.raises(RunEndedError, match=run.run_id):
            call()
    run.end("FAILED")
    assert len([r for r in records() if r.stream == run.run_id]) == before


def test_a_mistake_raises_before_anything_is_written(client, records, tmp_path):
    run = client.start_run()
    before = len(records())
    for call in (
        lambda: run.log_metric("", 1.0),
        lambda: run.log_metric("k", "1.0"),
        lambda: run.log_metric("k", None),
        lambda: run.log_metric("k", 1.0, 2**63),
        lambda: run.log_metric("k", 1.0, "1"),
        lambda: run.log_metric([], 1.0),
        lambda: run.log_metrics({"good": 1, "bad": "x"}),
        lambda: run.log_metrics([1]),
        lambda: run.log_params({"good": 1, "b\nad": 1}),
        lambda: run.set_tags({"good": 1, "x" * 251: 1}),
        lambda: run.log_series("k", [1, 2], [1]),
        lambda: run.log_series("k", [1, "2"]),
        lambda: run.log_series("k", [1], [1], [-1]),
        lambda: run.log_artifact(tmp_path / "missing"),
        lambda: run.log_artifact(None),
        lambda: run.log_artifact("a\0b"),
        lambda: run.log_artifacts(None),
        lambda: run.log_artifact(__file__, "../up"),
        lambda: run.log_artifacts(tmp_path / "missing"),
        lambda: run.log_text("x", "/etc/passwd"),
        lambda: run.log_text(b"x", "a"),
        lambda: run.log_dict({1: {2, 3}, "c": {}}, "a\\b"),
        lambda: run.log_model(threading.Lock(), "m"),
        lambda: run.log_model({}, "../m"),
        lambda: run.log_model({}, None),
        lambda: run.end("DONE"),
    ):
        with pytest.raises(InvalidInputError):
            call()
    assert issubclass(InvalidInputError, RunstoneError)
    assert len(records()) == before
    assert uploads(tmp_path) == []


def test_a_point_may_have_its_own_time_and_be_of_a_model_or_dataset(client, records):
    far = 253_402_300_799_999  # the year 9999, which only a series' record can hold
    with client.start_run() as run:
        run.log_point("k", 1, 2, 3)
        run.log_point("k", 1.5, model_id="m-1", dataset=("d", "x"))
        run.log_point("k", 2.5, 4, far)
        for wrong in (
            {"time": -1},
            {"time": far + 1},
            {"time": 1.5},
            {"step": 2**63},
            {"value": "1"},
            {"key": ""},
            {"model_id": "m" * 501},
            {"model_id": np.zeros(2)},
            {"dataset": "name"},
            {"dataset": ("name", 1)},
        ):
            with pytest.raises(InvalidInputError):
                run.log_point(**{"key": "k", "value": 1.0, **wrong})
    timed, measured, late = (r for r in records() if r.kind in {POINT, SERIES})
    assert (timed.key, timed.time_ms, timed.data) == ("k", 3, (2, 1.0))
    assert (measured.key, measured.data) == (["k", "m-1", "d", "x"], (0, 1.5))
    assert (late.key, late.data) == ("k", ([4], [2.5], [far]))


def test_an_experiment_is_announced_without_a_run(client, records):
    made = client.create_experiment("alone", tags={"owner": 1}, artifact_location="s3://b/p")
    assert made == experiment_id("alone")
    [said] = events(records(), "catalog", "experiment_created")
    assert (said["name"], said["tags"], said["artifact_location"]) == ("alone", {"owner": "1"}, "s3://b/p")


def test_an_event_that_is_not_as_the_contract_says_is_not_recorded(client, records):
    with client.start_run() as run:
        before = len(records())
        with pytest.raises(InvalidInputError, match="cannot be recorded"):
            run.record([Tag("good", "1", 0), Tag("k" * 251, "1", 0)])
        assert len(records()) == before


def test_a_series_is_cut_into_records_and_keeps_every_point(client, records):
    n = 10_000
    with client.start_run() as run:
        run.log_series("a", np.arange(n) / 7)
        run.log_series("b", [1.5, 2.5], steps=[-(2**63), 2**63 - 1], times=[0, 1_700_000_000_000])
        run.log_series("none", [])
    series = [r for r in records() if r.kind == SERIES]
    points = [p for r in series if r.key == "a" for p in zip(*r.data[:2], strict=True)]
    assert points == [(i, i / 7) for i in range(n)]
    assert len(series) == 4
    assert series[-1].data == ([-(2**63), 2**63 - 1], [1.5, 2.5], [0, 1_700_000_000_000])


def test_a_long_or_unholdable_text_is_altered_and_the_run_says_so(client, records, capsys):
    with client.start_run() as run:
        run.log_param("long", "x" * 7000)
        run.set_tag("nul", "a\0b")
    found = records()
    assert events(found, run.run_id, "param")[0]["value"] == "x" * 6000
    tags = {e["key"]: e["value"] for e in events(found, run.run_id, "tag")}
    assert tags["nul"] == "a\N{REPLACEMENT CHARACTER}b"
    assert "7000 to 6000" in tags["runstone.altered.long"]
    assert "runstone.altered.nul" in tags
    assert capsys.readouterr().err.count("warning: param 'long' was truncated") == 1


def test_strict_refuses_what_would_be_altered(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNSTONE_STRICT", "1")
    client = runstone.Client(URI, spool=tmp_path)
    with client.start_run() as run:
        for call in (
            lambda: run.log_params({"fine": 1, "long": "x" * 6001}),
            lambda: run.log_input({"x": [1]}, tags={"long": "x" * 501}),
            lambda: run.log_text("half a pair: \ud800", "a.txt"),
        ):
            with pytest.raises(InvalidInputError, match="RUNSTONE_STRICT"):
                call()
    assert events(spool_records(tmp_path), run.run_id, "param") == []


def test_a_run_that_cannot_start_leaves_nothing_and_is_not_active(client, records, monkeypatch):
    monkeypatch.setenv("RUNSTONE_STRICT", "1")
    for wrong in (
        {"tags": {"": 1}},
        {"tags": [1]},
        {"tags": {"long": "x" * 8001}},
        {"run_id": "x"},
        {"experiment": "x" * 501},
        {"run_name": 5},
    ):
        with pytest.raises(InvalidInputError):
            client.start_run(**wrong)
    assert client.active_run() is None
    assert records() == []


def test_a_nested_run_has_the_active_one_as_its_parent(client, records):
    with client.start_run() as outer:
        with pytest.raises(InvalidInputError, match="nested=True"):
            client.start_run()
        with client.start_run(nested=True) as inner:
            client.log_metric("k", 1)
        client.log_metric("k", 2)
    found = records()
    assert events(found, inner.run_id, "run_started")[0]["parent_run_id"] == outer.run_id
    assert "parent_run_id" not in events(found, outer.run_id, "run_started")[0]
    assert [r.data[1] for r in found if r.kind == POINT] == [1.0, 2.0]
    assert [r.stream for r in found if r.kind == POINT] == [inner.run_id, outer.run_id]


def test_without_an_active_run_a_call_starts_one(client, records):
    client.log_metric("k", 1)
    run = client.active_run()
    client.log_metric("k", 2)
    client.end_run()
    client.end_run()
    assert run_streams(records()) == [run.run_id]


def test_a_thread_without_a_run_of_its_own_logs_to_the_innermost(client, records):
    with client.start_run() as run:
        thread = threading.Thread(target=client.log_metric, args=("k", 1))
        thread.start()
        thread.join()
    assert [r.stream for r in records() if r.kind == POINT] == [run.run_id]


def test_tasks_have_runs_of_their_own(client, records):
    async def train(value: float, started: asyncio.Barrier) -> str:
        with client.start_run() as run:
            await started.wait()
            client.log_metric("k", value)
        return run.run_id

    async def both() -> list[str]:
        started = asyncio.Barrier(2)
        return await asyncio.gather(train(1.0, started), train(2.0, started))

    ids = asyncio.run(both())
    assert {(r.stream, r.data[1]) for r in records() if r.kind == POINT} == {(ids[0], 1.0), (ids[1], 2.0)}


def test_resuming_a_run_opens_a_new_attempt_under_its_old_name(client, records):
    client.start_run(run_name="first").end()
    run_id = run_streams(records())[0]
    with client.start_run(run_id=run_id) as again:
        again.log_metric("k", 1)
        with pytest.raises(InvalidInputError, match="active already"):
            client.start_run(run_id=run_id, nested=True)
    started = events(records(), run_id, "run_started")
    assert [e["name"] for e in started] == ["first", ""]
    assert len(events(records(), run_id, "run_ended")) == 2


def test_a_rank_above_zero_joins_the_shared_run_and_never_ends_it(monkeypatch, tmp_path):
    run_id = "0123456789abcdef" * 2
    monkeypatch.setenv("RUNSTONE_RUN_ID", run_id)
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        with runstone.Client(URI, spool=tmp_path / rank).start_run() as run:
            run.log_metric("k", int(rank))
        assert run.run_id == run_id
    joined, started = spool_records(tmp_path / "1"), spool_records(tmp_path / "0")
    assert events(joined, run_id, "run_started", "run_ended") == []
    assert events(joined, run_id, "run_joined")[0]["context"]["rank"] == 1
    assert len(events(started, run_id, "run_started", "run_ended")) == 2


def test_the_shared_run_is_that_of_a_processs_first_run_only(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNSTONE_RUN_ID", "0123456789abcdef" * 2)
    client = runstone.Client(URI, spool=tmp_path)
    with client.start_run() as first, client.start_run(nested=True) as nested:
        pass
    with client.start_run() as second:
        pass
    assert first.run_id == "0123456789abcdef" * 2
    assert len({first.run_id, nested.run_id, second.run_id}) == 3


def test_artifacts_are_copied_aside_with_their_order(client, tmp_path):
    source = tmp_path / "plot.png"
    source.write_bytes(b"png")
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.csv").write_text("1,2")
    with client.start_run() as run:
        run.log_artifact(source)
        run.log_artifact(str(source), "plots/")
        run.log_artifacts(folder, "data")
        run.log_artifact(folder)
        client.log_text("hällo", "notes/a.txt")
        client.log_dict({"a": [1, None], "path": Path("/x")}, "d.json")
    source.write_bytes(b"changed")
    found = uploads(tmp_path)
    assert [(o["path"], o["media_type"], data) for o, data in found[:-1]] == [
        ("plot.png", "image/png", b"png"),
        ("plots/plot.png", "image/png", b"png"),
        ("data/deep/a.csv", "text/csv", b"1,2"),
        ("folder/deep/a.csv", "text/csv", b"1,2"),
        ("notes/a.txt", "text/plain", "hällo".encode()),
    ]
    assert json.loads(found[-1][1]) == {"a": [1, None], "path": "/x"}
    for order, data in found:
        assert order["size"] == len(data)
        assert (order["run_id"], order["experiment_id"]) == (run.run_id, run.experiment_id)


def test_disabled_calls_do_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RUNSTONE_DISABLED", "1")
    client = runstone.Client(URI, spool=tmp_path / "spool")
    with client.start_run() as run:
        run.log_metric("k", 1)
        run.log_param("k", 1)
        run.log_text("x", "a.txt")
    assert client.flush(0)
    assert run.wait_until_queryable(30)
    assert not (tmp_path / "spool").exists()
    assert capsys.readouterr().err == ""


def test_where_nothing_can_be_written_one_warning_says_so_and_calls_do_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    client = runstone.Client(URI, spool=tmp_path / "file")
    with client.start_run() as run:
        for i in range(10):
            run.log_metric("k", i)
        run.log_text("x", "a.txt")
    assert capsys.readouterr().err.count("nothing can be logged") == 1
    assert client.flush(0) is False


def test_at_its_limit_the_spool_refuses_points_keeps_params_and_tells_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RUNSTONE_SPOOL_LIMIT", "2M")
    client = runstone.Client(URI, spool=tmp_path)
    with client.start_run() as run:
        for i in range(100_000):
            run.log_metric("k", i)
        run.log_param("still", "here")
    found = [r for r in spool_records(tmp_path) if r.stream == run.run_id]
    lost = [
        seq
        for e in events(found, run.run_id, "range_declared")
        for seq in range(e["first_seq"], e["first_seq"] + e["count"])
    ]
    assert len(lost) > 50_000
    assert sorted([*lost, *(r.seq for r in found)]) == list(range(len(lost) + len(found)))
    assert events(found, run.run_id, "param")[0]["value"] == "here"
    assert capsys.readouterr().err.count("takes no more for now") == 1


def test_a_spool_that_is_removed_under_a_running_training_raises_nothing(client, tmp_path, capsys):
    with client.start_run() as run:
        run.log_metric("k", 0)
        shutil.rmtree(tmp_path / "spool")
        run.log_text("x", "a.txt")
        for i in range(60_000):
            run.log_metric("k", i)
        run.log_param("p", 1)
    assert client.flush(0) is False
    err = capsys.readouterr().err
    assert err.count("takes no more for now") == 1
    assert err.count("artifact 'a.txt' was not logged") == 1


def test_flush_is_false_as_long_as_nobody_has_acknowledged(client):
    assert client.flush(0)
    with client.start_run() as run:
        before = time.monotonic()
        assert client.flush(60) is False
        assert run.wait_until_queryable(60) is False
        assert time.monotonic() - before < 30, "offline, with no sender there, waiting is in vain"


def test_starting_a_run_says_once_where_it_is(client, capsys, monkeypatch, tmp_path):
    with client.start_run(run_name="named") as run:
        pass
    link = f"{URI}/api/v1/runs/{run.run_id}"
    place = tmp_path / "spool"
    assert capsys.readouterr().err == (
        f"runstone: run 'named' waits in {place}; 'runstone sync' sends it to {link}\n"
    )
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    runstone.Client(URI, spool=tmp_path).start_run().end()
    assert capsys.readouterr().err == ""


def test_a_program_without_stderr_has_nothing_written_to_its_stdout(client, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with client.start_run():
        pass
    assert capsys.readouterr().out == ""


def test_a_finding_of_the_sender_is_shown_once(client, tmp_path, capsys):
    with client.start_run():
        machine = next((tmp_path / "spool").iterdir())
        from runstone.spool.layout import MachineFolder

        path = MachineFolder(machine).destination(URI)
        path.write_text(json.dumps({"uri": URI, "connect": None, "finding": "nothing answers there"}))
        client.flush(0)
        path.write_text(json.dumps({"uri": URI, "connect": None, "finding": "nothing answers there"}))
        client.flush(0)
    assert capsys.readouterr().err.count("warning: nothing answers there") == 1


def test_an_experiment_needs_a_name(client):
    for bad in ("", "  ", "x" * 501, None, "a\0b"):
        with pytest.raises(InvalidInputError, match="an experiment's name"):
            client.set_experiment(bad)


def test_a_start_that_is_refused_leaves_the_shared_id_to_the_next_one(client, monkeypatch):
    shared = "0123456789abcdef" * 2
    monkeypatch.setenv("RUNSTONE_RUN_ID", shared)
    with pytest.raises(InvalidInputError):
        client.start_run(tags={"": 1})
    assert client.start_run().run_id == shared


def test_keys_that_are_no_texts_are_refused_wherever_a_key_stands(client, records):
    run = client.start_run()
    for call in (run.log_metric, run.log_param, run.set_tag, lambda key, _: run.delete_tag(key)):
        for key in ([], {}, None, b"a", 7):
            with pytest.raises(InvalidInputError, match="key must be a text"):
                call(key, 1.0)
    for call in (run.log_params, run.log_metrics, run.set_tags):
        for bad in (dict, None, [1], "ab", np.zeros(2)):
            with pytest.raises(InvalidInputError, match="expected a dict"):
                call(bad)
    assert not [found for found in records() if found.kind == POINT]


def test_a_step_whose_type_fails_is_refused_and_nothing_is_recorded(client, records):
    class Step:
        def __index__(self):
            raise KeyError("step")

    run = client.start_run()
    with pytest.raises(InvalidInputError, match="whole number"):
        run.log_metric("loss", 1.0, Step())
    assert not [found for found in records() if found.kind == POINT]


def test_an_experiment_without_a_name_is_refused_rather_than_taken_for_the_default(client):
    with pytest.raises(InvalidInputError, match="experiment's name"):
        client.start_run(experiment="")
    assert client.active_run() is None


@pytest.mark.parametrize(
    "path", ["", "a" * 300, "a/" * 3000, "a\0", 7, None, b"a"], ids=lambda p: repr(p)[:9]
)
def test_a_path_that_no_file_can_have_is_refused(client, path):
    run = client.start_run()
    for call in (run.log_artifact, run.log_artifacts):
        with pytest.raises(InvalidInputError):
            call(path)


@pytest.mark.parametrize("place", [7, Path("x"), "", "../x", "a" * 256, "C:/x"], ids=repr)
def test_a_place_in_the_run_that_the_store_cannot_have_is_refused(client, tmp_path, place):
    (tmp_path / "f.txt").write_text("x")
    run = client.start_run()
    with pytest.raises(InvalidInputError, match="artifact_path"):
        run.log_artifact(tmp_path / "f.txt", place)
    assert not list((tmp_path / "spool").glob("*/sessions/*/uploads/*"))


def test_a_long_name_of_a_run_is_cut_with_a_warning(client, capsys):
    assert len(client.start_run("x" * 600).name) == 500
    assert "truncated from 600 to 500" in capsys.readouterr().err


def test_a_relative_path_is_refused_where_the_current_folder_is_gone(client, tmp_path, monkeypatch):
    run = client.start_run()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for path in (".", "x", ".."):
        with pytest.raises(InvalidInputError, match="artifact"):
            run.log_artifact(path)


def test_a_run_that_two_clients_of_a_process_hold_is_ended_once(client, records, tmp_path, capsys):
    run = client.start_run()
    other = runstone.Client(URI, spool=tmp_path / "spool")
    capsys.readouterr()
    other.start_run(run_id=run.run_id).end("KILLED")
    assert f"run {run.run_id!r} waits in" in capsys.readouterr().err
    with pytest.raises(RunEndedError):
        run.log_metric("loss", 1.0)
    run.end()
    assert run.ended
    assert [found["status"] for found in events(records(), run.run_id, "run_ended")] == ["KILLED"]


def test_a_nested_run_is_part_of_the_active_one_or_of_the_one_that_is_named(client, records):
    elsewhere = "ab" * 16
    with client.start_run() as outer:
        with client.start_run(nested=True) as inner, client.start_run(nested=True) as innermost:
            assert client.active_run() is innermost
        assert client.active_run() is outer
        with client.start_run(nested=True, parent_run_id=elsewhere) as other:
            pass
    with client.start_run(parent_run_id=elsewhere.upper()) as alone:
        pass
    with pytest.raises(InvalidInputError, match="parent_run_id="):
        client.start_run(parent_run_id="mine")
    found = records()

    def parent(run):
        [started] = events(found, run.run_id, "run_started")
        return started.get("parent_run_id", "")

    assert [parent(run) for run in (outer, inner, innermost, other, alone)] == [
        "",
        outer.run_id,
        inner.run_id,
        elsewhere,
        elsewhere,
    ]


def test_a_thread_nests_its_runs_in_the_one_that_the_process_has_open(client, records):
    with client.start_run() as outer:

        def work():
            with client.start_run(nested=True) as run:
                inner.append(run.run_id)

        inner: list[str] = []
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = records()
    parents = {run_id: events(found, run_id, "run_started")[0]["parent_run_id"] for run_id in inner}
    assert len(parents) == 4
    assert set(parents.values()) == {outer.run_id}


def test_a_note_is_a_tag_that_both_interfaces_show(client, records):
    with client.start_run() as run:
        client.set_note("# What for\n\nTo see.")
        with pytest.raises(InvalidInputError, match="expected a text"):
            run.set_note(7)
    [tag] = events(records(), run.run_id, "tag")
    assert (tag["key"], tag["value"]) == ("mlflow.note.content", "# What for\n\nTo see.")
