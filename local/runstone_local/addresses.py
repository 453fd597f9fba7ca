"""Which address to listen on, and which to tell others. Pure: rules and texts."""

import ipaddress
from dataclasses import dataclass

from runstone.exceptions import InvalidInputError


@dataclass(frozen=True, slots=True)
class Listening:
    """*host* is bound, *advertised* is what clients are told; the same unless ``--advertise`` says so."""

    host: str
    advertised: str

    @property
    def here(self) -> str:
        """Where this machine itself reaches what listens on ``host``."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  compared, not bound


def listening(host: str, advertise: str | None, *, insecure: bool) -> Listening:
    """The addresses that ``--host``, ``--advertise`` and ``--insecure`` mean together.

    Raises:
        InvalidInputError: they do not fit together.
    """
    if _is_loopback(host):
        if advertise is not None and not _is_loopback(advertise):
            raise InvalidInputError(
                f"--advertise {advertise} tells other machines an address, but --host {host} serves this one "
                "only: give --host an address of this machine, or 0.0.0.0."
            )
        return Listening(host, advertise or host)
    if not insecure:
        raise InvalidInputError(
            f"--host {host} lets everybody who can reach this machine read and write without a password "
            "(Kafka too): add --insecure if that is what you want."
        )
    if advertise is None and _is_any(host):
        raise InvalidInputError(
            f"--host {host} is no address that a client could connect to: say with --advertise HOST by which "
            "name or address other machines reach this one."
        )
    return Listening(host, advertise or host)


def host_port(host: str, port: int) -> str:
    """``host:port``, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
