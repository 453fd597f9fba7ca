"""How long a broker holds a fetch open: for a moment where the fetch leaves something out, else for long.

aiokafka has one fetch in flight for each broker, and a fetch leaves out the partitions whose records lie
ready to be taken. The next records of those wait for that fetch to end, so it must end soon. A fetch that
leaves nothing out is ended by the first record that comes, whatever its partition, and may wait for long: an
idle worker asks once a second instead of a hundred times. aiokafka knows one wait for all, hence this reaches
into its fetcher; `tests/unit/test_ingest_guards.py` says so when a new version has another inside.
"""

from typing import Any, Final

SHORT_MS: Final = 10
LONG_MS: Final = 1000


def adapt(consumer: Any) -> None:
    """Let the fetches of *consumer*, which was started, wait as this module says."""
    fetcher = consumer._fetcher  # noqa: SLF001 - see above
    actions_of = fetcher._get_actions_per_node  # noqa: SLF001 - see above

    def get_actions_per_node(assignment: Any) -> Any:
        ready = fetcher._records.keys() & set(assignment.tps)  # noqa: SLF001 - see above
        left_out = any(not assignment.state_value(tp).paused for tp in ready)
        fetcher._fetch_max_wait_ms = SHORT_MS if left_out else LONG_MS  # noqa: SLF001 - see above
        return actions_of(assignment)

    fetcher._get_actions_per_node = get_actions_per_node  # noqa: SLF001 - see above
