"""MLflow's reading endpoints, as MLflow's clients expect them: paths, fields, errors, order, paging.

A module per area has handlers and ``ROUTES`` (`endpoints.Endpoint`); the gateway passes these requests on
with the offsets that the answer must have seen, so every handler reads by `reading.read_for_gateway`.
``asked`` says what a request asks, ``errors`` what an error looks like, ``paging`` what a page token is.
Where this text and MLflow's own server differ, docs/mlflow-compatibility.md says so.
"""
