"""What becomes of a run, an experiment and a model: the rules, one behaviour each."""

import dataclasses
from typing import Any

import pytest

from runstone.events import CATALOG, Event, identity, types
from runstone_ingest.projector.rows import Experiment, Run
from runstone_ingest.records import Address, DeadLetter, Record
from tests.rows_in_memory import Tables, admitted, pack

RUN = "0a" * 16
OWNER, RANK, SENDER = "aa" * 16, "bb" * 16, "cc" * 16
STARTED = types.RunStarted(7, "digits", "first", 1000, "ada", context={"host": "h"})


class Ledger:
    """Says things in a stream, record after record, a batch each."""

    def __init__(self, stream: str = RUN) -> None:
        self.tables, self.stream, self.offset = Tables(), stream, 0
        self.seqs: dict[str, int] = {}

    def say(self, *events: Event, by: str = OWNER) -> "Ledger":
        seq = self.seqs.setdefault(by, 0)
        self.seqs[by] += len(events)
        self.tables.batch([admitted(pack(by, self.stream, seq, list(events)), self.offset)])
        self.offset += 1
        return self

    @property
    def run(self) -> Run:
        return self.tables.loaded.runs[self.stream]


def end(session: str, status: str = "FAILED") -> types.SessionEnded:
    return types.SessionEnded(session, status, 3000, "process died")


def test_a_started_run_runs_and_its_session_owns_it():
    run = Ledger().say(STARTED).run
    assert (run.status, run.owner_session, run.attempt, run.start_time) == ("RUNNING", OWNER, 1, 1000)


def test_an_explicit_end_decides_whoever_says_it():
    run = Ledger().say(STARTED).say(types.RunEnded("KILLED", 2000, "by hand"), by=SENDER).run
    assert (run.status, run.status_reason, run.end_time, run.ended_by) == (
        "KILLED", "by hand", 2000, "run_ended",
    )  # fmt: skip


def test_the_death_of_the_owner_ends_a_run_that_it_left_open():
    run = Ledger().say(STARTED).say(end(OWNER), by=SENDER).run
    assert (run.status, run.status_reason, run.ended_by) == ("FAILED", "process died", "session_ended")


def test_the_death_of_the_owner_changes_nothing_after_an_explicit_end():
    run = Ledger().say(STARTED, types.RunEnded("FINISHED", 2000)).say(end(OWNER), by=SENDER).run
    assert (run.status, run.end_time) == ("FINISHED", 2000)


def test_the_death_of_a_rank_marks_its_session_only():
    ledger = Ledger().say(STARTED).say(types.RunJoined(1001), by=RANK).say(end(RANK), by=SENDER)
    assert ledger.run.status == "RUNNING"
    assert ledger.tables.loaded.marks[RUN, RANK].ended == "ended"
    assert ledger.tables.loaded.marks[RUN, OWNER].ended is None


def test_a_lost_session_fails_its_run_until_it_is_heard_again():
    ledger = Ledger().say(STARTED).say(types.SessionLost(OWNER, 4000), by=SENDER)
    assert (ledger.run.status, ledger.run.status_reason, ledger.run.end_time) == (
        "FAILED", "session lost", 4000,
    )  # fmt: skip
    ledger.say(types.Tag("k", "v", 5000))
    assert (ledger.run.status, ledger.run.end_time, ledger.run.ended_by) == ("RUNNING", None, None)
    assert ledger.tables.loaded.marks[RUN, OWNER].ended is None


def test_a_repeated_record_does_not_revoke_a_loss():
    ledger = Ledger().say(STARTED).say(types.SessionLost(OWNER, 4000), by=SENDER)
    ledger.tables.batch([admitted(pack(OWNER, RUN, 0, [STARTED]), 9)])
    assert ledger.run.status == "FAILED"


def test_a_session_cannot_say_of_itself_that_it_is_lost():
    ledger = Ledger().say(STARTED, types.SessionLost(OWNER, 2000), types.Tag("k", "v", 3000))
    assert ledger.run.status == "RUNNING"
    assert ledger.tables.loaded.marks[RUN, OWNER].ended is None


def test_a_new_attempt_runs_again_under_its_own_session_and_keeps_the_first_start():
    ledger = Ledger().say(STARTED, types.RunEnded("FAILED", 2000, "oom"))
    again = types.RunStarted(8, "other", "second", 5000, context={"rank": 1})
    ledger.say(again, by=RANK).say(end(OWNER), by=SENDER)
    run = ledger.run
    assert (run.status, run.status_reason, run.attempt, run.owner_session) == ("RUNNING", None, 2, RANK)
    assert (run.start_time, run.experiment_id, run.name) == (1000, 7, "second")
    assert run.context == {"host": "h", "rank": 1}


def test_any_event_makes_the_run_and_its_start_fills_it():
    ledger = Ledger().say(types.Param("lr", "1", 10), by=RANK)
    assert (ledger.run.status, ledger.run.start_time) == ("RUNNING", None)
    assert ledger.say(STARTED).run.name == "first"


