"""Named SQL blocks, migrations' files and what the environment says."""

import pytest

from runstone.exceptions import InvalidInputError
from runstone_store import configuration, kafka_settings, named_sql
from runstone_store.exceptions import MigrationError
from runstone_store.migrations import runner


def test_blocks_are_found_by_name_with_their_comment():
    blocks = named_sql.parse(
        "-- of the file\n\n-- name: one\n-- What is one?\nSELECT 1;\n\n-- name: two\n-- Two.\nSELECT 2"
    )
    assert blocks == {"one": "-- What is one?\nSELECT 1;", "two": "-- Two.\nSELECT 2"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-- name: a\n-- A.\nSELECT 1\n-- name: a\n-- A.\nSELECT 1", "'a' occurs twice"),
        ("-- name: a\nSELECT 1", "'a' needs a comment line"),
        ("-- name: a\n-- A.\n", "'a' needs a comment line and a statement"),
    ],
)
def test_a_block_that_is_not_of_the_form_fails_at_once(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        named_sql.parse(text)


def test_an_edited_migration_is_noticed():
    (first, *_) = runner.migrations("generation")
    assert (
        runner.pending("g", "generation", {("g", 1): first.checksum}) == runner.migrations("generation")[1:]
    )
    with pytest.raises(MigrationError, match="applied from another text"):
        runner.pending("g", "generation", {("g", 1): "0" * 64})


def test_a_database_of_a_newer_version_is_refused():
    with pytest.raises(MigrationError, match="belongs to a newer Runstone"):
        runner.pending("g", "generation", {("g", 999): "0" * 64})


def test_the_script_for_an_administrator_holds_everything():
    text = runner.script()
    for part in (
        "CREATE SCHEMA runstone_g1",
        "CREATE TABLE metric_chunks",
        "VIEW runstone.metric_points",
        "ROLE",
    ):
        assert part in text


def test_a_missing_setting_is_named_with_an_example():
    with pytest.raises(InvalidInputError, match="RUNSTONE_POSTGRES_DSN is not set; expected postgresql://"):
        configuration.postgres_dsn({})
    with pytest.raises(InvalidInputError, match="RUNSTONE_BOOTSTRAP_SERVERS"):
        configuration.bootstrap_servers({"RUNSTONE_BOOTSTRAP_SERVERS": " "})


def test_topics_share_a_prefix():
    assert configuration.topic_prefix({}) == "runstone"
    prefix = configuration.topic_prefix({"RUNSTONE_TOPIC_PREFIX": "team"})
    assert (configuration.events_topic(prefix), configuration.catalog_topic(prefix)) == (
        "team.events", "team.catalog",
    )  # fmt: skip


def test_kafkas_security_comes_from_the_environment():
    assert kafka_settings.security({"PATH": "x"}) == {}
    found = kafka_settings.security(
        {"RUNSTONE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "RUNSTONE_KAFKA_SASL_MECHANISM": "PLAIN"}
    )
    assert found.pop("ssl_context") is not None
    assert found == {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}


def test_a_setting_that_kafkas_client_does_not_know_is_named():
    with pytest.raises(InvalidInputError, match="RUNSTONE_KAFKA_COLOUR is no setting"):
        kafka_settings.security({"RUNSTONE_KAFKA_COLOUR": "red"})
