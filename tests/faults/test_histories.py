"""Random histories give the same read model as the plain model: whatever is resent, late, broken or interrupted.

A history is what sessions say (their journals) and what of it arrives, in which pieces, how often and in which
order, among bad records, while workers are stopped, killed and cut off, and streams are redriven. All of it goes
through a real Kafka, the worker and a real Postgres. Afterwards the plain model reads the topics and must say the
same as the read model, as must `runstone verify` and a read model that is made again. A history that finds a bug
is told again below, as a test of its own.
"""

import dataclasses
import itertools
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runstone.events import CATALOG, types
from tests.event_strategies import experiment_events, registry_events, run_events, sessions
from tests.faults.scale import SOAK, parts, times
from tests.faults.stage import Stage
from tests.rows_in_memory import pack

_STREAMS = ("run", "other run", "model")
_NUMBERS = itertools.count(1)

streams = st.sampled_from(_STREAMS)
bad_values = st.sampled_from(
    [b"", b"{not json", b"[]", b'{"v": 1}', b'{"v": 99}', b"[" * 10_000, b"\xff\x00"]
)


class Histories(RuleBasedStateMachine):
    """One history on a stage that earlier ones have used; its streams are its own."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        number = next(_NUMBERS)
        self.names = {
            "run": f"{2 * number:032x}",
            "other run": f"{2 * number + 1:032x}",
            "model": f"m-{number:032x}",
        }
        self.catalog_session = f"ca{number:030x}"
        self.journals: dict[tuple[str, str], list[Any]] = {}
        self.sent: dict[tuple[str, str], int] = {}

    @initialize(session=sessions, time=st.integers(0, 5))
    def a_run_starts(self, session: str, time: int) -> None:
        self.says("run", session, [types.RunStarted(7, "digits", "first", time)])

    @rule(stream=streams, session=sessions, said=st.lists(run_events, min_size=1, max_size=8))
    def says(self, stream: str, session: str, said: list[Any]) -> None:
        name = self.names[stream]
        if stream == "model":  # one of the two models has this stream for its own
            said = [
                dataclasses.replace(event, model_id=name) if getattr(event, "model_id", "") == "x" else event
                for event in said
            ]
        self._append(session, name, said)

    @rule(said=st.lists(experiment_events | registry_events, min_size=1, max_size=12))
    def says_in_the_catalog(self, said: list[Any]) -> None:
        self._append(self.catalog_session, CATALOG, said)
        self._send(self.catalog_session, CATALOG, [len(said)])

    def _append(self, session: str, stream: str, said: list[Any]) -> None:
        self.journals.setdefault((session, stream), []).extend(said)

    @rule(stream=streams, session=sessions, sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3))
    def what_is_new_arrives(self, stream: str, session: str, sizes: list[int]) -> None:
        self._send(session, self.names[stream], sizes)

    def _send(self, session: str, stream: str, sizes: list[int]) -> None:
        at = self.sent.get((session, stream), 0)
        for size in sizes:
            at = self._piece(session, stream, at, size)
        self.sent[session, stream] = at

    def _piece(self, session: str, stream: str, low: int, size: int) -> int:
        records = self.journals.get((session, stream), [])[low : low + size]
        if records:
            self.stage.run(self.stage.publish(pack(session, stream, low, records)))
        return low + len(records)

    @rule(stream=streams, session=sessions, low=st.integers(0, 30), size=st.integers(1, 30))
    def any_piece_arrives(self, stream: str, session: str, low: int, size: int) -> None:
        """Again, or too early, or to fill a gap, or all three."""
        self._piece(session, self.names[stream], low, size)

    @rule(low=st.integers(0, 30), size=st.integers(1, 30))
    def any_piece_of_the_catalog_arrives(self, low: int, size: int) -> None:
        self._piece(self.catalog_session, CATALOG, low, size)

    @rule(stream=streams, session=sessions, value=bad_values, low=st.integers(0, 30), n=st.integers(1, 5))
    def a_bad_record_arrives(self, stream: str, session: str, value: bytes, low: int, n: int) -> None:
        self.stage.run(self.stage.publish_bytes(value, session, self.names[stream], low, n))

    @rule()
    def a_worker_is_stopped_and_another_started(self) -> None:
        self.stage.run(self.stage.end_worker(signal.SIGTERM))
        self.stage.run(self.stage.start_worker())

    @rule()
    def a_worker_is_killed_and_another_started(self) -> None:
        self.stage.run(self.stage.end_worker(signal.SIGKILL))
        self.stage.run(self.stage.start_worker())

    @rule()
    def connections_are_cut(self) -> None:
        self.stage.run(self.stage.cut_connections())

    @rule()
    def chunks_are_merged(self) -> None:
        """All that wait; it goes on at any time besides."""
        self.stage.run(self.stage.merged())

    @rule(stream=streams)
    def a_stream_is_redriven(self, stream: str) -> None:
        self.stage.run(self.stage.redrive(self.names[stream]))

    @rule()
    def the_catalog_is_redriven(self) -> None:
        self.stage.run(self.stage.redrive(CATALOG))

    @precondition(lambda _self: SOAK)  # the group takes seconds for it
    @rule()
    def a_worker_joins_before_another_is_killed(self) -> None:
        self.stage.run(self.stage.start_worker())
        self.stage.run(self.stage.end_worker(signal.SIGKILL))

    @rule(with_the_catalog=st.booleans())
    def everything_arrives(self, with_the_catalog: bool) -> None:
        """All journals from their beginnings, as a sender does that has lost its memory."""
        for (session, stream), journal in self.journals.items():
            if with_the_catalog or stream != CATALOG:
                self._piece(session, stream, 0, len(journal))

    def teardown(self) -> None:
        found = self.stage.run(self.stage.differences([*self.names.values()]))
        assert not found, "\n".join(found)


@parts(8)
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("part")
def test_random_histories_give_the_same_read_model_as_the_plain_model(kafka, postgres):
    stages: list[Stage] = []

    class OnThisStage(Histories):
        def __init__(self) -> None:
            if not stages:
                stages.append(Stage(kafka, postgres).open())
            self.stage = stages[0]
            super().__init__()

        def teardown(self) -> None:
            try:
                super().teardown()
            except BaseException:
                stages.pop().close()  # what went wrong must not spoil the next history
                raise

    try:
        run_state_machine_as_test(
            OnThisStage,
            settings=settings(
                max_examples=times(6, 50),
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        (stage,) = stages
        assert not (wrong := stage.run(stage.verified())), "\n".join(wrong)
        stage.begin_again()
        found = stage.run(stage.differences(stage.model.streams()))
        assert not found, "\n".join(["a read model that was made again differs:", *found])
    finally:
        for stage in stages:
            stage.close()
