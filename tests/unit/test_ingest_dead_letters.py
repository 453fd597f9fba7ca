"""A record whose parts contradict one another, or that the read model cannot hold, says why."""

from collections.abc import Callable
from typing import Any

import pytest

from runstone.events import CATALOG, Envelope, encode, encoding, types
from runstone.events.types import SeriesKey
from runstone_ingest.dead_letters import admit
from runstone_ingest.records import Address, Admitted, DeadLetter, Record
from tests.rows_in_memory import Point, pack

RUN, SESSION = "0a" * 16, "5e" * 16
TAG = types.Tag("k", "v", 1)


def at_home(_stream: str) -> int:
    return 2


def record(envelope: Envelope, **changed: Any) -> Record:
    headers = encoding.headers(envelope.session, envelope.stream, envelope.first_seq, envelope.n)
    made = Record("t", 2, 9, envelope.stream.encode(), encode(envelope), headers)
    return made._replace(**changed)


def reason(found: Admitted | DeadLetter) -> str:
    assert isinstance(found, DeadLetter), found
    return found.reason


def test_a_record_whose_parts_agree_is_admitted():
    envelope = pack(SESSION, RUN, 4, [TAG])
    found = admit(record(envelope), catalog=False, partition_of=at_home)
    assert isinstance(found, Admitted)
    assert found.envelope == envelope


GOOD = pack(SESSION, RUN, 4, [TAG])
HEADERS = dict(encoding.headers(SESSION, RUN, 4, 1))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"headers": []}, "headers: v, session, stream, first_seq, n missing"),
        ({"headers": [*(HEADERS | {"v": b"9"}).items()]}, "version b'9' of the contract is unknown here"),
        ({"headers": [*(HEADERS | {"n": b"-1"}).items()]}, "header n: expected a number from 0, found b'-1'"),
        ({"headers": [*(HEADERS | {"n": b"0"}).items()]}, "0 records from 4 are no range"),
        ({"headers": [*(HEADERS | {"session": b"\xff\0"}).items()]}, "header session: expected an id"),
        ({"headers": [*(HEADERS | {"first_seq": b"5"}).items()]}, "the headers say records 5+1"),
        ({"headers": [*(HEADERS | {"n": b"2"}).items()]}, "the headers say records 4+2"),
        ({"key": b"else"}, f"key: expected the stream '{RUN}', found b'else'"),
        ({"key": None}, "key: expected the stream"),
        ({"partition": 1}, "belongs into partition 2, found in 1"),
        ({"value": b"{"}, "not JSON"),
        ({"value": None}, "not JSON"),
    ],
)
def test_a_contradiction_is_named(changed: dict[str, Any], words: str):
    assert words in reason(admit(record(GOOD, **changed), catalog=False, partition_of=at_home))


def test_a_stream_in_the_wrong_topic_is_named():
    assert "belongs into the events topic" in reason(admit(record(GOOD), catalog=True, partition_of=at_home))
    created = pack(SESSION, CATALOG, 0, [types.ExperimentCreated("a", 1)])
    assert "belongs into the catalog's topic" in reason(
        admit(record(created), catalog=False, partition_of=at_home)
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: [Point(SeriesKey("k", "", "d" * 2000), 0, 0, 1.0)], "at most 2000 bytes"),
        (lambda: [types.Artifact("p" * 2001, "u", 1, "0", "t", 1)], "artifact.path"),
        (lambda: [types.ModelFinalized("m", "MAYBE", 1)], "expected READY, FAILED or PENDING, found 'MAYBE'"),
        (lambda: [types.RangeDeclared(SESSION, 2**63 - 2, 5, "dropped", 1)], "are no range"),
    ],
)
def test_what_the_read_model_cannot_hold_is_named(made: Callable[[], list[Any]], words: str):
    envelope = pack(SESSION, RUN, 0, made())
    assert words in reason(admit(record(envelope), catalog=False, partition_of=at_home))


@pytest.mark.parametrize("name", ["", "n" * 501])
def test_an_experiment_needs_a_name_of_bearable_length(name: str):
    envelope = pack(SESSION, CATALOG, 0, [types.ExperimentCreated(name, 1)])
    found = admit(record(envelope, partition=0), catalog=True, partition_of=at_home)
    assert "expected 1 to 500 characters" in reason(found)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (types.RegisteredModelCreated("", 1), "name: expected 1 to 256 characters, found 0"),
        (types.RegisteredModelRenamed("a", "b" * 257, 1), "new_name: expected 1 to 256 characters"),
        (types.RegisteredModelAlias("a", "", 1, 1), "alias: expected 1 to 256 characters"),
        (types.ModelVersionCreated("a", "s", 1, "r" * 2001), "run_id: expected at most 2000 bytes"),
        (types.ModelVersionStaged("a", 1, "Best", 1), "expected None, Staging, Production, Archived"),
        (types.ExperimentDeleted(1, 1, "no request"), "request: expected an id"),
    ],
)
def test_what_the_registry_cannot_hold_is_named(event: Any, words: str):
    envelope = pack(SESSION, CATALOG, 0, [event])
    assert words in reason(admit(record(envelope, partition=0), catalog=True, partition_of=at_home))


def test_a_logged_model_may_have_a_stream_of_its_own():
    model = "m-" + "0c" * 16
    created = pack(SESSION, model, 0, [types.ModelCreated(model, 0, "model", 1)])
    assert isinstance(admit(record(created), catalog=False, partition_of=at_home), Admitted)


def test_headers_account_for_a_value_that_cannot_be_read():
    found = admit(record(GOOD, value=b"\0"), catalog=False, partition_of=at_home)
    assert isinstance(found, DeadLetter)
    assert found.address == Address(SESSION, RUN, 4, 1)
    assert found.accountable
    elsewhere = admit(record(GOOD, partition=0), catalog=False, partition_of=at_home)
    assert isinstance(elsewhere, DeadLetter)
    assert not elsewhere.accountable


def test_what_postgres_cannot_hold_is_made_visible_in_a_dead_letter():
    bad = record(GOOD, headers=[("a\0\ud800", b"\0")])
    assert bad.headers_json() == [["a\\0\\ud800", "AA=="]]
    assert "\0" not in reason(admit(bad._replace(key=b"\0"), catalog=False, partition_of=at_home))


def test_the_hash_of_a_record_covers_every_part_and_their_borders():
    made = record(GOOD)
    others = [
        made._replace(key=None),
        made._replace(key=b""),
        made._replace(value=made.value + b" "),
        made._replace(headers=made.headers[1:]),
        made._replace(key=made.key[:-1], value=made.key[-1:] + made.value),
    ]
    hashes = {one.hash() for one in (made, *others)}
    assert len(hashes) == 6
    assert made._replace(offset=77, partition=1).hash() == made.hash()
