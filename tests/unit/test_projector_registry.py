"""What the catalog says to requests, and what becomes of registered models: the rules, one behaviour each."""

from typing import Any

import pytest

from runstone.events import CATALOG, Event, identity, types
from runstone_ingest.projector.rows import Experiment, ModelVersion, RegisteredModel
from tests.rows_in_memory import Hanging, Tables, admitted, pack

GATEWAY = "aa" * 16
MODEL = "m-" + "0c" * 16


class Catalog:
    """Asks the catalog, request after request; all of one call in one batch."""

    def __init__(self) -> None:
        self.tables, self.seq, self.offset = Tables(), 0, 0
        self.tables.loaded.experiments[0] = Experiment(0, "Default", "Default", 0, 0)

    def say(self, *events: Event) -> "Catalog":
        items = [
            admitted(pack(GATEWAY, CATALOG, self.seq + n, [event]), self.offset + n)
            for n, event in enumerate(events)
        ]
        self.seq += len(events)
        self.offset += len(events)
        self.tables.batch(items)
        return self

    def verdict(self, request: str) -> tuple[str, dict[str, Any]]:
        return self.tables.verdicts[request]

    def code(self, request: str) -> str:
        return self.verdict(request)[0]

    def model(self, name: str) -> RegisteredModel:
        return self.tables.loaded.registered_models[name]

    def version(self, name: str, number: int) -> ModelVersion:
        return self.model(name).versions[number]

    def hanging(self, name: str) -> Hanging:
        return self.tables.registry[name]


def version(name: str = "churn", time: int = 10, request: str = "", **more: Any) -> types.ModelVersionCreated:
    return types.ModelVersionCreated(name, "runs:/r/model", time, request=request, **more)


def registered(name: str = "churn", versions: int = 0) -> Catalog:
    return Catalog().say(types.RegisteredModelCreated(name, 1), *[version(name)] * versions)


# -- experiments --


def test_of_many_creations_of_one_experiment_the_first_is_accepted_and_all_hear_its_id():
    catalog = Catalog().say(*(types.ExperimentCreated("a", n, request=f"r{n}") for n in range(5)))
    about = {"experiment_id": identity.experiment_id("a"), "name": "a", "lifecycle_stage": "active"}
    assert catalog.verdict("r0") == ("", about)
    assert [catalog.verdict(f"r{n}") for n in range(1, 5)] == [("exists", about)] * 4
    assert catalog.tables.loaded.experiments[identity.experiment_id("a")].creation_time == 0


def test_an_experiment_keeps_the_artifact_location_of_its_creation():
    catalog = Catalog().say(types.ExperimentCreated("a", 1, artifact_location="s3://b/a"))
    catalog.say(types.ExperimentCreated("a", 2, artifact_location="s3://b/other"))
    assert catalog.tables.loaded.experiments[identity.experiment_id("a")].artifact_location == "s3://b/a"


A = identity.experiment_id("a")


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (types.ExperimentRenamed(A, "b", 5, "r"), "deleted"),
        (types.ExperimentDeleted(A, 5, "r"), "deleted"),
        (types.ExperimentTag(A, "k", "v", 5, "r"), "deleted"),
        (types.ExperimentTagDeleted(A, "k", 5, "r"), "deleted"),
        (types.ExperimentCreated("a", 5, request="r"), "exists"),
        (types.ExperimentRestored(A, 5, "r"), ""),
        (types.ExperimentRestored(0, 5, "r"), "active"),
        (types.ExperimentTagDeleted(0, "k", 5, "r"), "missing_tag"),
        (types.ExperimentRenamed(0, "a", 5, "r"), "exists"),
        (types.ExperimentRenamed(0, "Default", 5, "r"), ""),
        (types.ExperimentRenamed(3, "z", 5, "r"), "missing"),
        (types.ExperimentDeleted(3, 5, "r"), "missing"),
        (types.ExperimentTag(3, "k", "v", 5, "r"), "missing"),
        (types.ExperimentTagDeleted(3, "k", 5, "r"), "missing"),
    ],
)
def test_a_request_about_an_experiment_is_decided_as_mlflow_would(event: Any, code: str):
    catalog = Catalog().say(types.ExperimentCreated("a", 1), types.ExperimentDeleted(A, 2)).say(event)
    assert catalog.code("r") == code
    found = catalog.tables.loaded.experiments
    assert found[A].last_update_time == (2 if code else (5 if event.experiment_id == A else 2))
    assert catalog.verdict("r")[1].get("lifecycle_stage") == {
        "missing": None, "deleted": "deleted", "exists": "deleted",
    }.get(code, "active")  # fmt: skip


