"""What a training logs as files comes back through every door: the client's calls and the command."""

import asyncio
import hashlib
import json
import os
import signal
import sys

import pytest

from runstone.exceptions import InvalidInputError, NoSuchArtifactError, NoSuchRunError, ServerError
from tests.fix_delivery import until

LOGS = """
import os, runstone
os.makedirs("out/deep", exist_ok=True)
with open("out/deep/big.bin", "wb") as f: f.write(bytes(range(256)) * 20_000)
with open("out/a.txt", "w") as f: f.write("a")
with open("out/sp ace+100%25 \u00fc&?#.txt", "w") as f: f.write("odd")
with runstone.start_run() as run:
    run.log_artifacts("out", "all")
    run.log_model({"weights": [1, 2]}, "models/first")
    own = run.download_artifacts("all/deep", "back")
    assert sorted(os.listdir(own)) == ["big.bin"], own
    assert run.load_model("models/first") == {"weights": [1, 2]}
    assert runstone.load_model(f"runs:/{run.run_id}/models/first") == {"weights": [1, 2]}
assert run.wait_until_queryable(30)
print(run.run_id, end="")
"""


@pytest.fixture
async def run_id(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return await stack.run_program(LOGS, tmp_path / "spool")


async def command(stack, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runstone.cli", "artifacts", *arguments,
        env=os.environ | {"RUNSTONE_TRACKING_URI": stack.url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_files_and_models_come_back(stack, run_id, tmp_path, capfd):
    import runstone

    client = runstone.Client(stack.url, spool=tmp_path / "other spool")

    def reading(call, *arguments):
        return asyncio.to_thread(getattr(client, call), *arguments)

    everything = await reading("download_artifacts", run_id)
    assert {str(p.relative_to(everything)) for p in everything.rglob("*") if p.is_file()} == {
        "all/a.txt", "all/sp ace+100%25 ü&?#.txt", "all/deep/big.bin",
        "models/first/model.json", "models/first/model.pkl",
    }  # fmt: skip
    assert (everything / "all/deep/big.bin").read_bytes() == bytes(range(256)) * 20_000
    one = await reading("download_artifacts", run_id, "all/a.txt", tmp_path / "here")
    assert (one, one.read_text()) == (tmp_path / "here" / "all" / "a.txt", "a")
    assert await reading("load_model", run_id, "models/first") == {"weights": [1, 2]}
    assert capfd.readouterr().err.count("load_model unpickles") == 1
    with pytest.raises(NoSuchArtifactError, match="its models are 'models/first'"):
        await reading("load_model", run_id)
    with pytest.raises(NoSuchRunError):
        await reading("download_artifacts", "f" * 32)
    with pytest.raises(InvalidInputError, match="expected a folder"):
        await reading("download_artifacts", run_id, None, one)
    with pytest.raises(InvalidInputError, match="stays within the run"):
        await reading("download_artifacts", run_id, "all/../..")
    with pytest.raises(InvalidInputError, match="runs:/"):
        await reading("load_model", f"runs:/{run_id}")
    [pickled] = (tmp_path / "artifact store").rglob("model.pkl")
    pickled.write_bytes(b"X" * pickled.stat().st_size)
    with pytest.raises(ServerError, match="not what was logged"):
        await reading("load_model", run_id, "models/first")


async def test_the_command_lists_and_fetches(stack, run_id, tmp_path):
    code, out, _ = await command(stack, "list", run_id, "all", "--json")
    found = json.loads(out)["artifacts"]
    assert (code, [one["path"] for one in found]) == (
        0, ["all/a.txt", "all/deep/big.bin", "all/sp ace+100%25 ü&?#.txt"],
    )  # fmt: skip
    assert found[0]["sha256"] == hashlib.sha256(b"a").hexdigest()
    code, out, _ = await command(stack, "list", run_id)
    assert (code, "all/deep/big.bin" in out, "4.9 MiB" in out) == (0, True, True)
    code, out, _ = await command(stack, "get", run_id, "all", "--to", "fetched")
    assert (code, out) == (0, f"3 files, 4.9 MiB, in {tmp_path}/fetched/all\n")
    assert (tmp_path / "fetched/all/deep/big.bin").stat().st_size == 5_120_000
    code, out, _ = await command(stack, "get", run_id, "all/a.txt", "--to", "fetched", "--json")
    assert json.loads(out)["files"][0]["file"] == "fetched/all/a.txt"
    for arguments, expected, named in (
        (("list", run_id, "missing"), 1, "no artifact 'missing'"),
        (("get", run_id, "../up"), 2, "stays within the run"),
        (("get", "f" * 32), 1, "f" * 32),
        (("get", run_id, "--to", "fetched/all/a.txt"), 2, "is a file"),
    ):
        code, out, err = await command(stack, *arguments)
        assert (code, out, err.count("\n")) == (expected, "", 1)
        assert named in err


ENDLESS = """
import hashlib, os, runstone
run = runstone.start_run()
print(run.run_id, flush=True)
for number in range(100_000):
    content = os.urandom(20_000)
    with open("file", "wb") as f: f.write(content)
    run.log_artifact("file", f"step/{number}")
    print(f"step/{number}/file", hashlib.sha256(content).hexdigest(), flush=True)
"""


def sender_of(spool) -> int | None:
    notes = list(spool.rglob("sender.json"))
    return json.loads(notes[0].read_bytes())["pid"] if notes else None


async def test_every_file_whose_call_had_returned_arrives_though_training_and_sender_are_killed(
    stack, tmp_path
):
    spool = tmp_path / "spool"
    training = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDLESS, cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        env=os.environ
        | {"RUNSTONE_TRACKING_URI": stack.url, "RUNSTONE_SPOOL": str(spool), "RUNSTONE_QUIET": "1"},
    )  # fmt: skip
    run_id = (await training.stdout.readline()).decode().strip()
    returned = {}

    async def read(count: int) -> None:
        while len(returned) < count and (line := await training.stdout.readline()).endswith(b"\n"):
            path, sha256 = line.decode().split()
            returned[path] = sha256
            await asyncio.sleep(0)  # the gateway has its turn

    async with asyncio.timeout(60):
        await read(100)
        first = await until(lambda: sender_of(spool), "the sender")
        os.kill(first, signal.SIGKILL)
        while sender_of(spool) == first:
            await read(len(returned) + 1)
        training.kill()
        await read(100_000)
        await training.wait()
        stored = {}
        while not stored.items() >= returned.items():
            await asyncio.sleep(0.1)
            url = f"/api/v1/runs/{run_id}/artifacts?recursive=true"
            async with stack.client.get(url) as answer:
                if answer.status == 200:
                    found = (await answer.json())["artifacts"]
                    stored = {one["path"]: one["sha256"] for one in found}
    root = next((tmp_path / "artifact store").glob(f"*/{run_id}/artifacts"))
    for path, sha256 in stored.items():
        assert hashlib.sha256((root / path).read_bytes()).hexdigest() == sha256
    assert len(stored) <= len(returned) + 1
