"""The serving process: what it refuses, what it counts, what it never writes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from elunum.index.build import BuildReport, build
from elunum.index.update import UpdateReport
from elunum.nightly import NightlyReport, report_path
from elunum.settings import CHECKOUT, Settings
from tests.site.conftest import Server, serving

CANARY = "zorglubien7391"
SEARCHING = [
    "/recherche", "/recherche.csv", "/recherche.ods", "/recherche.atom", "/recherche.geojson", "/carte", "/note",
    "/communes", "/sources", "/pourquoi", "/selection.csv", "/api/v1/search", "/api/v1/suggest",
]  # fmt: skip


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_port_in_use_is_one_sentence_and_exit_2(content: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "elunum", "serve", "--port", str(taken.getsockname()[1])],
            env=os.environ | {"ELUNUM_DATA": str(content.data), "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_index_is_one_sentence_with_the_command_to_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "elunum", "serve", "--port", "0"],
        env=os.environ | {"ELUNUM_DATA": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "elunum index" in done.stderr


def test_nothing_asked_is_written_anywhere(content: Settings, tmp_path: Path) -> None:
    """GET, POST, bad parameter, unknown page, header, crash: then every byte the process wrote is read."""
    with serving(content, TMPDIR=str(tmp_path)) as server, server.client() as client:
        agent = {"user-agent": CANARY, "referer": f"http://{CANARY}.fr/", "cookie": f"a={CANARY}"}
        for path in SEARCHING:
            client.get(path, params={"q": CANARY, "nom": CANARY}, headers=agent)
            client.get(path, params={CANARY: CANARY}, headers=agent)
            client.get(path, params={"q": CANARY, "size": CANARY}, headers=agent)
            client.post(path, data={"q": CANARY}, headers=agent)
        client.get(f"/{CANARY}")
        client.get(f"/similaires/{CANARY}")
        client.get(f"/collectivites/{CANARY}")
        metrics = client.get("/metrics").text
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"GET /recherche?q={CANARY} HTTP/9\r\nX: {CANARY}\r\n\r\n".encode())
            raw.recv(100)
        written = server.stop()
    assert CANARY not in written
    assert CANARY not in metrics
    assert 'route="/recherche"' in metrics
    assert CANARY.encode() not in everything_written(tmp_path)
    assert CANARY.encode() not in everything_written(content.data)


def test_a_damaged_index_shows_a_page_that_helps_and_logs_no_word(content: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(content.data, data, symlinks=True)
    broken = content.model_copy(update={"data": data})
    with serving(broken) as server, server.client() as client:
        # A new version that says it is whole and cannot be opened: the engine fails while a reader waits.
        current = data / "index" / "current"
        bad = data / "index" / "29991231T000000-1"
        shutil.copytree(current.resolve(), bad)
        (bad / "tantivy" / "meta.json").write_bytes(b"{")
        current.unlink()
        current.symlink_to(bad.name)
        page = client.get("/recherche", params={"q": CANARY})
        told = client.get("/api/v1/search", params={"q": CANARY})
        written = server.stop()
    assert page.status_code == 503
    assert "Reprendre depuis l’accueil" in page.text
    assert CANARY not in page.text
    assert told.status_code == 503
    assert told.json()["error"]["code"] == "unavailable"
    assert CANARY not in written
    assert "no_index" in written


def test_a_crash_shows_a_page_that_helps_and_logs_no_word(content: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(content.data, data, symlinks=True)
    with serving(content.model_copy(update={"data": data})) as server, server.client() as client:
        # A disk that loses what results show: the engine fails while a reader waits.
        for store in (data / "index" / "current" / "tantivy").glob("*.store"):
            with store.open("r+b") as file:
                file.write(b"\xff" * (store.stat().st_size * 2 // 3))
        page = client.get("/recherche", params={"q": f"budget {CANARY}"})
        told = client.get("/api/v1/search", params={"q": f"budget {CANARY}"})
        written = server.stop()
    assert page.status_code == 500
    assert "Reprendre depuis l’accueil" in page.text
    assert CANARY not in page.text
    assert told.status_code == 500
    assert told.json()["error"]["code"] == "internal_error"
    assert CANARY not in written
    assert "crash" in written
    assert "elunum/site/views.py" in written


def test_a_new_index_is_served_without_restart(content: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(content.data, data, symlinks=True)
    mine = content.model_copy(update={"data": data})
    with serving(mine) as server, server.client() as client:
        before = client.get("/healthz").json()["version"]
        new = build(mine, full=True)
        after = client.get("/healthz").json()["version"]
        assert client.get("/recherche?q=budget").status_code == 200
    assert after == new.version != before


@pytest.mark.parametrize("after_s", [0.1, 0.5, 1.0, 2.0])
def test_ctrl_c_while_workers_start_ends_them_all_without_a_traceback(content: Settings, after_s: float) -> None:
    """As a terminal does it: the signal goes to every process at once, whatever each has loaded by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "elunum", "serve", "--port", "0", "--workers", "2"],
        env=os.environ | {"ELUNUM_DATA": str(content.data), "PYTHONPATH": str(CHECKOUT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "serving" in process.stderr.readline()
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert said == ""
    assert process.returncode in (0, 130)


def test_several_workers_share_a_socket_and_their_counts_and_a_killed_one_is_replaced(content: Settings) -> None:
    with serving(content, "--workers", "2") as server:
        _until(server, 200)
        with server.client() as client:
            for _ in range(20):
                with server.client() as other:
                    assert other.get("/recherche?q=budget").status_code == 200
            # An answer is counted once it is sent: the last one may be a moment late.
            deadline = time.monotonic() + 10
            while 'elunum_requests_total{method="GET",route="/recherche",status="200"} 20.0' not in _metrics(client):
                assert time.monotonic() < deadline, _metrics(client)
                time.sleep(0.05)
        children = _children(server.process.pid)
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            alive = [p for p in _children(server.process.pid) if b"spawn_main" in _cmdline(p)]
            if len(alive) == 2 and workers[0] not in alive:
                break
            time.sleep(0.2)
        else:
            raise AssertionError("the killed worker was not replaced")
        _until(server, 200)
        server.process.kill()
        server.process.wait(10)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() and _cmdline(pid) for pid in alive):
            assert time.monotonic() < deadline, "a killed supervisor left its workers behind"
            time.sleep(0.1)


def _metrics(client: httpx.Client) -> str:
    return client.get("/metrics").text


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _until(server: Server, status: int) -> None:
    for _ in range(900):
        try:
            if httpx.get(f"{server.base}/healthz", timeout=5).status_code == status:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server never answered")


def test_the_state_page_tells_the_last_night_and_survives_a_damaged_report(content: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(content.data, data, symlinks=True)
    mine = content.model_copy(update={"data": data})
    documents = UpdateReport(read=4321, changed=1234, documents=209)
    index = BuildReport("20261122T000000-1", 209, 10, 0, False, True, (), 3.0)
    report = msgspec.json.encode(NightlyReport(1_790_000_000.0, 1_790_018_000.0, 0, documents, index))
    with serving(mine) as server, server.client() as client:
        assert "Aucune nuit complète" in client.get("/etat").text
        report_path(mine).write_bytes(report)
        told = client.get("/etat").text
        assert "Le robot a fini sa tournée" in told
        assert "en 5,0 heures" in told
        assert "4\u202f321" in told
        for damaged in (report[:50], b"[]", b'{"ended_at": "x"}', b"\xff"):
            report_path(mine).write_bytes(damaged)
            assert "Aucune nuit complète" in client.get("/etat").text


@pytest.mark.parametrize("size", [20_000, 2_000_000])
def test_a_form_that_is_too_big_is_refused(client: httpx.Client, size: int) -> None:
    answer = client.post("/recherche", data={"q": "a" * size})
    assert answer.status_code == 413
    assert "Reprendre depuis l’accueil" in answer.text


def test_a_body_that_is_not_a_form_is_refused(client: httpx.Client) -> None:
    assert client.post("/recherche", json={"q": "eau"}).status_code == 415


def test_head_answers_as_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/recherche?q=eau")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 1000
