"""Processes that can be killed, for work on hostile bytes: limits on seconds and memory, replaced when they die.

A job goes to one process at a time; when it does not answer in time, or dies, the job's answer is Skipped and a fresh
process takes the next job. Time is the processor's: on a busy machine a page is given up no sooner than on a quiet one.
Processes are forked from a clean server that has imported the work once, so replacing one is cheap and never inherits
the locks or the database connections of this process.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Generic, TypeVar

from elunum.errors import SettingsError
from elunum.model import Skipped
from elunum.settings import ExtractSettings

Job = TypeVar("Job")
Answer = TypeVar("Answer")

TIMED_OUT = Skipped("worker timed out")
DIED = Skipped("worker died")
OUT_OF_MEMORY = Skipped("out of memory")

STARTUP_S = 60.0
"""A process that takes longer to get ready is given up."""

PATIENCE = 6
"""Times the limit on processor seconds that a job may take on the clock: it may wait for others, not for ever."""

_READY = "ready"


@dataclass(slots=True)
class _Worker(Generic[Job]):
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    jobs: int = 0
    job: Job | None = None
    deadline: float = 0.0  # of time.monotonic()
    ready: bool = False


class Workers(Generic[Job, Answer]):
    """A pool that runs `task` (a function of a module) on jobs, in processes within `settings`. A context manager.

    preload: a module whose import loads what the task needs, so that processes start ready.
    """

    def __init__(self, task: Callable[[Job], Answer], settings: ExtractSettings, preload: str = "") -> None:
        self._task = task
        self._preload = preload or task.__module__
        self._settings = settings
        self._size = settings.workers or os.cpu_count() or 1
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([self._preload])
        self._pool: list[_Worker[Job]] = []
        self._stillborn = 0  # processes in a row that ended before they were ready

    def __enter__(self) -> Workers[Job, Answer]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for worker in self._pool:
            _end(worker)
        self._pool.clear()

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Answer | Skipped]]:
        """Each job with its answer, in the order they are done."""
        waiting = iter(jobs)
        more = True
        busy: list[_Worker[Job]] = []
        while more or busy:
            while more and len(busy) < self._size:
                try:
                    job = next(waiting)
                except StopIteration:
                    more = False
                    break
                busy.append(self._give(job))
            if not busy:
                break
            now = time.monotonic()
            ready = wait([w.pipe for w in busy], max(0.0, min(w.deadline for w in busy) - now))
            now = time.monotonic()
            for worker in list(busy):
                done = worker.job
                assert done is not None
                answer: Answer | Skipped
                if worker.pipe in ready:
                    try:
                        answer = worker.pipe.recv()
                    except (EOFError, OSError):
                        worker.process.join()
                        answer = TIMED_OUT if worker.process.exitcode == -signal.SIGPROF else DIED
                    if answer == _READY:
                        self._stillborn = 0
                        worker.ready, worker.deadline = True, now + PATIENCE * self._settings.timeout_s
                        continue
                elif now >= worker.deadline:
                    answer = TIMED_OUT
                else:
                    continue
                busy.remove(worker)
                worker.job = None
                if not worker.ready:
                    # Not the fault of the job: it has not been looked at.
                    self._discard(worker)
                    busy.append(self._give(done))
                    continue
                if answer in (DIED, TIMED_OUT, OUT_OF_MEMORY) or worker.jobs >= self._settings.recycle_pages:
                    self._retire(worker)
                yield done, answer

    def _give(self, job: Job) -> _Worker[Job]:
        """A free process with this job in hand."""
        while True:
            worker = next((w for w in self._pool if w.job is None), None) or self._start()
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(job)
                worker.job = job
                worker.jobs += 1
                patience_s = PATIENCE * self._settings.timeout_s if worker.ready else STARTUP_S
                worker.deadline = time.monotonic() + patience_s
                return worker
            self._discard(worker)

    def _discard(self, worker: _Worker[Job]) -> None:
        """Replace a process that ended before it could work. Raises SettingsError when they all do."""
        self._retire(worker)
        self._stillborn += not worker.ready
        if self._stillborn >= 2 + self._size:
            raise SettingsError(
                "extraction processes end as soon as they start; free memory, or reinstall from requirements.lock"
            )

    def _retire(self, worker: _Worker[Job]) -> None:
        _end(worker)
        self._pool.remove(worker)

    def _start(self) -> _Worker[Job]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(self._task, self._preload, theirs, self._settings), daemon=True
        )
        # The server that forks processes must outlive a Ctrl-C meant for the command, even while it starts.
        resource_tracker.ensure_running()  # before: it ends by letting SIGINT in
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        worker: _Worker[Job] = _Worker(process, ours)
        self._pool.append(worker)
        return worker


def _end(worker: _Worker[Job]) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
    worker.process.close()


def _serve(task: Callable[[Job], Answer], preload: str, pipe: Connection, settings: ExtractSettings) -> None:
    """The life of a process: answer jobs until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    importlib.import_module(preload)  # nothing to do when the server has
    _limit_memory(settings.memory_mb)
    with suppress(EOFError, OSError):  # the command was killed: there is nobody left to answer
        pipe.send(_READY)
        while True:
            pipe.send(_answer(task, pipe.recv(), settings))


def _answer(task: Callable[[Job], Answer], job: Job, settings: ExtractSettings) -> Answer | Skipped:
    """One job, done or given up."""
    # Should the command be killed while we are stuck, nobody else would end us.
    signal.alarm(ceil(PATIENCE * settings.timeout_s) + 5)
    signal.setitimer(signal.ITIMER_PROF, settings.timeout_s)  # ends the process
    try:
        return task(job)
    except MemoryError:
        return OUT_OF_MEMORY
    except RecursionError:
        return Skipped("too deep")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def _limit_memory(megabytes: int) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - Path.open would be no shorter
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
