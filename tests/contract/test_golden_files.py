"""Records of version 1 stay readable for ever: a golden file is never changed, only added to."""

import struct
from pathlib import Path

import pytest

from runstone.events import decode, encode
from runstone.events.types import CatalogEvent, RunEvent, Series
from tests.contract.golden_envelopes import GOLDEN

FOLDER = Path(__file__).parent / "events" / "v1"


def exact(envelope):
    """An envelope as nested tuples in which NaN equals NaN and -0.0 does not equal 0.0."""

    def plain(value):
        if hasattr(value, "typecode"):
            return value.typecode, value.tobytes()
        if isinstance(value, float):
            return struct.pack("<d", value)
        if hasattr(value, "__dataclass_fields__"):
            return type(value).__name__, tuple(
                plain(getattr(value, name)) for name in value.__dataclass_fields__
            )
        if isinstance(value, (list, tuple)):
            return tuple(plain(item) for item in value)
        return repr(value)

    return plain(envelope)


def test_every_golden_file_has_a_meaning_here_and_the_other_way_round():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GOLDEN)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_file_decodes_to_what_it_always_meant(name):
    assert exact(decode((FOLDER / f"{name}.json").read_bytes())) == exact(GOLDEN[name])


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_todays_encoder_still_writes_the_golden_bytes(name):
    assert encode(GOLDEN[name]) == (FOLDER / f"{name}.json").read_bytes()


def test_every_event_type_occurs_in_a_golden_file():
    seen = {type(event) for envelope in GOLDEN.values() for event in envelope.events}
    assert seen == {*RunEvent.__args__, *CatalogEvent.__args__}
    assert Series in seen
