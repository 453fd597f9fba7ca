"""The pages name files that exist, so that a reader who follows them arrives."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
FILES = {
    str(path.relative_to(ROOT))
    for folder in (
        "producer",
        "ingest_worker",
        "query_api",
        "local",
        "tests",
        "docs",
        "examples",
        "benchmarks",
    )
    for path in (ROOT / folder).rglob("*")
    if "__pycache__" not in path.parts
} | {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES[:3], ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(r"`([\w./*-]+(?:\.(?:py|sql|md|yaml|toml|txt)|/))`", page.read_text())
    for name in named:
        pattern = re.compile("(^|.*/)" + re.escape(name.rstrip("/")).replace(r"\*", ".*") + "$")
        assert any(pattern.match(file) for file in FILES), name
