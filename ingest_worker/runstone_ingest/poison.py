"""Applies the breaker to batches: what may be written of one, and what was written. Pure."""

from collections.abc import Sequence
from copy import copy

from runstone_ingest.batching import Gathered
from runstone_ingest.ownership import Holding
from runstone_ingest.records import DeadLetter


def cut(batch: Sequence[Gathered], now: float) -> tuple[list[Gathered], dict[Holding, str]]:
    """*batch* without what lies behind the point where a partition's breaker trips; which trip, and why."""
    breakers = {holding: copy(holding.breaker) for holding in {one.holding for one in batch}}
    kept: list[Gathered] = []
    tripped: dict[Holding, str] = {}
    for one in batch:
        if one.holding in tripped:
            continue
        if not isinstance(one.item, DeadLetter):
            breakers[one.holding].good()
        elif _counts(one) and breakers[one.holding].bad(now):
            tripped[one.holding] = _words(one)
            continue
        kept.append(one)
    return kept, tripped


def note(batch: Sequence[Gathered], now: float) -> dict[Holding, str]:
    """Count what was written; whose breaker trips by that, and why."""
    tripped: dict[Holding, str] = {}
    for one in batch:
        if not isinstance(one.item, DeadLetter):
            one.holding.breaker.good()
        elif _counts(one) and one.holding.breaker.bad(now):
            tripped[one.holding] = _words(one)
    return tripped


def _counts(one: Gathered) -> bool:
    return one.item.record.offset >= one.holding.dead_accepted_until


def _words(one: Gathered) -> str:
    assert isinstance(one.item, DeadLetter)
    return (
        f"too many records in a row cannot be applied; the one at offset {one.item.record.offset}: "
        f"{one.item.reason}"
    )