def test_what_a_rank_says_of_itself_never_covers_the_owner():
    run = Ledger().say(types.RunJoined(1, {"host": "other", "gpu": 2}), by=RANK).say(STARTED).run
    assert run.context == {"host": "h", "gpu": 2}


def test_events_after_the_end_are_kept():
    ledger = Ledger().say(STARTED, types.RunEnded("FINISHED", 2000)).say(types.Tag("late", "yes", 3000))
    assert ledger.tables.tags[RUN, "late"] == ("yes", 3000)
    assert ledger.run.status == "FINISHED"


def test_a_contradicting_param_becomes_a_conflict_and_an_equal_one_does_not():
    ledger = (
        Ledger().say(types.Param("lr", "1", 10), types.Param("lr", "2", 11)).say(types.Param("lr", "1", 12))
    )
    ledger.say(types.Param("lr", "2", 13), by=RANK)
    assert ledger.tables.params == {(RUN, "lr"): ("1", 10)}
    assert ledger.tables.conflicts == {(RUN, "lr", "2"): (OWNER, 11)}


def test_a_declared_range_is_noted_and_still_applied_if_it_comes():
    ledger = Ledger().say(STARTED).say(types.RangeDeclared(OWNER, 1, 3, "dropped", 9, "full"), by=SENDER)
    mark = ledger.tables.loaded.marks[RUN, OWNER]
    assert (mark.high_seq, mark.missing) == (3, ((1, 4),))
    assert mark.declared == [{"first_seq": 1, "count": 3, "kind": "dropped", "reason": "full"}]
    ledger.say(types.Tag("a", "1", 1), types.Tag("b", "2", 2))
    assert ledger.tables.loaded.marks[RUN, OWNER].missing == ((3, 4),)


def test_a_range_that_two_senders_declare_is_noted_once():
    declared = types.RangeDeclared(OWNER, 1, 3, "damaged", 9, "unreadable")
    ledger = Ledger().say(STARTED).say(declared, by=SENDER)
    ledger.say(dataclasses.replace(declared, time=10), by=RANK)
    ledger.say(dataclasses.replace(declared, first_seq=9), by=RANK)
    assert [said["first_seq"] for said in ledger.tables.loaded.marks[RUN, OWNER].declared] == [1, 9]


def test_the_records_of_a_dead_letter_stay_missing():
    ledger = Ledger().say(STARTED)
    record = Record("t", 0, 1, RUN.encode(), b"nonsense", [])
    changes = ledger.tables.batch([DeadLetter(record, "why", Address(OWNER, RUN, 1, 4), accountable=True)])
    assert ledger.tables.loaded.marks[RUN, OWNER].missing == ((1, 5),)
    assert (changes.tallies["t", 0].records, changes.tallies["t", 0].dead) == (1, 1)


def test_a_dead_letter_that_belongs_elsewhere_touches_no_mark():
    tables = Tables()
    record = Record("t", 0, 1, RUN.encode(), b"", [])
    tables.batch([DeadLetter(record, "why", Address(OWNER, RUN, 0, 4), accountable=False)])
    assert tables.loaded.marks == {}


def test_a_logged_model_without_a_run_makes_no_run():
    model = "m-" + "1" * 32
    ledger = Ledger(model).say(types.ModelCreated(model, 7, "net", 5, params={"a": "1"}))
    ledger.say(types.ModelParams(model, {"a": "2", "b": "3"}, 6), types.ModelFinalized(model, "READY", 7))
    ledger.say(end(OWNER), by=SENDER)
    assert ledger.tables.loaded.runs == {}
    made = ledger.tables.loaded.models[model, model]
    assert (made.status, made.params, made.last_update_time) == ("READY", {"a": "1", "b": "3"}, 7)


class Catalog(Ledger):
    def __init__(self) -> None:
        super().__init__(CATALOG)
        self.tables.loaded.experiments[0] = Experiment(0, "Default", "Default", 0, 0)

    @property
    def names(self) -> dict[int, str]:
        return {e.experiment_id: e.name for e in self.tables.loaded.experiments.values() if e.experiment_id}


def test_creating_a_name_again_changes_nothing():
    catalog = Catalog().say(types.ExperimentCreated("a", 1)).say(types.ExperimentCreated("a", 2, {"k": "v"}))
    assert catalog.names == {identity.experiment_id("a"): "a"}
    assert catalog.tables.loaded.experiments[identity.experiment_id("a")].creation_time == 1
    assert catalog.tables.experiment_tags == {}


def test_a_rename_frees_the_name_for_its_second_creation():
    first, second = identity.experiment_id("a"), identity.experiment_id("a", 2)
    catalog = Catalog().say(types.ExperimentCreated("a", 1), types.ExperimentRenamed(first, "b", 2))
    catalog.say(types.ExperimentCreated("a", 3))
    assert catalog.names == {first: "b", second: "a"}