def test_a_fact_that_nobody_waits_for_takes_effect_on_a_deleted_experiment():
    catalog = Catalog().say(types.ExperimentCreated("a", 1), types.ExperimentDeleted(A, 2))
    catalog.say(types.ExperimentRenamed(A, "b", 3), types.ExperimentTag(A, "k", "v", 4))
    assert catalog.tables.loaded.experiments[A].name == "b"
    assert catalog.tables.experiment_tags == {(A, "k"): "v"}
    assert catalog.tables.verdicts == {}


def test_a_tag_that_was_set_in_the_same_batch_can_be_deleted():
    catalog = Catalog().say(types.ExperimentTag(0, "k", "v", 1), types.ExperimentTagDeleted(0, "k", 2, "r"))
    assert catalog.code("r") == ""
    assert catalog.say(types.ExperimentTagDeleted(0, "k", 3, "again")).code("again") == "missing_tag"


# -- registered models --


def test_a_registered_model_is_created_once():
    catalog = Catalog().say(
        types.RegisteredModelCreated("churn", 1, "who leaves", {"k": "v"}, "first"),
        types.RegisteredModelCreated("churn", 2, "else", {"k": "w"}, "second"),
    )
    assert (catalog.code("first"), catalog.code("second")) == ("", "exists")
    assert (catalog.model("churn").description, catalog.model("churn").creation_time) == ("who leaves", 1)
    assert catalog.hanging("churn").tags == {"k": "v"}


def test_fifty_versions_that_are_asked_for_at_once_get_fifty_numbers():
    catalog = registered().say(*(version(time=n, request=f"r{n}") for n in range(50)))
    assert [catalog.verdict(f"r{n}") for n in range(50)] == [("", {"version": n + 1}) for n in range(50)]
    assert catalog.model("churn").last_version == 50
    assert catalog.model("churn").last_update_time == 49


def test_a_version_says_where_it_comes_from():
    catalog = registered().say(
        version(run_id="r", run_link="l", description="d", model_id=MODEL, user="ada", tags={"k": "v"})
    )
    assert catalog.version("churn", 1) == ModelVersion(
        1, "runs:/r/model", 10, 10, "r", "l", "d", MODEL, "ada", "None", "active"
    )
    assert catalog.hanging("churn").version_tags == {(1, "k"): "v"}


def test_a_deleted_version_is_gone_with_its_aliases_and_its_number_is_never_used_again():
    catalog = registered(versions=2).say(
        types.RegisteredModelAlias("churn", "champion", 2, 20),
        types.RegisteredModelAlias("churn", "other", 1, 20),
    )
    catalog.say(
        types.RegisteredModelAlias("churn", "late", 2, 21),
        types.RegisteredModelAlias("churn", "moved", 2, 21),
        types.RegisteredModelAlias("churn", "moved", 1, 22),
        types.ModelVersionDeleted("churn", 2, 30, "r"),
        types.RegisteredModelAlias("churn", "champion", 2, 31, "after"),
        version(request="new"),
    )
    assert catalog.code("r") == ""
    assert catalog.code("after") == "missing_version"
    assert catalog.verdict("new") == ("", {"version": 3})
    assert catalog.hanging("churn").aliases == {"other": 1, "moved": 1}
    gone = catalog.version("churn", 2)
    assert (gone.lifecycle_stage, gone.source, gone.last_update_time) == ("deleted", "", 30)
    assert catalog.say(types.ModelVersionDeleted("churn", 2, 40, "again")).code("again") == "missing_version"


