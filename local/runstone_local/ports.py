"""Ports on this machine: chosen once, remembered, and chosen again only when somebody else has taken them.

They are remembered because senders remember the brokers' addresses for when they are offline.
"""

import contextlib
import json
import socket
from pathlib import Path


def try_to_listen(port: int, host: str = "127.0.0.1") -> None:
    """Raise the OSError that a server would get that listened on *port* of *host* now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on *port* now."""
    try:
        try_to_listen(port, host)
    except OSError:
        return False
    return True


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """*count* different ports that nobody listens on now."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            # all are held until the last is found, or the same port could be found twice
            probe = probes.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            probe.bind((host, 0))
            found.append(int(probe.getsockname()[1]))
        return found


class RememberedPorts:
    """The ports of one installation, kept in a JSON file as ``{name: port}``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def port(self, name: str, *, host: str = "127.0.0.1", preferred: int | None = None) -> int:
        """The remembered port of *name* if it is free, else *preferred* if that is, else any free one."""
        for port in (self._ports.get(name), preferred):
            if port is not None and port not in self._others(name) and is_free(port, host):
                return self._keep(name, port)
        others = self._others(name)
        candidates = free_ports(len(others) + 1, host)
        return self._keep(name, next(port for port in candidates if port not in others))

    def remembered(self, name: str) -> int | None:
        """The port *name* had when it was last started."""
        return self._ports.get(name)

    def _others(self, name: str) -> set[int]:
        return {port for other, port in self._ports.items() if other != name}

    def _keep(self, name: str, port: int) -> int:
        if self._ports.get(name) != port:
            self._ports[name] = port
            written = self._file.with_suffix(".new")
            written.write_text(json.dumps(self._ports, indent=1))
            written.replace(self._file)
        return port
