"""Processes that can be killed."""

import os
import signal
import time

import pytest

from elunum.errors import SettingsError
from elunum.index.workers import DIED, OUT_OF_MEMORY, TIMED_OUT, Workers
from elunum.model import Skipped
from elunum.settings import ExtractSettings

SETTINGS = ExtractSettings(workers=2, timeout_s=1, memory_mb=200, recycle_pages=3)


def task(job: str) -> str:
    match job:
        case "hang":
            while True:
                pass
        case "wait":  # as on a machine that others keep busy
            time.sleep(1.5)
        case "sleep":
            time.sleep(3600)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "eat":
            return "x" * 2_000_000_000
        case "deep":
            return task(job)
        case "pid":
            return str(os.getpid())
    return job.upper()


def test_every_job_gets_an_answer_whatever_the_others_do() -> None:
    jobs = ["a", "hang", "b", "die", "c", "eat", "d", "deep", "e", "die", "f"]
    with Workers(task, SETTINGS.model_copy(update={"timeout_s": 0.5})) as workers:
        answers = sorted((job, answer) for job, answer in workers.map(jobs) if not isinstance(answer, Skipped))
        assert answers == [(letter, letter.upper()) for letter in "abcdef"]
        assert dict(workers.map(["hang", "eat", "deep"])) == {
            "hang": TIMED_OUT,
            "eat": OUT_OF_MEMORY,
            "deep": Skipped("too deep"),
        }
        assert dict(workers.map(["die"])) == {"die": DIED}


def test_a_job_has_its_seconds_of_processor_however_busy_the_machine_and_not_for_ever() -> None:
    with Workers(task, SETTINGS.model_copy(update={"timeout_s": 0.4})) as workers:
        assert dict(workers.map(["wait", "sleep", "hang"])) == {"wait": "WAIT", "sleep": TIMED_OUT, "hang": TIMED_OUT}


def test_a_process_is_replaced_after_its_share_of_jobs() -> None:
    with Workers(task, SETTINGS.model_copy(update={"workers": 1})) as workers:
        pids = [str(answer) for _, answer in workers.map(["pid"] * 7)]
    assert len(set(pids)) == 3
    assert pids[0] == pids[2] != pids[3] == pids[5] != pids[6]


def test_no_process_is_left_behind() -> None:
    with Workers(task, SETTINGS) as workers:
        pids = {int(str(answer)) for _, answer in workers.map(["pid"] * 4)}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        raise AssertionError("a worker outlived its pool")


def test_processes_that_cannot_start_stop_the_run_and_blame_no_job() -> None:
    with (
        pytest.raises(SettingsError, match="as soon as they start"),
        Workers(task, SETTINGS, preload="elunum.no_such_module") as workers,
    ):
        list(workers.map(["a", "b"]))