@pytest.mark.parametrize(
    "event",
    [
        types.RegisteredModelRenamed("none", "other", 5, "r"),
        types.RegisteredModelUpdated("none", "d", 5, "r"),
        types.RegisteredModelDeleted("none", 5, "r"),
        types.RegisteredModelTag("none", "k", "v", 5, "r"),
        types.RegisteredModelTagDeleted("none", "k", 5, "r"),
        types.RegisteredModelAlias("none", "a", 1, 5, "r"),
        types.RegisteredModelAliasDeleted("none", "a", 5, "r"),
        version("none", 5, "r"),
        types.ModelVersionUpdated("none", 1, "d", 5, "r"),
        types.ModelVersionStaged("none", 1, "Staging", 5, request="r"),
        types.ModelVersionDeleted("none", 1, 5, "r"),
        types.ModelVersionTag("none", 1, "k", "v", 5, "r"),
        types.ModelVersionTagDeleted("none", 1, "k", 5, "r"),
    ],
)
def test_what_is_not_there_is_missing_and_nothing_changes(event: Any):
    catalog = registered(versions=1).say(event)
    assert catalog.code("r") == "missing"
    assert catalog.tables.loaded.registered_models == registered(versions=1).tables.loaded.registered_models


@pytest.mark.parametrize(
    "event",
    [
        types.RegisteredModelAlias("churn", "a", 2, 5, "r"),
        types.ModelVersionUpdated("churn", 2, "d", 5, "r"),
        types.ModelVersionStaged("churn", 2, "Staging", 5, request="r"),
        types.ModelVersionDeleted("churn", 2, 5, "r"),
        types.ModelVersionTag("churn", 2, "k", "v", 5, "r"),
        types.ModelVersionTagDeleted("churn", 2, "k", 5, "r"),
    ],
)
def test_a_version_that_is_not_there_is_missing(event: Any):
    assert registered(versions=1).say(event).code("r") == "missing_version"


def test_deleting_a_tag_or_alias_that_is_not_there_is_accepted():
    catalog = registered(versions=1).say(
        types.RegisteredModelTagDeleted("churn", "k", 5, "a"),
        types.RegisteredModelAliasDeleted("churn", "k", 5, "b"),
        types.ModelVersionTagDeleted("churn", 1, "k", 5, "c"),
    )
    assert [catalog.code(request) for request in "abc"] == ["", "", ""]


def test_a_rename_takes_everything_along_and_frees_the_name():
    catalog = registered(versions=2).say(
        types.RegisteredModelTag("churn", "k", "v", 11),
        types.RegisteredModelAlias("churn", "champion", 2, 11),
        types.ModelVersionTag("churn", 1, "k", "w", 11),
    )
    catalog.say(
        types.RegisteredModelRenamed("churn", "leaving", 20, "r"),
        types.ModelVersionTag("churn", 1, "k", "x", 21, "old"),
        types.ModelVersionTag("leaving", 1, "l", "y", 21, "new"),
        version("leaving", 22, "third"),
        types.RegisteredModelCreated("churn", 23, request="free"),
        version("churn", 24, "first"),
    )
    codes = [catalog.code(request) for request in ("r", "old", "new", "third", "free", "first")]
    assert codes == ["", "missing", "", "", "", ""]
    assert catalog.verdict("third")[1] == {"version": 3}
    assert catalog.verdict("first")[1] == {"version": 1}
    moved = catalog.hanging("leaving")
    assert moved.version_tags == {(1, "k"): "w", (1, "l"): "y"}
    assert (moved.tags, moved.aliases) == ({"k": "v"}, {"champion": 2})
    assert [catalog.version("leaving", n).last_update_time for n in (1, 2, 3)] == [20, 20, 22]
    assert catalog.hanging("churn").aliases == {}


