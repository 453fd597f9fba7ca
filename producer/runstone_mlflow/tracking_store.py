"""MLflow's tracking store over Runstone: writes go into the spool, reads come from the server by REST.

What code does while it trains (runs, params, metrics, tags, inputs, outputs) is appended to this machine's
spool and returns at once, whether a server answers or not; `runstone_mlflow.journal` knows what this process
wrote. Everything else is MLflow's own REST store: a read first waits until this process's own writes can be
seen. What MLflow refuses is refused here as far as this process can know it.
"""

from runstone_mlflow.history_calls import HistoryCalls
from runstone_mlflow.log_calls import LogCalls
from runstone_mlflow.model_calls import ModelCalls


class RunstoneStore(LogCalls, HistoryCalls, ModelCalls):
    """The store behind ``runstone://host:5000``; each base has the calls of one subject."""
