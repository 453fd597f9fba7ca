"""What a person sees of Runstone's data in MLflow's own UI."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

expect.set_options(timeout=30_000)

ALICE, BOB = "Alice's Initial Run", "Bob's Hyperparameter Tune"

Visit = Callable[..., Page]
Runs = dict[str, dict[str, Any]]


def run_id(runs: Runs, name: str) -> str:
    return str(runs[name]["info"]["run_id"])


def accuracy(runs: Runs, name: str) -> float:
    [found] = [m["value"] for m in runs[name]["data"]["metrics"] if m["key"] == "accuracy"]
    return float(found)


def no_error_is_shown(page: Page) -> None:
    for words in (
        "Something went wrong",
        "Can't load",
        "Failed to load",
        "Page Not Found",
        "INTERNAL_ERROR",
        "NOT_IMPLEMENTED",
    ):
        expect(page.get_by_text(words)).to_have_count(0)


def test_the_list_of_experiments(visit: Visit) -> None:
    page = visit("/#/experiments")
    for name in ("Default", "Native"):
        expect(page.get_by_role("link", name=name, exact=True).first).to_be_visible()
    no_error_is_shown(page)


def test_the_experiment_lists_both_runs(visit: Visit) -> None:
    page = visit("/#/experiments/0/runs")
    for name in (ALICE, BOB):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.get_by_text("matching runs")).to_have_text("2 matching runs")
    no_error_is_shown(page)


def test_the_page_of_a_run_shows_its_params_metrics_and_models(visit: Visit, runs: Runs) -> None:
    page = visit(f"/#/experiments/0/runs/{run_id(runs, ALICE)}")
    expect(page.get_by_role("heading", name=ALICE)).to_be_visible()
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    for words in (
        "Metrics (1)",
        "Parameters (3)",
        "Logged models (1)",
        "liblinear",
        f"{accuracy(runs, ALICE):g}",
    ):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()
    no_error_is_shown(page)


def test_the_chart_compares_the_accuracy_of_both(visit: Visit, runs: Runs) -> None:
    page = visit("/#/experiments/0/runs?compareRunsMode=CHART")
    chart = page.locator(".js-plotly-plot").first
    expect(chart).to_be_visible()
    for name in (ALICE, BOB):
        expect(chart.get_by_text(f"{accuracy(runs, name):.2f}"[:4], exact=False).first).to_be_visible()
        expect(page.get_by_role("link", name=name)).to_be_visible()
    no_error_is_shown(page)


def test_a_native_run_has_a_curve_and_files(visit: Visit, runs: Runs) -> None:
    info = runs["a native run"]["info"]
    page = visit(f"/#/experiments/{info['experiment_id']}/runs/{info['run_id']}/model-metrics")
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    expect(page.get_by_text("loss", exact=True).first).to_be_visible()
    no_error_is_shown(page)
    page = visit(f"/#/experiments/{info['experiment_id']}/runs/{info['run_id']}/artifacts/notes.txt")
    expect(page.get_by_text("notes of the run")).to_be_visible()
    no_error_is_shown(page)


def test_two_runs_are_compared(visit: Visit, runs: Runs) -> None:
    ids = [run_id(runs, name) for name in (ALICE, BOB)]
    page = visit(f'/#/compare-runs?runs={json.dumps(ids)}&experiments=["0"]')
    expect(page.get_by_role("heading", name="Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for words in (ALICE, BOB, "0.1", "0.5", f"{accuracy(runs, ALICE):g}", f"{accuracy(runs, BOB):g}"):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()
    no_error_is_shown(page)


def test_the_files_of_a_logged_model_are_previewed(visit: Visit, runs: Runs) -> None:
    page = visit(f"/#/experiments/0/runs/{run_id(runs, BOB)}/artifacts")
    page.get_by_text("MLmodel", exact=True).click()
    expect(page.get_by_text("loader_module: mlflow.sklearn").first).to_be_visible()
    no_error_is_shown(page)


def test_the_logged_models_of_an_experiment(visit: Visit) -> None:
    page = visit("/#/experiments/0/models")
    expect(page.get_by_role("link", name="model", exact=True)).to_have_count(2)
    for name in (ALICE, BOB):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    no_error_is_shown(page)


def test_the_registry(visit: Visit) -> None:
    page = visit("/#/models")
    expect(page.get_by_role("link", name="churn", exact=True)).to_be_visible()
    expect(page.get_by_text("Version 1").first).to_be_visible()
    page = visit("/#/models/churn/versions/1")
    expect(page.get_by_text(BOB).first).to_be_visible()
    expect(page.get_by_text("best").first).to_be_visible()
    no_error_is_shown(page)


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("overview/usage", "/traces/metrics"),
        ("traces", "/traces/search"),
        ("judges", "/scorers/list"),
        ("datasets", "/datasets/search"),
        ("playground", "/gateway/endpoints/list"),
        ("prompts", "/registered-models/search"),
    ],
)
def test_pages_of_what_runstone_has_nothing_of_are_shown_empty(visit: Visit, path: str, asks: str) -> None:
    page = visit(f"/#/experiments/0/{path}", asks)
    expect(page.get_by_text("Training runs").first).to_be_visible()
    no_error_is_shown(page)
