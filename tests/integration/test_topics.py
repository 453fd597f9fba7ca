"""The topics are made once with the settings of a ledger, and a wrong setting is found."""

import asyncio
import time
from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runstone_ingest import topic_command, topics
from runstone_ingest.exceptions import TopicError
from runstone_store.configuration import catalog_topic, events_topic, liveness_topic


async def _findings(kafka: str, prefix: str, done: Callable[[list[str]], bool]) -> list[str]:
    """What `check` finds once a broker has taken a change over, which it confirms a moment too early."""
    deadline = time.monotonic() + 10
    while not done(found := await topics.check(kafka, prefix)):
        assert time.monotonic() < deadline, found
    return found


async def test_topics_are_made_as_they_should_be_and_a_second_time_changes_nothing(kafka: str, prefix: str):
    first = await topics.create(kafka, prefix, 3)
    assert first.partitions == 3
    assert await topics.check(kafka, prefix) == []
    again, other = await asyncio.gather(topics.create(kafka, prefix, 5), topics.create(kafka, prefix))
    assert again == other == first
    assert await topics.check(kafka, prefix) == []


async def test_a_wrong_setting_is_named_with_what_was_expected(kafka: str, prefix: str):
    await topics.create(kafka, prefix, 2)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        wrong = topics.SETTINGS | {"retention.ms": "604800000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, events_topic(prefix), wrong)])
        findings = await _findings(kafka, prefix, bool)
    finally:
        await admin.close()
    (finding,) = findings
    assert "retention.ms is 604800000, expected -1" in finding


async def test_topics_that_somebody_else_made_have_every_fault_named(kafka: str, prefix: str):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name(prefix), count, 1) for name, count in ((events_topic, 1), (catalog_topic, 2))]
        )
    finally:
        await admin.close()
    found = await _findings(kafka, prefix, lambda found: sum("not there" in one for one in found) == 1)
    findings = "\n".join(found)
    assert "message.timestamp.type is CreateTime, expected LogAppendTime" in findings
    assert "names no installation" in findings
    assert f"{liveness_topic(prefix)}: the topic is not there; run 'runstone topic create'" in findings
    assert f"{catalog_topic(prefix)}: it has 2 partitions, expected 1" in findings


async def test_an_installation_without_the_topic_of_heartbeats_gets_it(kafka: str, prefix: str):
    made = await topics.create(kafka, prefix, 1)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([liveness_topic(prefix)])
    finally:
        await admin.close()
    (finding,) = await _findings(kafka, prefix, bool)
    assert liveness_topic(prefix) in finding
    assert await topics.create(kafka, prefix) == made
    assert await topics.check(kafka, prefix) == []


async def test_missing_topics_are_a_finding(kafka: str, prefix: str):
    findings = await topics.check(kafka, prefix)
    assert len(findings) == 3
    assert all("run 'runstone topic create'" in finding for finding in findings)
    with pytest.raises(TopicError, match="run 'runstone topic create'"):
        await topics.installation(kafka, prefix)


def test_the_command_says_what_it_found_by_its_exit_code(kafka: str, prefix: str, monkeypatch, capsys):
    import argparse

    monkeypatch.setenv("RUNSTONE_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("RUNSTONE_TOPIC_PREFIX", prefix)
    parser = argparse.ArgumentParser()
    topic_command.add_arguments(parser)
    assert topic_command.run(parser.parse_args(["check"])) == 1
    assert topic_command.run(parser.parse_args(["create", "--partitions", "2"])) == 0
    assert topic_command.run(parser.parse_args(["check"])) == 0
    assert "as they should be" in capsys.readouterr().out
