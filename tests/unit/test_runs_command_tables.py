"""The tables of ``runstone runs``: what they show, and that they fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone import run_tables, table
from runstone.table import Row


def run(run_id: str, **members: Any) -> dict[str, Any]:
    return {
        "run_id": run_id, "experiment_id": 1, "experiment_name": "churn", "name": f"run {run_id}",
        "status": "FINISHED", "status_reason": None, "lifecycle_stage": "active", "start_time": 1_000_000,
        "end_time": 1_090_000, "user": "alice", "parent_run_id": None, "artifact_uri": None, "params": {},
        "metrics": {}, "tags": {}, "context": {"host": "h", "packages": {"a": "1"}, "rank": None},
        "param_conflicts": {}, "datasets": [],
        "completeness": {"complete": True, "gaps": 0, "dead_letters": 0, "sessions": []},
    } | members  # fmt: skip


def compared(count: int = 2) -> dict[str, Any]:
    ids = [f"{n:032x}" for n in range(count)]
    return {
        "runs": [run(i) for i in ids],
        "params": {"differ": {"C": {i: str(n) for n, i in enumerate(ids)}}, "agree": {"solver": "lbfgs"}},
        "metrics": {
            "acc": dict.fromkeys(ids, 0.123456789),
            "loss": dict.fromkeys(ids, "NaN") | {ids[0]: None},
        },
    }


def test_params_that_differ_are_marked_and_bold() -> None:
    lines = run_tables.comparison(compared(), {}, 200, bold=True)
    (differs,) = [line for line in lines if " C " in line]
    (agrees,) = [line for line in lines if "solver" in line]
    assert differs.startswith("\x1b[1m≠")
    assert not agrees.startswith("\x1b[1m")
    assert "lbfgs" in agrees
    plain = run_tables.comparison(compared(), {}, None, bold=False)
    assert not any("\x1b" in line for line in plain)
    assert any(line.startswith("≠  C") for line in plain)
    assert any("0.123457" in line for line in plain)
    assert any("loss" in line and "-" in line and "NaN" in line for line in plain)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_comparison_fits_its_terminal_however_many_runs(width: int) -> None:
    found = compared(9)
    lines = run_tables.comparison(found, {}, width, bold=False)
    assert max(table.cells(line) for line in lines) <= width
    assert sum(line.count("run 0") for line in lines) == 9


def test_addresses_of_files_are_never_cut() -> None:
    url = "http://127.0.0.1:5000/api/v1/runs/0/artifacts/content?path=model/model.pkl"
    found = compared()
    artifacts = {found["runs"][0]["run_id"]: [{"path": "model/model.pkl", "size": 1536, "url": url}]}
    lines = run_tables.comparison(found, artifacts, 60, bold=False)
    assert f"      {url}" in lines
    assert "    model/model.pkl (1.5 KiB)" in lines
    artifacts = dict.fromkeys(artifacts, [{"path": "checkpoint", "size": 1, "url": url}] * 23)
    lines = run_tables.comparison(found, artifacts, None, bold=False)
    assert lines.count(f"      {url}") == 20
    assert lines[-1].startswith("    … and 3 more: runstone runs show 0")


@pytest.mark.parametrize("width", [1, 30, 80, None])
def test_a_list_fits_its_terminal(width: int | None) -> None:
    runs = [
        run("a" * 32, name="名前" * 30, metrics={"acc": 0.5, "loss": "NaN"}),
        run("b", lifecycle_stage="deleted"),
        run("c", status="RUNNING", stale=True),
    ]
    lines = run_tables.listing(runs, width, bold=False)
    assert len(lines) == 4
    assert width is None or max(table.cells(line) for line in lines) <= width
    if width is None:
        assert "acc=0.5  loss=NaN" in lines[1]
        assert "FINISHED deleted" in lines[2]
        assert "RUNNING (stale)" in lines[3]


def test_a_stale_run_says_when_it_was_heard_last() -> None:
    shown = run("a", status="RUNNING", stale=True, last_heard_at=1_000_000, end_time=None)
    text = "\n".join(run_tables.one(shown, [], [], None, bold=False))
    assert f"last heard  {run_tables.moment(1_000_000)}" in text
    assert "last heard" not in "\n".join(run_tables.one(run("a"), [], [], None, bold=False))


@pytest.mark.parametrize("width", [20, 80])
def test_a_run_is_shown_whole_and_fits(width: int) -> None:
    shown = run(
        "a" * 32, params={"C": "0.1"}, metrics={"acc": 1.0}, tags={"t": "x" * 300}, status_reason="why",
        param_conflicts={"C": ["0.2", "0.3"]},
        completeness={"complete": False, "gaps": 2, "dead_letters": 1, "sessions": []},
    )  # fmt: skip
    lines = run_tables.one(shown, [], [], width, bold=False)
    assert max(table.cells(line) for line in lines) <= width
    text = "\n".join(run_tables.one(shown, [], [], None, bold=False))
    for expected in ("0.2, 0.3", "no: 2 gaps, 1 dead letters", "FINISHED (why)", "1 min 30 s", "CONTEXT"):
        assert expected in text
    assert "packages" not in text


TEXTS = st.text(max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5), st.integers(1, 60))
def test_any_text_stays_within_its_line_and_width(rows: list[tuple[str, str, str]], width: int) -> None:
    made = [Row(cells) for cells in rows]
    columns = table.widths(made, width, narrowest=1)
    if columns is None:
        assert width < 3 + 2 * len(table.GAP)
        return
    for line in table.lines(made, columns, bold=False):
        assert table.cells(line) <= width
        assert line.isprintable() or line.replace("\u3000", " ").replace("\xa0", " ")
        assert not any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u2028" for c in line)


def test_sizes_and_durations_read_well() -> None:
    assert [run_tables.size(n) for n in (0, 1023, 1024, 5 * 2**30, 2**45)] == [
        "0 B", "1023 B", "1.0 KiB", "5.0 GiB", "32.0 TiB",
    ]  # fmt: skip
    assert [run_tables.duration(0, ms) for ms in (7, 1500, 61_000, 3_600_000 * 30)] == [
        "7 ms",
        "1.5 s",
        "1 min 1 s",
        "30 h 0 min",
    ]
    assert run_tables.duration(5, None) == run_tables.duration(9, 5) == run_tables.moment(None) == "-"


def test_one_run_tells_its_parent_the_runs_in_it_its_datasets_and_its_note() -> None:
    datasets = [
        {"name": "d", "digest": "1", "context": "training"},
        {"name": "d", "digest": "2", "context": None},
    ]
    shown = run(
        "a", parent_run_id="p" * 32, datasets=datasets, tags={"mlflow.note.content": "# Why\n\nBecause\x1b."}
    )
    children = [run(f"{n:032x}", name=f"trial {n}") for n in range(21)]
    lines = run_tables.one(shown, [], children, None, bold=False)
    assert f"parent      {'p' * 32}" in lines
    assert "  d  1 (training), 2" in lines
    assert lines[-4:] == ["NOTE", "  # Why", "", "  Because ."]
    assert "TAGS" not in lines
    at = lines.index("RUNS IN IT")
    assert "trial 0" in lines[at + 1]
    assert "trial 19" in lines[at + 20]
    assert lines[at + 21] == "  … and more: runstone runs list --filter \"parent_run_id = 'a'\""
    assert max(map(table.cells, run_tables.one(shown, [], children, 40, bold=False))) <= 40
