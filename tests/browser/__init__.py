"""MLflow's own UI over Runstone's data, in a real headless Chromium.

This tier runs in ``.venv-mlflow``, like ``tests/compat``, with the settings of ``pytest.ini`` here, and needs
the program ``chromium``: Debian's package, or the path in ``CHROMIUM``.
"""
