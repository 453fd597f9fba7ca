"""The shapes of requests and answers, as JSON schemas (2020-12) for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import limits
from runstone.events.types import STATUSES
from runstone_query.configuration import COMPARE_MAX, PAGE_DEFAULT, PAGE_MAX, POINTS_MAX
from runstone_query.run_documents import CONTEXT_FIELDS

Schema = dict[str, Any]


def described(description: str, schema: Mapping[str, Any]) -> Schema:
    """*schema* with a description."""
    return {**schema, "description": description}


def array(items: Mapping[str, Any]) -> Schema:
    """A list of *items*."""
    return {"type": "array", "items": items}


def table(values: Mapping[str, Any]) -> Schema:
    """An object of any keys, with *values*."""
    return {"type": "object", "additionalProperties": values}


def record(**members: Mapping[str, Any]) -> Schema:
    """An object that always has these *members*."""
    return {"type": "object", "properties": members, "required": list(members)}


def nullable(schema: Mapping[str, Any]) -> Schema:
    """*schema*, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """A schema of `COMPONENTS`."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Final = {"type": "string"}
INTEGER: Final = {"type": "integer"}
BOOLEAN: Final = {"type": "boolean"}
COUNT: Final = {"type": "integer", "minimum": 0}
TIME: Final = {"type": "integer", "description": "ms since 1970, UTC"}
EXPERIMENT_ID: Final = {"type": "integer", "minimum": 0, "maximum": limits.EXPERIMENT_ID_MAX}
STAGE: Final = {"enum": ["active", "deleted"]}
VIEW: Final = {"enum": ["active", "deleted", "all"], "default": "active"}
LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT}
MAX_POINTS: Final = {"type": "integer", "minimum": 1, "maximum": POINTS_MAX}
KEY: Final = {"type": "string", "minLength": 1, "maxLength": limits.KEY_MAX}
VALUE: Final = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}

_HEAD: Final[dict[str, Schema]] = {
    "run_id": TEXT,
    "experiment_id": nullable(EXPERIMENT_ID),
    "experiment_name": nullable(TEXT),
    "name": nullable(TEXT),
    "status": {"enum": list(STATUSES)},
    "status_reason": nullable(TEXT),
    "lifecycle_stage": STAGE,
    "start_time": nullable(TIME),
    "end_time": nullable(TIME),
    "user": nullable(TEXT),
    "parent_run_id": nullable(TEXT),
    "artifact_uri": nullable(TEXT),
    "last_heard_at": described(
        "By the broker's clock: the last record of the run, or the last time its machine said that the "
        "owning process lives; null for runs from before this was kept.",
        nullable(TIME),
    ),
    "stale": described(
        "It is RUNNING, and its machine, which used to say that the owning process lives, has been silent "
        "for five minutes.",
        BOOLEAN,
    ),
}

COMPONENTS: Final[dict[str, Schema]] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457: what was wrong; where one field is to blame, what it held and may hold.",
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": INTEGER,
            "detail": TEXT,
            "field": TEXT,
            "found": TEXT,
            "accepted": TEXT,
            "incident": TEXT,
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Experiment": record(
        experiment_id=EXPERIMENT_ID,
        name=TEXT,
        lifecycle_stage=STAGE,
        creation_time=TIME,
        last_update_time=TIME,
        tags=table(TEXT),
    ),
    "RunHead": record(**_HEAD),
    "Run": record(
        **_HEAD,
        params=table(TEXT),
        metrics=described("The latest value of each: maximal (step, time, value), NaN lowest.", table(VALUE)),
        tags=table(TEXT),
        context={
            "type": "object",
            "description": "Where and from what it ran; null where unknown, further members where told.",
            "required": list(CONTEXT_FIELDS),
        },
        param_conflicts=described("Values that contradict a param's first one.", table(array(TEXT))),
        datasets=described(
            "What it read, in the order in which that was logged.",
            array(record(name=TEXT, digest=TEXT, context=nullable(TEXT))),
        ),
        completeness=ref("Completeness"),
    ),
    "Completeness": record(
        complete=described("Nothing is missing, dead or declared lost.", BOOLEAN),
        gaps=described("Ranges of records that have not come.", COUNT),
        dead_letters=described("Records that could not be applied.", COUNT),
        sessions=array(
            record(
                session=TEXT,
                first_seq=COUNT,
                last_seq={"type": "integer", "minimum": -1},
                missing=array({"type": "array", "prefixItems": [COUNT, COUNT], "minItems": 2, "maxItems": 2}),
                declared=array(record(first_seq=COUNT, count=COUNT, kind=TEXT, reason=TEXT)),
                ended={"enum": ["ended", "lost", None]},
                end_reason=nullable(TEXT),
                clean=nullable(BOOLEAN),
            )
        ),
    ),
    "Dataset": record(
        name=TEXT,
        digest=TEXT,
        context=nullable(TEXT),
        time=TIME,
        source_type=TEXT,
        source=TEXT,
        schema=described("JSON, as MLflow writes it.", TEXT),
        profile=described("JSON, as MLflow writes it.", TEXT),
        tags=table(TEXT),
    ),
    "Comparison": record(
        runs=array(ref("RunHead")),
        params=record(
            differ=described("By key and run; null where a run has none.", table(table(nullable(TEXT)))),
            agree=table(TEXT),
        ),
        metrics=described("By key and run; null where a run has none.", table(table(nullable(VALUE)))),
    ),
    "History": record(
        run_id=TEXT,
        key=TEXT,
        points=described("All points of the metric, those left out included.", COUNT),
        steps=array(INTEGER),
        times=array(TIME),
        values=array(VALUE),
    ),
    "Metrics": record(
        run_id=TEXT, metrics=array(record(key=TEXT, step=INTEGER, time=TIME, value=VALUE, points=COUNT))
    ),
    "Artifact": {
        "type": "object",
        "description": "A folder has files (their number) and the sum of their sizes; a file has the rest.",
        "properties": {
            "path": TEXT,
            "is_dir": BOOLEAN,
            "size": COUNT,
            "time": TIME,
            "files": COUNT,
            "uri": TEXT,
            "sha256": TEXT,
            "media_type": TEXT,
            "content_url": TEXT,
        },
        "required": ["path", "is_dir", "size", "time"],
    },
    "Ingest": record(
        partitions=array(
            record(
                topic=TEXT,
                partition=COUNT,
                next_offset=COUNT,
                end_offset=nullable(COUNT),
                lag_records=nullable(COUNT),
                dead_letters=COUNT,
                records=COUNT,
                duplicates=COUNT,
                updated_at=nullable(TIME),
                halted=nullable(record(kind=TEXT, reason=TEXT, since=TIME)),
            )
        ),
        lag_records=nullable(COUNT),
        lag_unknown_because=nullable(TEXT),
        alarms=array(TEXT),
    ),
    "Readiness": record(status=TEXT, alarms=array(TEXT)),
    "Installation": record(
        installation_id=TEXT,
        partitions=COUNT,
        topics=record(events=TEXT, catalog=TEXT),
        artifact_root=nullable(TEXT),
    ),
    "Status": record(status=TEXT),
    "SearchRequest": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "experiment_names": nullable(array(TEXT)),
            "experiment_ids": nullable(array(EXPERIMENT_ID)),
            "filter": nullable(TEXT),
            "order_by": nullable(array(TEXT)),
            "view": VIEW,
            "limit": LIMIT,
            "page_token": nullable(TEXT),
        },
    },
    "CompareRequest": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"run_ids": {**array(TEXT), "minItems": 1, "maxItems": COMPARE_MAX}},
        "required": ["run_ids"],
    },
}
