"""The logging calls without a run: each is the one of the active run."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from runstone.active_runs import ActiveRuns
from runstone.run import Run


class Fluent(ActiveRuns):
    """Hands each call on."""

    @abstractmethod
    def _run(self) -> Run:
        """The active run; where there is none, one is started and ended at exit."""

    def log_metric(self, key: str, value: Any, step: int = 0) -> None:
        """`Run.log_metric` of the active run."""
        (self.active_run() or self._run()).log_metric(key, value, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """`Run.log_metrics` of the active run."""
        self._run().log_metrics(metrics, step)

    def log_series(
        self,
        key: str,
        values: Iterable[Any],
        steps: Iterable[int] | None = None,
        times: Iterable[int] | None = None,
    ) -> None:
        """`Run.log_series` of the active run."""
        self._run().log_series(key, values, steps, times)

    def log_param(self, key: str, value: Any) -> None:
        """`Run.log_param` of the active run."""
        self._run().log_param(key, value)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """`Run.log_params` of the active run."""
        self._run().log_params(params)

    def set_tag(self, key: str, value: Any) -> None:
        """`Run.set_tag` of the active run."""
        self._run().set_tag(key, value)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """`Run.set_tags` of the active run."""
        self._run().set_tags(tags)

    def delete_tag(self, key: str) -> None:
        """`Run.delete_tag` of the active run."""
        self._run().delete_tag(key)

    def set_note(self, text: str) -> None:
        """`Run.set_note` of the active run."""
        self._run().set_note(text)

    def log_input(
        self,
        dataset: Any = None,
        context: str = "",
        tags: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        digest: str = "",
        source: str = "",
        schema: str | Mapping[str, str] = "",
    ) -> None:
        """`Run.log_input` of the active run."""
        self._run().log_input(dataset, context, tags, name=name, digest=digest, source=source, schema=schema)

    def log_artifact(self, path: str | PathLike[str], artifact_path: str | None = None) -> None:
        """`Run.log_artifact` of the active run."""
        self._run().log_artifact(path, artifact_path)

    def log_artifacts(self, folder: str | PathLike[str], artifact_path: str | None = None) -> None:
        """`Run.log_artifacts` of the active run."""
        self._run().log_artifacts(folder, artifact_path)

    def log_text(self, text: str, artifact_file: str) -> None:
        """`Run.log_text` of the active run."""
        self._run().log_text(text, artifact_file)

    def log_dict(self, dictionary: Any, artifact_file: str) -> None:
        """`Run.log_dict` of the active run."""
        self._run().log_dict(dictionary, artifact_file)

    def log_figure(self, figure: Any, artifact_file: str, **options: Any) -> None:
        """`Run.log_figure` of the active run."""
        self._run().log_figure(figure, artifact_file, **options)

    def log_image(
        self,
        image: Any,
        artifact_file: str | None = None,
        *,
        key: str | None = None,
        step: int = 0,
        time: int | None = None,
    ) -> None:
        """`Run.log_image` of the active run."""
        self._run().log_image(image, artifact_file, key=key, step=step, time=time)

    def log_table(self, data: Any, artifact_file: str) -> None:
        """`Run.log_table` of the active run."""
        self._run().log_table(data, artifact_file)

    def log_model(self, model: object, name: str = "model") -> None:
        """`Run.log_model` of the active run."""
        self._run().log_model(model, name)
