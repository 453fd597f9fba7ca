"""What the services are told, and what of the caller's environment is kept from them."""

from runstone_local.environment import service_environment

CALLER = {
    "PATH": "/bin",
    "PGPASSWORD": "mine",
    "PGSSLMODE": "require",
    "RUNSTONE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "RUNSTONE_READ_DSN": "postgresql://elsewhere/",
    "RUNSTONE_TOPIC_PREFIX": "team",
}
FACTS = {
    "bootstrap": "127.0.0.1:1",
    "advertised": "host:2",
    "dsn": "postgresql://x",
    "api_url": "http://127.0.0.1:3",
    "web_url": "http://host:4",
    "artifact_root": "/artifacts",
}


def test_our_own_kafka_and_postgres_are_not_asked_with_the_callers_secrets() -> None:
    told = service_environment(CALLER, **FACTS, own_kafka=True, own_postgres=True)
    assert not {name for name in told if name.startswith(("PG", "RUNSTONE_KAFKA_", "RUNSTONE_READ_DSN"))}
    assert told["PATH"] == "/bin"
    assert told["RUNSTONE_TOPIC_PREFIX"] == "team"


def test_somebody_elses_kafka_and_postgres_are_asked_as_the_caller_says() -> None:
    told = service_environment(CALLER, **FACTS, own_kafka=False, own_postgres=False)
    assert told.items() >= CALLER.items()


def test_clients_are_told_another_address_of_kafka_than_services() -> None:
    told = service_environment({}, **FACTS, own_kafka=True, own_postgres=True)
    assert told["RUNSTONE_BOOTSTRAP_SERVERS"] == "127.0.0.1:1"
    assert told["RUNSTONE_ADVERTISED_SERVERS"] == "host:2"
    assert told["RUNSTONE_WEB_URL"] == "http://host:4"
