"""What a server answers to ``connect``, the settings for Kafka, and orders to upload."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runstone.events.identity import partition_of
from runstone.exceptions import InvalidInputError, ServerError
from runstone.sender.connect import WrongServerError, ask, parse
from runstone.sender.kafka_settings import kafka_settings
from runstone.sender.storing import UploadRefused, parse_order, visible_root

ANSWER = {
    "installation_id": "i", "bootstrap_servers": ["a:1", "b:2"], "partitions": 12, "event_versions": [1],
    "topics": {"events": "runstone.events", "catalog": "runstone.catalog"},
    "artifact_root": "file:///srv/with%20space", "web_url": "http://x",
}  # fmt: skip


def test_an_answer_is_remembered_as_it_was():
    found = parse("http://x", ANSWER)
    assert found.bootstrap_servers == "a:1,b:2"
    assert parse("http://x", found.to_json()) == found


def test_the_catalog_has_its_topic_and_runs_are_hashed():
    found = parse("http://x", ANSWER)
    assert found.place("catalog") == ("runstone.catalog", 0)
    assert found.place("a" * 32) == ("runstone.events", partition_of("a" * 32, 12))


@pytest.mark.parametrize(
    "answer", [{}, [], {"status": "ok"}, ANSWER | {"partitions": 0}, ANSWER | {"topics": 1}]
)
def test_another_answer_is_not_runstone(answer):
    with pytest.raises(WrongServerError, match="http://x answers"):
        parse("http://x", answer)


def test_a_server_of_another_version_is_told_apart():
    with pytest.raises(WrongServerError, match="update the older one"):
        parse("http://x", ANSWER | {"event_versions": [2]})


def test_kafka_settings_come_from_the_environment():
    assert kafka_settings({"PATH": "x"}) == {}
    environment = {
        "RUNSTONE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "RUNSTONE_KAFKA_SASL_PLAIN_USERNAME": "u",
    }
    assert kafka_settings(environment) == {"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "u"}
    assert "ssl_context" in kafka_settings({"RUNSTONE_KAFKA_SECURITY_PROTOCOL": "SSL"})


def test_a_misspelt_kafka_setting_is_named_with_the_accepted_ones():
    with pytest.raises(InvalidInputError, match=r"RUNSTONE_KAFKA_USER .* RUNSTONE_KAFKA_SASL_MECHANISM"):
        kafka_settings({"RUNSTONE_KAFKA_USER": "x"})


def test_a_store_is_visible_only_where_its_marker_says_the_installation(tmp_path):
    connect = parse("http://x", ANSWER | {"artifact_root": tmp_path.as_uri()})
    assert visible_root(connect) is None
    (tmp_path / ".runstone-installation").write_text("another\n")
    assert visible_root(connect) is None
    (tmp_path / ".runstone-installation").write_text("i\n")
    assert visible_root(connect) == tmp_path
    assert visible_root(parse("http://x", ANSWER | {"artifact_root": "s3://bucket"})) is None


@pytest.mark.parametrize("order", [None, {}, {"id": "x", "run_id": "a", "experiment_id": 0, "path": "../x"}])
def test_an_order_that_cannot_be_carried_out_is_refused(order):
    with pytest.raises(UploadRefused):
        parse_order(order)


def test_an_address_with_a_path_too_many_is_told_from_a_server_that_is_not_ready():
    class Runstone(BaseHTTPRequestHandler):
        server_version, sys_version = "runstone/0", ""

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_said: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Runstone) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(WrongServerError, match="not below /path; check RUNSTONE_TRACKING_URI"):
            ask(f"{uri}/path")
        with pytest.raises(ServerError, match="is not ready yet"):
            ask(uri)
        server.shutdown()
