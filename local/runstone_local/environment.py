"""What the services are told by their environment. Pure: one mapping in, one mapping out."""

from collections.abc import Mapping


def service_environment(
    caller: Mapping[str, str],
    *,
    bootstrap: str,
    advertised: str,
    dsn: str,
    api_url: str,
    web_url: str,
    artifact_root: str,
    own_kafka: bool,
    own_postgres: bool,
) -> dict[str, str]:
    """The environment of the services, from the *caller*'s.

    What the caller says about security belongs to the caller's own Kafka and Postgres; where we run them
    (*own_kafka*, *own_postgres*) it would keep our services out.
    """
    foreign: tuple[str, ...] = ()
    if own_kafka:
        foreign += ("RUNSTONE_KAFKA_",)
    if own_postgres:
        foreign += ("PG", "RUNSTONE_READ_DSN")
    kept = {name: value for name, value in caller.items() if not (foreign and name.startswith(foreign))}
    return kept | {
        "RUNSTONE_BOOTSTRAP_SERVERS": bootstrap,
        "RUNSTONE_ADVERTISED_SERVERS": advertised,
        "RUNSTONE_POSTGRES_DSN": dsn,
        "RUNSTONE_API_URL": api_url,
        "RUNSTONE_WEB_URL": web_url,
        "RUNSTONE_ARTIFACT_ROOT": artifact_root,
        "PYTHONUNBUFFERED": "1",  # a line of a log is there when something happened, not later
    }
