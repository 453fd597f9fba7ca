"""Ids that need no server: stable for ever, so their vectors are fixed here and in docs/events.md."""

import re
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from runstone.events.identity import experiment_id, new_run_id, partition_of

VECTORS = {
    ("Default", 1): 0,
    ("Default", 2): 1_775_591_268_555_149,
    ("Churn Prediction", 1): 8_581_946_195_502_677,
    ("Churn Prediction", 2): 1_602_258_670_306_633,
    ("größe 日本語", 1): 7_654_368_887_793_890,
}


@pytest.mark.parametrize(("name", "nth"), VECTORS)
def test_an_experiments_id_is_the_one_written_down(name, nth):
    assert experiment_id(name, nth) == VECTORS[name, nth]


def test_the_documentation_names_the_same_vectors():
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert {(name, int(nth)): int(number) for name, nth, number in rows} == VECTORS


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(2, 9))
def test_an_experiments_id_is_a_positive_exact_double(name, nth):
    for number in (experiment_id(name, nth), experiment_id(name)):
        assert 0 < number < 2**53 or (name, number) == ("Default", 0)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 100))
def test_a_stream_goes_where_kafkas_own_hash_puts_it(stream, partitions):
    assert partition_of(stream, partitions) == (murmur2(stream.encode()) & 0x7FFFFFFF) % partitions


def test_run_ids_are_uuids_of_version_7_and_sort_by_time():
    ids = [new_run_id(ms) for ms in (1, 1_764_000_000_000, 1_764_000_000_001)]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", run_id) for run_id in ids)
