"""What an MLflow client sees: the same calls against MLflow's own server and against Runstone.

This tier runs in ``.venv-mlflow`` (mlflow 3.17.2, pinned in ``constraints.txt`` beside this file), with the
settings of ``pytest.ini`` here: the fixtures of the other tiers need packages that this environment lacks.
"""
