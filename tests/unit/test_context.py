"""What a run says about where it comes from."""

import shlex
import subprocess
import sys
import threading
from pathlib import Path

from runstone import context


def test_the_quick_facts_name_user_host_program_and_python():
    found = context.quick_context(-1)
    assert found["user"]
    assert found["host"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "rank" not in found
    assert context.quick_context(3)["rank"] == 3


def test_the_installed_packages_are_listed_with_their_versions():
    found = context.packages()
    assert found["pytest"] == sys.modules["pytest"].__version__
    assert list(found) == sorted(found)


def test_the_slow_facts_hold_commit_and_dirtiness_of_the_programs_repository(tmp_path: Path, monkeypatch):
    def git(*arguments: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *named, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    script = tmp_path / "train.py"
    script.write_text("pass")
    monkeypatch.setattr(context, "source", lambda: str(script))
    assert "git_commit" not in context.slow_context()
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    found = context.slow_context()
    assert (found["git_commit"], found["git_dirty"]) == (git("rev-parse", "HEAD"), False)
    script.write_text("changed")
    assert context.slow_context()["git_dirty"] is True
    assert shlex.split(found["command"]) == sys.orig_argv


def test_slow_facts_are_gathered_once_for_runs_that_follow_one_another():
    facts, taken, both = context.SlowFacts(), [], threading.Event()
    facts.give(taken.append)
    facts.give(lambda found: (taken.append(found), both.set()))
    assert both.wait(30)
    facts.give(taken.append)
    assert len(taken) == 3
    assert taken[0] is taken[1] is taken[2]
