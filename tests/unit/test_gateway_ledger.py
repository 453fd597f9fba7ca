"""What becomes of a write that Kafka refuses, whole or in part: nobody hears that it was recorded."""

import asyncio
from array import array

import pytest

from runstone.events import PointTable, decode
from runstone.events.types import Param, RangeDeclared, SeriesKey
from runstone.sender.publisher import RecordRefused
from runstone_gateway.configuration import Configuration
from runstone_gateway.installation import Facts
from runstone_gateway.ledger import ACK_DEADLINE, Ledger
from runstone_gateway.unavailable import KafkaAwayError

RUN = "01" * 16
REFUSED = RecordRefused("too large for this broker")


class Kafka:
    """Keeps what is submitted, and the futures by which a test acknowledges or refuses it."""

    def __init__(self) -> None:
        self.envelopes, self.offsets = [], []

    def submit(self, _topic, _partition, _key, value, _headers):
        self.envelopes.append(decode(value))
        self.offsets.append(asyncio.get_running_loop().create_future())
        return self.offsets[-1]


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def ledger(kafka) -> Ledger:
    made = Ledger(Configuration("", "", "", "", None), None)
    made._publisher, made._facts = kafka, Facts("i", {"events": "e", "catalog": "c"}, 1)
    return made


def large() -> list[Param]:
    """Params that need two envelopes."""
    return [Param(f"p{i}", "\x01" * 6000, 1) for i in range(130)]


async def test_a_write_in_two_envelopes_of_which_one_is_refused_is_not_acknowledged(ledger, kafka):
    written = ledger.append(RUN, large())
    first, second = kafka.offsets
    first.set_exception(REFUSED)
    second.set_result(7)
    with pytest.raises(RecordRefused):
        await written.wait()
    assert written.offset is None
    assert ledger.pending(RUN) is not written


async def test_a_write_in_two_envelopes_is_acknowledged_with_the_second(ledger, kafka):
    written = ledger.append(RUN, large())
    kafka.offsets[0].set_result(6)
    await asyncio.sleep(0)
    assert not written.acknowledged.done()
    kafka.offsets[1].set_result(7)
    assert await written.wait() == written.offset == 7


@pytest.mark.parametrize("n", [1, 3])
async def test_points_that_kafka_refuses_are_declared_in_their_stream(ledger, kafka, n):
    columns = (array("q", range(n)), array("q", [1] * n), array("d", [0.5] * n))
    written = ledger.append(RUN, [], PointTable([SeriesKey("m")], array("q", [0] * n), *columns))
    kafka.offsets[0].set_exception(REFUSED)
    with pytest.raises(RecordRefused):
        await written.wait()
    (declared,) = kafka.envelopes[1].events
    assert isinstance(declared, RangeDeclared)
    assert (declared.session, declared.first_seq, declared.count) == (kafka.envelopes[0].session, 0, n)


async def test_what_is_refused_is_declared_also_while_kafka_takes_no_other_writes(ledger, kafka):
    written = ledger.append(RUN, large()[:1])
    ledger._trouble = ("Kafka has been away", -ACK_DEADLINE)
    with pytest.raises(KafkaAwayError):
        ledger.append(RUN, large()[:1])
    kafka.offsets[0].set_exception(REFUSED)
    with pytest.raises(RecordRefused):
        await written.wait()
    assert len(kafka.envelopes) == 2
