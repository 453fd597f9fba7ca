"""What killed uploads left in the artifact folder is removed; what may still be written, or is a file, is not."""

import os
import threading

from runstone.events.artifact_roots import Bucket
from runstone_gateway.stores.leftovers import KEPT_S, Leftovers, remove


def test_only_files_on_their_way_that_nobody_wrote_to_for_a_day_are_removed(tmp_path):
    folder, elsewhere = tmp_path / "store" / "7" / "run", tmp_path / "elsewhere"
    folder.mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "link").symlink_to(elsewhere)
    now = 10 * KEPT_S
    of_gateway, of_sender = f".{'ab' * 16}.part", ".1700000000000-0123abcd.7.part"
    old = [
        folder / of_gateway,
        folder / of_sender,
        folder / "model.part",
        folder / f"{'ab' * 16}.part",
        elsewhere / of_gateway,
    ]
    new = [folder / f".{'cd' * 16}.part", folder / ".1700000000001-0123abcd.7.part"]
    for path in old + new:
        path.touch()
        changed = now - KEPT_S - 1 if path in old else now - KEPT_S + 1
        os.utime(path, (changed, changed))
    assert remove(tmp_path / "store", now - KEPT_S, threading.Event()) == 2
    assert [path for path in old + new if not path.exists()] == old[:2]


async def test_a_store_that_is_not_there_yet_and_a_bucket_have_none(tmp_path):
    for root in (tmp_path / "nothing", Bucket("bucket", "")):
        leftovers = Leftovers(root)
        await leftovers.start()
        await leftovers.stop()
