"""`runstone worker` that merges chunks at once and often: python -m tests.faults.merging_worker."""

import sys

from runstone import cli
from runstone_ingest import merging, unmerged


def merge_at_once() -> None:
    """So that merging happens within a test; before the worker begins."""
    unmerged.QUIET_SECONDS, unmerged.FULL, unmerged.BATCHES = 0.1, 8, 4
    merging.LOOK_SECONDS, merging.BUSY_SHARE = 0.02, 0.5


if __name__ == "__main__":
    merge_at_once()
    sys.exit(cli.main(["worker"]))
