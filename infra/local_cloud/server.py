"""Start and stop the local cloud. It listens on the loopback address and nowhere else."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headroom.errors import BadInputError, UnavailableError
from infra.local_cloud.app import App
from infra.local_cloud.call import Cloud
from infra.local_cloud.catalog import Catalog
from infra.local_cloud.seed import Seed, Timing
from infra.local_cloud.store import Store

if TYPE_CHECKING:
    import uvicorn

__all__ = ["running_cloud", "serve"]

_LOOPBACK: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0
_log = logging.getLogger(__name__)


def serve(
    port: int,
    state: Path,
    project: str,
    *,
    seed: Seed | None = None,
    timing: Timing | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `on_ready` gets the address (`http://127.0.0.1:<port>`) once requests are answered.

    `state` holds everything that must survive a restart; a killed server goes on where it was. Port 0 takes a free port.
    `seed` sets quotas and stock when the folder is new or the seed is another one than last time.

    Raises:
        BadInputError: when the port is taken or the folder cannot be used.
    """
    with _listening(port) as listener:
        store, app = _open(state, project, seed, timing or Timing())
        try:
            with suppress(KeyboardInterrupt):
                _server(app, listener, on_ready or _nobody).run(sockets=[listener])
        finally:
            store.close()


@contextmanager
def running_cloud(
    state: Path, project: str = "headroom-test", *, seed: Seed | None = None, timing: Timing | None = None, port: int = 0
) -> Iterator[str]:
    """The address of a local cloud that runs in a thread of this process until the block ends.

    Raises:
        BadInputError: as `serve`.
    """
    ready = threading.Event()
    with _listening(port) as listener:
        store, app = _open(state, project, seed, timing or Timing())
        server = _server(app, listener, lambda _: ready.set())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="local-cloud", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_SECONDS):
                raise UnavailableError(f"local cloud: not ready after {_START_SECONDS:.0f} s; see the log")
            yield _address(listener)
        finally:
            server.should_exit = True
            thread.join()
            store.close()


def _open(state: Path, project: str, seed: Seed | None, timing: Timing) -> tuple[Store, App]:
    if state.exists() and not state.is_dir():
        raise BadInputError(f"state: {state} is a file; name a folder")
    store = Store(state)
    with store.transaction():
        owner = store.meta("project")
        if owner not in {None, project}:
            raise BadInputError(f"state: {state} belongs to project {owner!r}, not {project!r}; use another folder")
        store.set_meta("project", project)
        catalog = Catalog(seed.zones if seed else {})
        _sow(store, catalog, seed, project)
    return store, App(Cloud(project, catalog, timing), store)


def _sow(store: Store, catalog: Catalog, seed: Seed | None, project: str) -> None:
    """Set the limits of a new folder, or of a new seed, and plug in its attachments; otherwise what `/admin` set stays."""
    sown = store.meta("seed")
    chosen = seed or Seed()
    if sown == chosen.digest or (seed is None and sown is not None):
        return
    for table, rows in (("quotas", chosen.quota_rows(catalog)), ("stock", chosen.stock_rows())):
        store.db.execute(f"DELETE FROM {table}")  # noqa: S608 - two constants
        store.db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608 - two constants
    for region, name, body in chosen.attachment_rows(project):
        if store.find("interconnectAttachments", f"regions/{region}", name) is None:
            store.add("interconnectAttachments", f"regions/{region}", name, body, now=store.now(), settles_at=store.now())
    store.set_meta("seed", chosen.digest)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    # The protocol is named so that asyncio sends small answers without waiting (TCP_NODELAY).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
            listener.listen(128)
        except OverflowError as error:
            raise BadInputError(f"port: {port} is not between 0 and 65535") from error
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                why = "another program listens on it" if error.errno == errno.EADDRINUSE else "it needs special rights"
                raise BadInputError(f"port: {port} cannot be used, {why}; choose another one, or 0 for any free port") from error
            raise
        yield listener
    finally:
        listener.close()


def _address(listener: socket.socket) -> str:
    return f"http://{_LOOPBACK}:{listener.getsockname()[1]}"


def _nobody(address: str) -> None:
    _log.info("local cloud ready at %s", address)


def _server(app: App, listener: socket.socket, on_ready: Callable[[str], None]) -> uvicorn.Server:
    import uvicorn

    address = _address(listener)

    class Announcing(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_ready(address)

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=2,
    )
    return Announcing(config)
