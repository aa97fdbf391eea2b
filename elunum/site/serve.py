"""The serving processes: uvicorn, without its access log, one or several workers on one socket."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import Multiprocess

from elunum import logs
from elunum.errors import SettingsError
from elunum.search.engine import open_engine
from elunum.settings import Settings
from elunum.site import guard

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger("elunum.site")


def serve(settings: Settings, listens: Callable[[int], None] = lambda port: None) -> None:
    """Answer readers until SIGTERM or SIGINT. listens: called once with the port.

    Raises SettingsError when the port is taken, IndexVersionError when there is no index: before any worker starts.
    """
    guard.harden()
    open_engine(settings)
    listening = _listen(settings.site.host, settings.site.port)
    alone = settings.site.workers == 1
    make = partial(application, settings, os.getpid())
    config = uvicorn.Config(
        make() if alone else make,  # ready before we say so; workers make their own
        factory=not alone,
        workers=settings.site.workers,
        access_log=False,
        log_config=None,
        server_header=False,
        http=guard.Patient,
        proxy_headers=False,  # who asks is nobody's business but the guard's
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=30,  # a worker that loads on a busy machine is not dead
        ws="none",
        lifespan="off",
    )
    log.info("serving", extra={"port": listening.getsockname()[1], "workers": settings.site.workers})
    with listening:
        if alone:
            uvicorn.Server(config).run(sockets=[listening])
            return
        counts = tempfile.mkdtemp(prefix="elunum-counts-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts
        try:
            _Supervisor(config, sockets=[listening]).run()
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            shutil.rmtree(counts, ignore_errors=True)


class _Supervisor(Multiprocess):
    """uvicorn's, whose workers wait until they can obey before they hear of Ctrl-C.

    A terminal sends it to every process at once: a worker that is still loading would die of it with a traceback.
    """

    def init_processes(self) -> None:
        # It unblocks the signal once it runs, and would do so in the middle of what follows.
        resource_tracker.ensure_running()
        with _interruptions_held():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        with _interruptions_held():
            super().keep_subprocess_alive()

    def handle_signals(self) -> None:
        with _interruptions_held():
            super().handle_signals()


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Keep SIGINT pending, here and in the processes started meanwhile (exec(2) hands the mask down)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def application(settings: Settings, parent: int) -> FastAPI:
    """The site, in a serving process: a worker configures its own log, and ends when its supervisor does."""
    if os.getpid() != parent:
        logs.configure()
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, prctl(2): a killed supervisor leaves no orphan
        if os.getppid() != parent or signal.SIGINT in signal.sigpending():  # it ended before it could be watched
            sys.exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # uvicorn listens to it by now
    from elunum.site.app import create_app  # prometheus-client reads PROMETHEUS_MULTIPROC_DIR when imported

    return create_app(settings)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What the kernel holds for a reader who takes nothing (tcp(7)); connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(guard.TAKE_S * 1000))
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        reason = error.strerror or "address not usable"
        raise SettingsError(
            f"{host}:{port}: {reason}; stop what listens there or choose another with --port or ELUNUM_SITE_PORT"
        ) from None
    return listening
