"""Ports of the embedded stack, all on the loopback address."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields

from headroom.errors import SettingsError

__all__ = ["Addresses"]

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """One port per server; `HEADROOM_AIRFLOW_PORT`, `HEADROOM_MLFLOW_PORT` and `HEADROOM_CLOUD_PORT` set them."""

    airflow: int = 8080
    mlflow: int = 5000
    cloud: int = 8787

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Addresses:
        """Read the ports.

        Raises:
            SettingsError: when one is not a port number, or two are the same.
        """
        env = os.environ if environ is None else environ
        ports: dict[str, int] = {}
        for field in fields(cls):
            name = f"HEADROOM_{field.name.upper()}_PORT"
            text = env.get(name, str(field.default))
            if not text.isdigit() or not 1 <= int(text) <= 65535:
                raise SettingsError(f"{name}={text!r} is not a port: use a number from 1 to 65535")
            if int(text) in ports.values():
                raise SettingsError(f"{name}={text}: another server of the stack has this port; give each its own")
            ports[field.name] = int(text)
        return cls(**ports)

    def url(self, server: str) -> str:
        return f"http://{_HOST}:{getattr(self, server)}"

    def check_free(self) -> None:
        """Make sure that nothing listens on our ports.

        Raises:
            SettingsError: naming each busy port, its variable, and the remedy.
        """
        busy = [field.name for field in fields(self) if _listening(getattr(self, field.name))]
        if busy:
            lines = [
                f"port {getattr(self, name)} ({name}) is in use; stop what listens there, or choose another: "
                f"HEADROOM_{name.upper()}_PORT=<port> make run"
                for name in busy
            ]
            raise SettingsError("\n".join(lines))


def _listening(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return True
    return False
