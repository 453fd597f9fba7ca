"""The embedded default: a real Kafka, a real Postgres and all services in one command, in one folder."""
