"""Runstone's client: log what a training does, without waiting for anybody.

    import runstone

    with runstone.start_run(run_name="first try"):
        runstone.log_params({"solver": "liblinear", "C": 0.1})
        runstone.log_metric("loss", 0.25, step=1)

The calls read like MLflow's fluent ones. Each costs microseconds, needs no network and survives the death of
the process; a sender process on this machine publishes what they recorded. ``Client`` has the same calls
for a server and a spool of its own. ``docs/client.md`` lists calls, variables and guarantees.
"""

from runstone._version import __version__
from runstone.client import Client
from runstone.exceptions import (
    InvalidInputError,
    NoSuchArtifactError,
    NoSuchRunError,
    RunEndedError,
    RunstoneError,
    ServerError,
)
from runstone.reading import read_events
from runstone.run import Run

_everybodys = Client()

active_run = _everybodys.active_run
delete_tag = _everybodys.delete_tag
download_artifacts = _everybodys.download_artifacts
end_run = _everybodys.end_run
flush = _everybodys.flush
get_run = _everybodys.get_run
load_model = _everybodys.load_model
log_artifact = _everybodys.log_artifact
log_artifacts = _everybodys.log_artifacts
log_dict = _everybodys.log_dict
log_figure = _everybodys.log_figure
log_image = _everybodys.log_image
log_input = _everybodys.log_input
log_metric = _everybodys.log_metric
log_metrics = _everybodys.log_metrics
log_model = _everybodys.log_model
log_param = _everybodys.log_param
log_params = _everybodys.log_params
log_series = _everybodys.log_series
log_table = _everybodys.log_table
log_text = _everybodys.log_text
set_experiment = _everybodys.set_experiment
set_note = _everybodys.set_note
set_tag = _everybodys.set_tag
set_tags = _everybodys.set_tags
start_run = _everybodys.start_run

__all__ = [
    "Client",
    "InvalidInputError",
    "NoSuchArtifactError",
    "NoSuchRunError",
    "Run",
    "RunEndedError",
    "RunstoneError",
    "ServerError",
    "__version__",
    "active_run",
    "delete_tag",
    "download_artifacts",
    "end_run",
    "flush",
    "get_run",
    "load_model",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_series",
    "log_table",
    "log_text",
    "read_events",
    "set_experiment",
    "set_note",
    "set_tag",
    "set_tags",
    "start_run",
]
