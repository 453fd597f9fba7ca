"""Topics that are truncated or made again under a worker: every partition halts with an alarm, none skips.

Row 7 of the fault table. The worker is stopped meanwhile, so that it finds all of it done. What people do about
it then is tested in ``tests/integration/test_worker_halts``.
"""

import signal

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from runstone_ingest import topic_reading, topics
from tests.faults.crew import crew
from tests.faults.installation import Installation, Journals, journals
from tests.faults.scale import times
from tests.fix_services import migrated_database
from tests.fix_worker import PARTITIONS
from tests.publishing import asking


async def truncated(place: Installation, said: Journals) -> None:
    """Only the last of some rounds is left."""
    for _ in range(5):
        await said.go_on()
    places = [TopicPartition(f"{place.prefix}.events", partition) for partition in range(PARTITIONS)]
    ends = {tp: end for tp, (_low, end) in (await topic_reading.spans(place.kafka, places)).items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=end - 1) for tp, end in ends.items()})
    finally:
        await admin.close()


async def made_again(place: Installation, said: Journals) -> None:
    """And filled by others, beyond where the old ones ended."""
    admin = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await admin.start()
    try:
        await admin.delete_topics([f"{place.prefix}.events"])
    finally:
        await admin.close()
    await topics.create(place.kafka, place.prefix, PARTITIONS)
    for _ in range(20):
        await said.go_on()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("what", [truncated, made_again][: times(1, 2)])
async def test_a_log_that_is_lost_under_a_worker_halts_every_partition(
    kafka, postgres, prefix, tmp_path, what
):
    for n in range(times(1, 10)):
        with migrated_database(postgres) as dsn:
            place = Installation(kafka, dsn, f"{prefix}-{n}", PARTITIONS)
            async with (
                journals(place, points=8) as said,
                crew(place, tmp_path) as workers,
                asking(dsn) as db,
            ):
                worker = await workers.start()
                for _ in range(3):
                    await said.go_on()
                await said.check()
                worker.send_signal(signal.SIGSTOP)
                await what(place, said)
                worker.send_signal(signal.SIGCONT)
                await db.until("SELECT kind FROM halts", lambda rows: len(rows) == PARTITIONS, seconds=60)
                assert "HALTED" in workers.log.read_text()
                code, _told = await place.command("repair", "list")
                assert code == 1
                if what is truncated:  # at most what had been fetched before is applied: no gap, no skip
                    assert {row[0] for row in await db.rows("SELECT missing::text FROM marks")} == {"{}"}
                code, told = await place.command("verify")
                assert code == 1, told
