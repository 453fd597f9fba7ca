"""Fills in texts of datasets that were too large for an event and lie in the artifact store."""

import logging
from collections.abc import Sequence
from typing import Final

from runstone.events.artifact_paths import large_field
from runstone.events.artifact_roots import ArtifactRoot, uri_below
from runstone_query import stored_files
from runstone_query.mlflow.run_documents import LargeField
from runstone_query.problems import Problem

_log: Final = logging.getLogger(__name__)


async def fill_in(root: ArtifactRoot | None, fields: Sequence[LargeField]) -> None:
    """Read every one of *fields* below the store's *root*; one that is not there stays empty."""
    for field in fields:
        field.dataset[field.field] = await _read(root, field)


async def _read(root: ArtifactRoot | None, field: LargeField) -> str:
    if root is None:
        return ""
    key = str(large_field(field.experiment_id, field.run_id, field.sha256))
    try:
        return (await stored_files.whole(root, uri_below(root, key))).decode()
    except (Problem, UnicodeDecodeError) as wrong:
        name, run_id = field.dataset["name"], field.run_id
        _log.warning("the %s of dataset %r of run %s cannot be read: %s", field.field, name, run_id, wrong)
        return ""