def test_a_rename_onto_a_name_that_is_taken_is_refused_and_onto_its_own_is_not():
    catalog = registered().say(types.RegisteredModelCreated("b", 1))
    catalog.say(types.RegisteredModelRenamed("churn", "b", 2, "taken"))
    catalog.say(types.RegisteredModelRenamed("churn", "churn", 3, "own"))
    assert (catalog.code("taken"), catalog.code("own")) == ("exists", "")
    assert catalog.model("churn").last_update_time == 3


def test_two_models_may_swap_their_names_within_a_batch():
    catalog = registered("a", versions=1).say(types.RegisteredModelCreated("b", 2))
    catalog.say(
        types.RegisteredModelRenamed("a", "t", 3),
        types.RegisteredModelRenamed("b", "a", 4),
        types.RegisteredModelRenamed("t", "b", 5),
    )
    assert set(catalog.tables.loaded.registered_models) == {"a", "b"}
    assert (catalog.model("a").creation_time, catalog.model("b").creation_time) == (2, 1)
    assert catalog.model("b").last_version == 1


def test_a_name_that_was_deleted_is_new_and_counts_from_one():
    catalog = registered(versions=3).say(types.RegisteredModelTag("churn", "k", "v", 5))
    catalog.say(
        types.RegisteredModelDeleted("churn", 20),
        version(request="between"),
        types.RegisteredModelCreated("churn", 21),
        version(time=22, request="first"),
    )
    assert catalog.code("between") == "missing"
    assert catalog.verdict("first") == ("", {"version": 1})
    assert set(catalog.model("churn").versions) == {1}
    assert catalog.hanging("churn").tags == {}


def test_a_stage_archives_the_others_in_it_when_asked_to():
    catalog = registered(versions=4).say(
        types.ModelVersionStaged("churn", 1, "Production", 20),
        types.ModelVersionStaged("churn", 2, "Staging", 20),
        types.ModelVersionStaged("churn", 3, "Production", 20),
    )
    catalog.say(types.ModelVersionStaged("churn", 4, "Production", 30, archive_existing=True, request="r"))
    assert catalog.verdict("r") == ("", {"version": 4})
    stages = [catalog.version("churn", n).current_stage for n in (1, 2, 3, 4)]
    assert stages == ["Archived", "Staging", "Archived", "Production"]
    assert [catalog.version("churn", n).last_update_time for n in (1, 2, 3, 4)] == [30, 20, 30, 30]
    assert catalog.model("churn").last_update_time == 30


def test_a_stage_archives_nothing_where_the_version_is_missing():
    catalog = registered(versions=1).say(types.ModelVersionStaged("churn", 1, "Production", 20))
    catalog.say(types.ModelVersionStaged("churn", 9, "Production", 30, archive_existing=True, request="r"))
    assert catalog.code("r") == "missing_version"
    assert catalog.version("churn", 1).current_stage == "Production"


def test_an_update_touches_the_version_and_not_the_model():
    catalog = registered(versions=1).say(types.ModelVersionUpdated("churn", 1, "better", 50))
    assert (catalog.version("churn", 1).description, catalog.version("churn", 1).last_update_time) == (
        "better", 50,
    )  # fmt: skip
    assert catalog.model("churn").last_update_time == 10
    assert catalog.say(types.RegisteredModelUpdated("churn", "all", 60)).model("churn").description == "all"


def test_the_first_verdict_on_a_request_counts():
    catalog = Catalog().say(types.ExperimentCreated("a", 1, request="r"))
    catalog.say(types.ExperimentCreated("a", 2, request="r"))
    assert catalog.code("r") == ""
