"""What each golden file of version 1 means, as objects of today's code."""

from array import array
from math import inf, nan

from runstone.events import CATALOG, Envelope, PointTable
from runstone.events import types as e
from runstone.events.types import SeriesKey

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
SESSION = "0190f5d8e4a07aaabbbbccccddddeeee"
OTHER = "0190f5d8e4a17aaabbbbccccddddeeef"
MODEL = "m-0190f5d8e4b17c3a9b1d2e3f4a5b6c7e"
REQUEST = "7f3c0d1e2b4a49688796a5b4c3d2e1f0"
NOW = 1_764_000_000_000


def q(*numbers: int) -> "array[int]":
    return array("q", numbers)


def d(*numbers: float) -> "array[float]":
    return array("d", numbers)


def events(*found: e.Event, first_seq: int = 0, stream: str = RUN) -> Envelope:
    return Envelope(SESSION, stream, first_seq, len(found), list(range(len(found))), list(found))


GOLDEN = {
    "run_lifecycle": events(
        e.RunStarted(
            1234567, "Churn Prediction", "Alice's Initial Run", NOW, "alice", "", {"host": "ws1", "rank": None}
        ),
        e.RunJoined(NOW + 1, {"rank": 1}),
        e.RunContext({"git_commit": "a" * 40, "git_dirty": True, "packages": {"numpy": "2.4.6"}}),
        e.RunRenamed("Alice's first", NOW + 2),
        e.RunEnded("FAILED", NOW + 3, "ValueError: no data"),
        e.RunDeleted(NOW + 4),
        e.RunRestored(NOW + 5),
    ),
    "params_and_tags": events(
        e.Param("solver", "liblinear", NOW),
        e.Param("größe/αβγ", '日本語 \N{PARTY POPPER}\n\t"quoted" \\ / ', NOW),
        e.Param("empty", "", 0),
        e.Tag("team", "churn", NOW),
        e.TagDeleted("team", NOW),
        first_seq=41,
    ),
    "points": Envelope(
        SESSION,
        RUN,
        7,
        8,
        [2],
        [e.Param("between", "points", NOW)],
        PointTable(
            [SeriesKey("loss"), SeriesKey("acc", MODEL, "churn", "d1g3st")],
            q(0, 0, 0, 0, 1, 0, 0),
            q(0, 1, 2**63 - 1, -(2**63), 3, 4, 5),
            q(NOW, NOW - 5, NOW, 0, 253_402_300_799_999, NOW, NOW),
            d(0.1, -0.0, nan, inf, -inf, 5e-324, 1.7976931348623157e308),
        ),
    ),
    "series": events(
        e.Series(SeriesKey("loss"), q(0, 1, 2), q(NOW, NOW, NOW), d(1.0, nan, -0.0)),
        e.Series(SeriesKey("lr", MODEL), q(2**63 - 1), q(NOW), d(1e-9)),
        e.Series(SeriesKey("t"), q(0, 0), q(NOW, NOW + 7), d(1.5, 2.5)),
        e.Series(SeriesKey("nothing"), q(), q(), d()),
    ),
    "inputs_artifacts_and_models": events(
        e.DatasetInput("churn.csv", "d1g3st", NOW, "local", "/data", '{"x": 1}', "", {"mlflow.data.context": "training"}),
        e.ModelInput(MODEL, NOW),
        e.ModelOutput(MODEL, 3, NOW),
        e.Artifact("model/model.pkl", "file:///a/0/r/artifacts/model/model.pkl", 4096, "ab" * 32, "application/octet-stream", NOW),
        e.ModelCreated(MODEL, 1234567, "model", NOW, "sklearn", RUN, {"C": "0.1"}, {}),
        e.ModelParams(MODEL, {"late": "1"}, NOW),
        e.ModelTags(MODEL, {"stage": "draft"}, NOW),
        e.ModelTagDeleted(MODEL, "stage", NOW),
        e.ModelFinalized(MODEL, "READY", NOW),
        e.ModelDeleted(MODEL, NOW),
    ),
    "sessions": events(
        e.SessionEnded(OTHER, "KILLED", NOW, "SIGTERM"),
        e.SessionEnded(OTHER, "FAILED", NOW, "the process is gone", clean=False),
        e.SessionLost(OTHER, NOW),
        e.RangeDeclared(OTHER, 17, 1000, "dropped", NOW, "the spool is full"),
    ),
    "session_found": events(e.SessionFound(OTHER, NOW)),
    "catalog": events(
        e.InstallationCreated("0190f5d8e4a27aaabbbbccccddddeef0", 12, NOW),
        e.ExperimentCreated("Churn Prediction", NOW, {"team": "growth"}),
        e.ExperimentRenamed(1234567, "Churn", NOW),
        e.ExperimentDeleted(1234567, NOW),
        e.ExperimentRestored(1234567, NOW),
        e.ExperimentTag(1234567, "owner", "alice", NOW),
        e.ExperimentTagDeleted(1234567, "owner", NOW),
        stream=CATALOG,
    ),
    "catalog_requests": events(
        e.ExperimentCreated("Churn", NOW, {"team": "growth"}, "s3://elsewhere/churn", REQUEST),
        e.ExperimentRenamed(1234567, "Churn 2", NOW, REQUEST),
        e.ExperimentDeleted(1234567, NOW, REQUEST),
        e.ExperimentRestored(1234567, NOW, REQUEST),
        e.ExperimentTag(1234567, "owner", "alice", NOW, REQUEST),
        e.ExperimentTagDeleted(1234567, "owner", NOW, REQUEST),
        first_seq=7,
        stream=CATALOG,
    ),
    "registry": events(
        e.RegisteredModelCreated("churn", NOW, "who leaves", {"team": "growth"}, REQUEST),
        e.RegisteredModelCreated("größe αβγ", NOW),
        e.RegisteredModelRenamed("churn", "leaving", NOW, REQUEST),
        e.RegisteredModelUpdated("leaving", "", NOW),
        e.RegisteredModelTag("leaving", "owner", "alice", NOW),
        e.RegisteredModelTagDeleted("leaving", "owner", NOW),
        e.ModelVersionCreated(
            "leaving", f"models:/{MODEL}", NOW, RUN, "https://elsewhere/run", "the first", MODEL, "alice", {"C": "0.1"}, REQUEST
        ),
        e.ModelVersionCreated("leaving", "s3://bucket/model", NOW),
        e.ModelVersionUpdated("leaving", 1, "the best", NOW),
        e.ModelVersionStaged("leaving", 1, "Production", NOW, archive_existing=True),
        e.ModelVersionStaged("leaving", 2, "Staging", NOW),
        e.ModelVersionTag("leaving", 1, "checked", "yes", NOW),
        e.ModelVersionTagDeleted("leaving", 1, "checked", NOW),
        e.RegisteredModelAlias("leaving", "champion", 1, NOW, REQUEST),
        e.RegisteredModelAliasDeleted("leaving", "champion", NOW),
        e.ModelVersionDeleted("leaving", 2, NOW),
        e.RegisteredModelDeleted("leaving", NOW),
        first_seq=13,
        stream=CATALOG,
    ),
    "model_version_location": events(
        e.ModelVersionCreated("leaving", "models:/churn/1", NOW, storage_location="mlflow-artifacts:/0/models/m/artifacts"),
        first_seq=30,
        stream=CATALOG,
    ),
    "model_artifacts": events(
        e.ModelCreated(MODEL, 1234567, "model", NOW),
        e.ModelArtifact(MODEL, "MLmodel", "file:///a/1234567/models/m/artifacts/MLmodel", 512, "ab" * 32, "text/plain", NOW),
        e.ModelFinalized(MODEL, "READY", NOW),
        stream=MODEL,
    ),
    "stored_fields_and_deleted_artifacts": events(
        e.DatasetInput("churn.csv", "d1g3st", NOW, "local", "/data", "", "", {}, {"schema": "cd" * 32, "profile": "ef" * 32}),
        e.ArtifactDeleted("plots", NOW),
        first_seq=2,
    ),
}  # fmt: skip
