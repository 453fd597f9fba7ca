"""``runstone runs delete|restore|tag|show`` and ``runstone experiments …``: what they say is what happened."""

import asyncio
import json
import os
import sys

from tests.fix_stack import Stack
from tests.integration.test_mlflow_writes import done, run_in


async def runstone(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runstone.cli", *arguments,
        env=os.environ | {"RUNSTONE_TRACKING_URI": stack.url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def said(stack: Stack, *arguments: str) -> str:
    code, out, err = await runstone(stack, *arguments)
    assert (code, err) == (0, "")
    return out


async def refused(stack: Stack, *arguments: str) -> tuple[int, str]:
    code, out, err = await runstone(stack, *arguments)
    assert out == ""
    assert "Traceback" not in err
    return code, err


async def test_runs_are_tagged_deleted_and_restored(stack: Stack) -> None:
    a, b = await run_in(stack, run_name="a"), await run_in(stack, run_name="b")
    assert await said(stack, "runs", "tag", a, "k=v=w", "team=größe") == f"run {a} is tagged\n"
    assert await said(stack, "runs", "tag", a, "k=v=w") == f"run {a} had these tags already\n"
    found = json.loads(await said(stack, "runs", "tag", a, "--delete", "team", "--json"))
    assert found["runs"][0]["run"]["tags"] == {"k": "v=w", "mlflow.runName": "a"}
    assert await said(stack, "runs", "delete", a, b) == f"run {a} is deleted\nrun {b} is deleted\n"
    assert await said(stack, "runs", "delete", b) == f"run {b} was deleted already\n"
    assert await said(stack, "runs", "list") == "no runs match\n"
    assert await said(stack, "runs", "list", "--experiment", "x") == "no experiment has the name 'x'\n"
    assert await said(stack, "runs", "restore", a) == f"run {a} is restored\n"
    listed = json.loads(await said(stack, "runs", "list", "--json"))["runs"]
    assert [run["run_id"] for run in listed] == [a]
    nobody = "0" * 32
    unknown = f"runstone: there is no run '{nobody}'; it may not have arrived yet\n"
    assert await refused(stack, "runs", "delete", nobody) == (1, unknown)
    code, out, err = await runstone(stack, "runs", "delete", nobody, a, nobody, b)
    assert (code, out, err) == (1, f"run {a} is deleted\nrun {b} was deleted already\n", unknown * 2)
    code, out, err = await runstone(stack, "runs", "restore", nobody, a, "--json")
    assert (code, [each["changed"] for each in json.loads(out)["runs"]], err) == (1, [True], unknown)
    for arguments in (("delete",), ("tag", a), ("tag", a, "novalue"), ("tag", a, "k=v", "--delete", "k")):
        assert (await refused(stack, "runs", *arguments))[0] == 2


async def test_a_nested_run_tells_its_parent_and_the_parent_its_runs(stack: Stack, tmp_path) -> None:
    program = """
import runstone
with runstone.start_run(run_name="outer") as outer:
    with runstone.start_run(run_name="inner", nested=True) as inner:
        runstone.log_input({"x": [1, 2]}, "training", name="data")
        runstone.set_note("as it was")
print(outer.run_id, inner.run_id, inner.info(30).parent_run_id, outer.wait_until_queryable(30))
print(runstone.get_run(inner.run_id).note, runstone.get_run(inner.run_id).datasets[0]["name"])
"""
    outer, inner, parent, *rest = (await stack.run_program(program, tmp_path / "spool")).split()
    assert (parent, *rest) == (outer, "True", "as", "it", "was", "data")
    shown = (await said(stack, "runs", "show", inner)).splitlines()
    assert f"parent      {outer}" in shown
    assert shown[-2:] == ["NOTE", "  as it was"]
    assert any(line.startswith("  data  ") and line.endswith(" (training)") for line in shown)
    lines = (await said(stack, "runs", "show", outer)).splitlines()
    assert lines[lines.index("RUNS IN IT") + 1].split() == [inner, "inner", "FINISHED"]
    async with stack.client.get(f"/api/v1/runs/{inner}/datasets") as answer:
        [dataset] = (await answer.json())["datasets"]
    assert (dataset["name"], dataset["context"], dataset["source_type"]) == ("data", "training", "code")
    assert json.loads(dataset["schema"])["mlflow_colspec"][0]["name"] == "x"


async def test_experiments_are_listed_renamed_deleted_and_restored(stack: Stack) -> None:
    made = await done(stack, "/experiments/create", name="größe 1", tags=[{"key": "team", "value": "a"}])
    other = await done(stack, "/experiments/create", name="7")
    wanted = f"experiment 'größe 1' ({made['experiment_id']})"
    listed = (await said(stack, "experiments", "list")).splitlines()
    assert any("größe 1" in line and "team=a" in line for line in listed)
    told = await said(stack, "experiments", "rename", "größe 1", "grösser")
    assert told == f"{wanted} is called 'grösser' now\n"
    assert await refused(stack, "experiments", "rename", "grösser", "7") == (
        1,
        f"runstone: experiment {other['experiment_id']} has the name '7' already; choose another name\n",
    )
    # a name that is a number is a name first
    assert "experiment '7'" in await said(stack, "experiments", "delete", "7")
    assert "was deleted already" in await said(stack, "experiments", "delete", other["experiment_id"])
    assert "'7'" not in await said(stack, "experiments", "list")
    found = json.loads(await said(stack, "experiments", "list", "--view", "deleted", "--json"))
    assert [experiment["name"] for experiment in found["experiments"]] == ["7"]
    assert "is restored" in await said(stack, "experiments", "restore", "7")
    assert "was active already" in await said(stack, "experiments", "restore", "7")
    assert (await refused(stack, "experiments", "delete", "nowhere"))[0] == 1
    assert (await refused(stack, "experiments", "rename", "7", ""))[0] == 2
