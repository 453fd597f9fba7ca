"""The reference page says what the docstrings say today."""

import runpy
from pathlib import Path

import runstone

ROOT = Path(__file__).parents[2]
BUILD = runpy.run_path(str(ROOT / "docs" / "build_reference.py"))


def test_the_reference_page_is_made_of_the_docstrings_as_they_are():
    told = "docs/reference.md is out of date: run 'make reference' and commit the page"
    assert (ROOT / "docs" / "reference.md").read_text() == BUILD["page"](BUILD["read"]()), told


def test_every_public_name_is_on_the_page():
    text = (ROOT / "docs" / "reference.md").read_text()
    for name in set(runstone.__all__) - {"__version__"}:
        assert f"### runstone.{name}\n" in text or f"## {name}\n" in text or f"- `{name}` (" in text, name
