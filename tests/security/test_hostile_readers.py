"""Readers who mean harm get an answer that is no 5xx, from a service that goes on. At length: bench/hostile.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hostile import fuzz, memory_mb
from elunum.privacy.specimen import make
from elunum.settings import Settings
from tests.site.conftest import Server, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(make(Settings(), tmp_path_factory.mktemp("hostile") / "var")) as server:
        yield server


def test_the_api_keeps_its_word_whatever_it_is_asked(service: Server, tmp_path: Path) -> None:
    """schemathesis reads /openapi.json, and asks what it says is accepted, and what it says is not."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.base}/openapi.json", "--max-examples", "15"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    options = ["--checks", checks, "--phases", "examples,coverage,fuzzing", "--no-color", "--seed", "1"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_random_hostile_requests_get_no_server_error_and_no_memory(service: Server) -> None:
    fuzz(service.port, 300, seed=1)
    before = memory_mb(service.process.pid)
    report = fuzz(service.port, 600, seed=2)
    assert report.errors == []
    assert report.hung == 0
    assert report.answers[200] > 100
    assert report.answers[400] > 50
    assert memory_mb(service.process.pid) < before + 60
    with service.client() as client:
        assert client.get("/recherche?q=eau").status_code == 200
