"""The guides' programs run as they are printed, each page from top to bottom, against a whole installation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runstone import cli
from tests.fix_up import RUNSTONE, Up, get, wait_until

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PROGRAMS = {
    page: "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    for page in GUIDES
}


@pytest.mark.parametrize("page", [page for page in GUIDES if PROGRAMS[page]], ids=lambda page: page.stem)
def test_the_programs_of_a_guide_run_as_they_are(up: Up, page: Path, tmp_path: Path) -> None:
    (tmp_path / "guide.py").write_text(PROGRAMS[page])
    environment = os.environ | {"RUNSTONE_TRACKING_URI": up.url, "RUNSTONE_SPOOL": str(tmp_path / "spool")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "guide.py"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = re.findall(r"(?:is at|sends it to) (http\S+)", done.stderr)
    assert told
    if "RUNSTONE_OFFLINE" in PROGRAMS[page]:
        assert {get(address)[0] for address in told} == {404}
        sent = [
            subprocess.run([*RUNSTONE, "sync", tmp_path / "spool"], check=True, capture_output=True)
            for _ in "12"
        ]
        assert sent[0].stdout.startswith(b"sent ")
        assert sent[1].stdout.startswith(b"there is nothing left to send")
    for address in told:
        wait_until(lambda address=address: get(address)[0] == 200, f"that {address} can be read")


def test_the_commands_that_pages_name_exist(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [*GUIDES, ROOT / "README.md", ROOT / "docs" / "client.md", ROOT / "docs" / "api.md"]
    named = {
        tuple(words)
        for page in pages
        for words in re.findall(r"\brunstone (runs|experiments|artifacts|spool) ([a-z]+)", page.read_text())
    } | {("sync",)}
    for words in sorted(named):
        with pytest.raises(SystemExit) as left:
            cli.main([*words, "--help"])
        assert left.value.code == 0, f"runstone {' '.join(words)}: {capsys.readouterr().err}"
