"""What the handlers of MLflow's routes work with."""

from dataclasses import dataclass

from runstone_gateway.configuration import Configuration
from runstone_gateway.facts import ReadApi
from runstone_gateway.forwarding import Forwarding
from runstone_gateway.large_fields import LargeFields
from runstone_gateway.ledger import Ledger
from runstone_gateway.mlflow.bodies import Bodies
from runstone_gateway.run_ids import RunIds
from runstone_gateway.undelivered import Undelivered
from runstone_gateway.verdicts import Verdicts
from runstone_gateway.writes import Writes


@dataclass(frozen=True, slots=True)
class Services:
    """One of each per gateway."""

    configuration: Configuration
    forwarding: Forwarding
    read_api: ReadApi
    ledger: Ledger
    writes: Writes
    verdicts: Verdicts
    undelivered: Undelivered
    run_ids: RunIds
    large_fields: LargeFields
    bodies: Bodies
