"""Which spools a sender serves, and how senders follow one another."""

from runstone.events.identity import new_run_id
from runstone.events.types import RunStarted, SessionEnded
from runstone.sender.lease import Lease
from runstone.spool.layout import MachineFolder
from tests.fix_delivery import until
from tests.handmade_spool import HandmadeSession

STARTED = RunStarted(0, "Default", "a run", 1)


async def test_what_kin_left_is_delivered_and_strangers_are_not_touched(machine, door, start_sender, ledger):
    """Kin: an earlier boot of this machine, and a container of this boot that shared the volume."""
    run = new_run_id()
    left = {
        name: HandmadeSession(MachineFolder(machine.path.with_name(name)), door.uri, alive=False)
        for name in ("machine-earlier", "container-boot", "stranger-earlier")
    }
    for session in left.values():
        session.event(run, STARTED)
    lives = HandmadeSession(left["container-boot"].machine, door.uri)
    lives.event(run, STARTED)
    start_sender()

    async def both():
        return len((await ledger.read()).said(SessionEnded)) >= 2

    await until(both, "both ends")
    found = {session for session, _stream in ledger.records()}
    assert found & {session.id for session in (*left.values(), lives)} == {
        left["machine-earlier"].id, left["container-boot"].id,
    }  # fmt: skip
    lease = Lease(lives.machine)
    await until(lambda: lease.acquire(patience=0), "the container's folder is given back")
    lease.release()
    for session in (*left.values(), lives):
        session.die()
