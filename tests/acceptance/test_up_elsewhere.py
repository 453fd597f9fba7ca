"""``runstone up`` with a Kafka and a Postgres that somebody else runs."""

from runstone_ingest import topics
from tests.fix_up import Start, get, wait_until


async def test_existing_services_are_used_and_left_running(
    start_up: Start, kafka: str, empty_database: str, prefix: str
) -> None:
    up = start_up("--kafka", kafka, "--postgres", empty_database, RUNSTONE_TOPIC_PREFIX=prefix)
    up.wait_ready()
    told = get(f"{up.url}/api/v1/connect")[1]
    assert told["bootstrap_servers"] == [kafka]
    assert told["topics"] == {"events": f"{prefix}.events", "catalog": f"{prefix}.catalog"}
    wait_until(lambda: all(part["health"] == "ok" for part in up.status()["parts"]), "every part is well")
    parts = {part["name"]: part for part in up.status()["parts"]}
    assert parts["kafka"]["pid"] is None
    assert parts["kafka"]["address"] == kafka
    assert parts["postgres"]["pid"] is None
    assert parts["postgres"]["address"] == empty_database.partition("@")[2]
    assert not (up.data / "kafka").exists()
    assert up.stop() == 0
    assert await topics.check(kafka, prefix) == []
