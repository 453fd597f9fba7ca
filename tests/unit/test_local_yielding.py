"""The stack's processes let those of the user have the processor first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runstone_local import yielding

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who descends from whom")

GRANDCHILD = "import subprocess, sys; subprocess.run(['cat'], start_new_session=True)"


def test_all_descendants_are_made_nice_once() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", GRANDCHILD], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        while len(found := yielding.descendants(child.pid)) < 1:
            assert child.poll() is None
        assert found | {child.pid} <= yielding.yield_to_others(())
        for pid in (child.pid, *found):
            assert os.getpriority(os.PRIO_PROCESS, pid) == yielding.NICE
            group = Path(f"/proc/{pid}/autogroup")
            assert not group.exists() or group.read_text().split()[-1] == str(yielding.NICE)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(10)
    assert child.pid not in yielding.yield_to_others(found)