def test_a_rename_onto_a_name_that_is_taken_is_ignored():
    a, b = identity.experiment_id("a"), identity.experiment_id("b")
    catalog = Catalog().say(types.ExperimentCreated("a", 1), types.ExperimentCreated("b", 1))
    catalog.say(types.ExperimentRenamed(a, "b", 2), types.ExperimentRenamed(a, "Default", 2))
    assert catalog.names == {a: "a", b: "b"}


def test_the_default_experiment_is_there_and_takes_its_time_from_the_installation():
    catalog = Catalog().say(types.ExperimentCreated("Default", 9))
    catalog.say(types.InstallationCreated("i1", 12, 50)).say(types.InstallationCreated("i2", 3, 60))
    assert catalog.names == {}
    assert catalog.tables.loaded.experiments[0].creation_time == 50


@pytest.mark.parametrize("event", [types.ExperimentDeleted(5, 1), types.ExperimentTag(5, "k", "v", 1)])
def test_what_concerns_an_unknown_experiment_is_ignored(event: Any):
    catalog = Catalog().say(event)
    assert catalog.names == {}
    assert catalog.tables.experiment_tags == {}


MODEL = "m-" + "0c" * 16


def pointer(path: str, size: int = 1, model: str = MODEL) -> types.ModelArtifact:
    return types.ModelArtifact(model, path, f"file:///{path}", size, "0" * 64, "text/plain", 5)


def test_the_last_pointer_of_a_models_file_wins_and_the_model_stays_as_it_was():
    ledger = Ledger(MODEL).say(types.ModelCreated(MODEL, 7, "model", 1), pointer("MLmodel"))
    ledger.say(pointer("MLmodel", 2), pointer("code/x.py"))
    assert {key: a.size for key, a in ledger.tables.model_artifacts.items()} == {
        (MODEL, MODEL, "MLmodel"): 2,
        (MODEL, MODEL, "code/x.py"): 1,
    }
    assert ledger.tables.loaded.models[MODEL, MODEL].last_update_time == 1
    assert ledger.tables.loaded.runs == {}, "a model's own stream is no run"


def test_a_file_of_a_model_makes_the_row_of_its_run():
    assert Ledger().say(pointer("MLmodel")).run.status == "RUNNING"


def artifact(path: str) -> types.Artifact:
    return types.Artifact(path, f"file:///{path}", 1, "0" * 64, "text/plain", 5)


@pytest.mark.parametrize("batches", [1, 2])
def test_a_deleted_folder_takes_along_what_lies_below_it_and_nothing_else(batches: int):
    said = [artifact("a"), artifact("a/b"), artifact("a/b/c"), artifact("ab"), artifact("z/a")]
    after = [types.ArtifactDeleted("a", 6), artifact("a/new")]
    ledger = Ledger()
    if batches == 1:
        ledger.say(*said, *after)
    else:
        ledger.say(*said).say(*after)
    assert {path for _run, path in ledger.tables.artifacts} == {"ab", "z/a", "a/new"}
    ledger.say(types.ArtifactDeleted("", 7))
    assert ledger.tables.artifacts == {}


def test_a_dataset_tells_which_of_its_fields_lie_in_the_store():
    ledger = Ledger().say(types.DatasetInput("d", "1", 5, stored={"profile": "ab" * 32}))
    assert ledger.tables.datasets[RUN, "d", "1"].stored == {"profile": "ab" * 32}


def test_a_process_that_says_itself_that_it_ends_has_left_the_run_and_no_more():
    ledger = Ledger().say(STARTED).say(types.RunJoined(1500), by=RANK).say(end(RANK), by=RANK)
    assert (ledger.run.status, ledger.tables.loaded.marks[RUN, RANK].ended) == ("RUNNING", "ended")
    ledger.say(types.RunJoined(1600), by=RANK)
    assert ledger.tables.loaded.marks[RUN, RANK].ended is None
    ledger.say(end(OWNER), by=OWNER)
    assert (ledger.run.status, ledger.tables.loaded.marks[RUN, OWNER].ended) == ("RUNNING", "ended")
    ledger.say(STARTED, by=OWNER).say(end(OWNER), by=SENDER)
    assert ledger.run.status == "FAILED"


def test_a_lost_session_that_is_found_runs_on_and_finding_another_one_changes_nothing():
    ledger = Ledger().say(STARTED).say(types.SessionFound(OWNER, 2000), by=SENDER)
    assert ledger.run.status == "RUNNING"
    ledger.say(types.SessionLost(OWNER, 4000), types.SessionFound(RANK, 4500), by=SENDER)
    assert ledger.run.status == "FAILED"
    ledger.say(types.SessionFound(OWNER, 5000), by=SENDER)
    assert (ledger.run.status, ledger.run.end_time) == ("RUNNING", None)
    assert ledger.tables.loaded.marks[RUN, OWNER].ended is None
    ledger.say(types.RunEnded("FINISHED", 6000)).say(types.SessionFound(OWNER, 7000), by=SENDER)
    assert ledger.run.status == "FINISHED"
