"""What of MLflow's surface Runstone does not serve, each with a sentence: answered with 501."""

from typing import Final

from aiohttp import web

from runstone_gateway.mlflow.errors import NOT_IMPLEMENTED, MlflowError

_TRACES: Final = "Runstone records runs, not traces"
_GATEWAY: Final = "Runstone is no gateway to language models"
_EVALUATION: Final = "Runstone does not run evaluations"
_PROMPTS: Final = "Runstone keeps no prompts"

AREAS: Final[tuple[tuple[str, str], ...]] = (
    ("traces", _TRACES),
    ("unified-traces", _TRACES),
    ("get-online-trace-details", _TRACES),
    ("get-trace-artifact", _TRACES),
    ("assessments", _EVALUATION),
    ("scorers", _EVALUATION),
    ("issues", _EVALUATION),
    ("label-schemas", _EVALUATION),
    ("review-queues", _EVALUATION),
    ("genai", _EVALUATION),
    ("datasets", "Runstone keeps no evaluation datasets; datasets that runs read are logged with log-inputs"),
    ("prompts", _PROMPTS),
    ("prompt-optimization", _PROMPTS),
    ("runs/create-promptlab-run", _PROMPTS),
    ("gateway", _GATEWAY),
    ("gateway-proxy", _GATEWAY),
    ("webhooks", "Runstone calls no webhooks; its events can be read from Kafka"),
    ("workspaces", "Runstone has no workspaces; start an installation for each"),
    ("jobs", "Runstone runs no jobs for MLflow"),
    ("ui-telemetry", "Runstone collects no telemetry"),
    ("demo", "Runstone generates no demonstration data"),
)
"""First parts of paths below ``/api/<version>/mlflow/`` and ``/ajax-api/<version>/mlflow/``."""

GRAPHQL: Final = "Runstone does not speak GraphQL; MLflow's pages work on it by 'mlflow ui' with the plug-in"


def refusing(sentence: str) -> web.Response:
    """The answer."""
    return MlflowError(NOT_IMPLEMENTED, f"{sentence}. See docs/mlflow-compatibility.md.").response()
