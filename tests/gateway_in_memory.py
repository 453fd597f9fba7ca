"""A gateway's services without Kafka and without a read API: whatever is asked for exists."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from runstone_gateway.configuration import Configuration
from runstone_gateway.installation import Facts
from runstone_gateway.ledger import Ledger
from runstone_gateway.mlflow.bodies import Bodies
from runstone_gateway.mlflow.services import Services
from runstone_gateway.run_ids import RunIds
from runstone_gateway.undelivered import Undelivered
from runstone_gateway.verdicts import Verdicts
from runstone_gateway.writes import Writes
from runstone_ingest.records import Record

PARTITIONS = 12
CATALOG_TOPIC, EVENTS_TOPIC = "c", "e"
RUN, MODEL = "01" * 16, "m-" + "02" * 16
TAG = "k"


class Topics:
    """Acknowledges what is submitted, and keeps it."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def submit(self, topic: str, partition: int, key: bytes, value: bytes, headers: Any) -> Any:
        self.records.append(Record(topic, partition, len(self.records), key, value, headers))
        offset = asyncio.get_running_loop().create_future()
        offset.set_result(len(self.records) - 1)
        return offset


class Everything:
    """The read API of an installation that has one run, one logged model, and all experiments and names."""

    async def facts(self, asked: Any) -> dict[str, Any]:
        shared = {"experiment_id": 0, "lifecycle_stage": "active", "name": "n", "params": {}}
        run = shared | {"status": "RUNNING", "user": "", "start_time": 1, "end_time": None}
        model = shared | {"stream": RUN, "source_run_id": RUN, "status": "PENDING"}
        experiment = {"name": "Default", "lifecycle_stage": "active", "artifact_location": ""}
        tags = asked.get("runs", {}).get(RUN, {}).get("tags", ())
        return {
            "applied": {},
            "runs": {RUN: run | {"tags": {key: "v" for key in tags if key.startswith(TAG)}}},
            "experiments": {str(number): experiment for number in asked.get("experiments", ())},
            "models": {MODEL: model},
        }

    async def get(self, path: str, _needs: Any) -> dict[str, Any]:
        version = {"version": "1", "run_id": RUN, "current_stage": "None"}
        return {
            "get": {"registered_model": {"latest_versions": [version]}, "model_version": version},
            "get-download-uri": {"artifact_uri": "mlflow-artifacts:/0/x"},
            MODEL: {"model": {"info": {"tags": [{"key": TAG}]}}},
        }[urlsplit(path).path.rpartition("/")[2]]


class _Store:
    async def put(self, *_field: Any) -> str:
        return "ab" * 32


class _Ends:
    async def ask(self, places: Any) -> dict[tuple[str, int], int]:
        return dict.fromkeys(places, 0)


def services(topics: Any, read_api: Any) -> Services:
    """The services of a gateway that knows its installation and publishes to *topics*."""
    configuration: Any = Configuration("", "", "", "", None)  # type: ignore[arg-type]
    nothing: Any = None
    stored: Any = _Store()
    ledger = Ledger(configuration, nothing)
    known: Any = ledger
    known._publisher, known._ends = topics, _Ends()
    known._facts = Facts("i", {"events": EVENTS_TOPIC, "catalog": CATALOG_TOPIC}, PARTITIONS)
    known._floors = {(CATALOG_TOPIC, 0): 0} | {(EVENTS_TOPIC, p): 0 for p in range(PARTITIONS)}
    return Services(
        configuration,
        nothing,
        read_api,
        ledger,
        Writes(ledger, read_api),
        Verdicts(ledger, read_api),
        Undelivered(lambda: 0.0),
        RunIds(""),
        stored,
        Bodies(),
    )
