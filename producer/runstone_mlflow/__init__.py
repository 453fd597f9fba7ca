"""The plug-in for the mlflow package: ``MLFLOW_TRACKING_URI=runstone://host:5000``.

What code logs through MLflow's calls goes through Runstone's spool and returns without waiting for anybody;
what it reads comes from the server by MLflow's REST API. ``docs/mlflow-plugin.md`` says what that means.

MLflow finds the package by the entry points in `runstone_mlflow.plugin`, and imports nothing of it before an
address with the scheme ``runstone`` is used.
"""
