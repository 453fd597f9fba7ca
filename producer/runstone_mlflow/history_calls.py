"""Histories of metrics, for programs and for the charts of MLflow's UI."""

from typing import Any, Final

from mlflow.entities.dataset_summary import _DatasetSummary
from mlflow.entities.metric import Metric, MetricWithRunId
from mlflow.protos.service_pb2 import GetMetricHistoryBulkInterval, SearchDatasets
from mlflow.utils.proto_json_utils import message_to_json

from runstone_mlflow.connected_store import ConnectedStore

_DATASETS: Final = "/ajax-api/2.0/mlflow/experiments/search-datasets"


class HistoryCalls(ConnectedStore):
    """The calls that read many points, or what the UI lists beside them."""

    def get_metric_history(self, run_id: str, *args: Any, **named: Any) -> Any:
        """As MLflow's, with all that this process wrote to the run."""
        self._journal.settle(run_id)
        return super().get_metric_history(run_id, *args, **named)

    def get_metric_history_bulk_interval(
        self,
        run_ids: list[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[MetricWithRunId]:
        """Points of several runs, thinned by the server instead of here."""
        asked = GetMetricHistoryBulkInterval(
            run_ids=run_ids,
            metric_key=metric_key,
            max_results=max_results,
            start_step=start_step,
            end_step=end_step,
        )
        found = self._call_endpoint(GetMetricHistoryBulkInterval, message_to_json(asked))
        return [
            MetricWithRunId(Metric(point.key, point.value, point.timestamp, point.step), point.run_id)
            for point in found.metrics
        ]

    def _search_datasets(self, experiment_ids: list[str]) -> list[_DatasetSummary]:
        """The datasets of experiments, which the UI offers as filters."""
        asked = message_to_json(SearchDatasets(experiment_ids=[str(each) for each in experiment_ids]))
        found = self._call_endpoint(SearchDatasets, asked, _DATASETS)
        return [
            _DatasetSummary(each.experiment_id, each.name, each.digest, each.context or None)
            for each in found.dataset_summaries
        ]
