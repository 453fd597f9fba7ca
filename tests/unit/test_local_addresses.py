"""Which ``--host`` and ``--advertise`` fit together, and what they mean."""

import pytest

from runstone.exceptions import InvalidInputError
from runstone_local.addresses import Listening, host_port, listening


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1"])
def test_loopback_needs_nothing_else(host: str) -> None:
    assert listening(host, None, insecure=False) == Listening(host, host)


@pytest.mark.parametrize("host", ["10.1.2.3", "0.0.0.0", "::", "training.example"])
def test_an_address_that_others_reach_needs_insecure(host: str) -> None:
    with pytest.raises(InvalidInputError, match="add --insecure"):
        listening(host, "tracker.example", insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_needs_an_address_to_tell_clients(host: str) -> None:
    with pytest.raises(InvalidInputError, match="--advertise HOST"):
        listening(host, None, insecure=True)
    assert listening(host, "tracker.example", insecure=True).advertised == "tracker.example"


def test_an_address_of_its_own_is_also_what_clients_are_told() -> None:
    assert listening("10.1.2.3", None, insecure=True) == Listening("10.1.2.3", "10.1.2.3")


def test_loopback_cannot_be_advertised_to_other_machines() -> None:
    with pytest.raises(InvalidInputError, match="serves this one only"):
        listening("127.0.0.1", "10.1.2.3", insecure=True)


def test_this_machine_reaches_what_listens_everywhere_by_loopback() -> None:
    assert listening("0.0.0.0", "h", insecure=True).here == "127.0.0.1"
    assert listening("::", "h", insecure=True).here == "::1"
    assert listening("10.1.2.3", None, insecure=True).here == "10.1.2.3"


def test_an_ipv6_address_has_brackets_before_its_port() -> None:
    assert host_port("::1", 5000) == "[::1]:5000"
    assert host_port("127.0.0.1", 5000) == "127.0.0.1:5000"
