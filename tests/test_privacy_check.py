"""`elunum privacy-check` is green on what we ship, and red on each kind of leak that is planted in it.

The leaks are planted from outside, by a module that Python loads in the serving processes because it stands on their
path: nothing in Elunum knows of it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from elunum.privacy import PrivacyReport, check, trace
from elunum.privacy.service import NGINX_CONF, nginx_refusal
from elunum.settings import CHECKOUT, Settings

needs_strace = pytest.mark.skipif(not trace.available(), reason="strace is absent or may not trace here")
needs_nginx = pytest.mark.skipif(bool(nginx_refusal()), reason="nginx is not installed")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the command says of the service as it is, as JSON."""
    data = tmp_path_factory.mktemp("clean")
    done = subprocess.run(
        [sys.executable, "-m", "elunum", "privacy-check", "--json"],
        env=os.environ | {"ELUNUM_DATA": str(data / "var"), "PYTHONPATH": str(CHECKOUT)},
        cwd=data,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_nothing_leaks_from_the_service_as_it_is(clean: dict[str, object]) -> None:
    assert clean["leaks"] == []


def test_the_readers_were_really_answered_refused_crashed_and_cut_off(clean: dict[str, object]) -> None:
    played = clean["played"]
    assert isinstance(played, list)
    answers = {(p["program"], p["name"]): {status for status, _ in p["answers"]} for p in played}
    service = "service (elunum serve)"
    assert answers[service, "recherche"] >= {200}
    assert answers[service, "recherche en mode discret (POST)"] >= {200, 413}
    assert answers[service, "filtres et paramètres"] >= {400}
    assert answers[service, "panne au milieu d’une recherche (500)"] == {500}
    assert answers[service, "surcharge"] >= {200, 503}
    assert answers[service, "lecteur parti avant la réponse"] == {0}
    assert answers[service, "demandes qui n’arrivent pas à leur fin (délai dépassé)"] == {0, 408}
    assert answers[service, "mort brutale d’un processus"] == {0}
    assert answers[service, "après la mort du processus"] == {200}
    if not nginx_refusal():
        assert answers["proxy (nginx)", "recherche"] >= {200}
        assert answers["proxy (nginx)", "panne au milieu d’une recherche (500)"] == {500}


# --- planted leaks -----------------------------------------------------------------------------------------------

# Each is one line run in the serving process at each search: `words` as typed, `address` and `agent` of the reader.
PLANTED = {
    "file": "open(FOLDER + '/queries.log', 'a').write(words)",
    "removed file": "p = FOLDER + '/gone'; open(p, 'w').write('x' + words); os.remove(p)",
    "name of a file": "os.mkdir(FOLDER + '/' + words.split()[0][:100]) if words.split() else None",
    "base64": "open(FOLDER + '/base64', 'ab').write(base64.b64encode(b'q' + words.encode()))",
    "UTF-16": "open(FOLDER + '/utf16', 'ab').write(words.encode('utf-16'))",
    "gzip": "gzip.open(FOLDER + '/packed.gz', 'at').write(words)",
    "hashed word": "open(FOLDER + '/hashed', 'a').write(hashlib.sha256(words.encode()).hexdigest()[:16])",
    "hashed address": "open(FOLDER + '/visitors', 'a').write(hashlib.md5(address.encode()).hexdigest())",
    "cut address": "open(FOLDER + '/networks', 'a').write(address.rpartition('.')[0] + '.0 ')",
    "keyed hash": "open(FOLDER + '/keyed', 'ab').write(hmac.digest(b'key of nobody', words.encode(), 'sha256'))",
    "user agent": "open(FOLDER + '/agents', 'a').write(agent)",
    "standard output": "print('q=' + words, flush=True)",
    "log": "logging.getLogger('elunum.site').error('searched ' + words)",
    "metric": "METRIC.labels(words).inc()",
    "another reader": "SEEN.append(words)",
    "name server": "UDP.sendto(words.encode(), ('127.0.0.1', NAMES))",
    "collector": "socket.create_connection(('127.0.0.1', COLLECTOR)).sendall(b'ping ' + words.encode())",
    "system journal": "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect_ex('/dev/log')",
    "cookie": "COOKIES.append(1)",
    "shared memory": "SHARED.seek(SHARED.tell() % 2000); SHARED.write(words.encode()[:1000])",
    "removed shared memory": "map_and_remove(FOLDER + '/unseen')",
    "percent-encoded": "open(FOLDER + '/percent', 'a').write(''.join(f'%{b:02X}' for b in words.encode()))",
    "HTML-escaped": "open(FOLDER + '/entities', 'a').write(''.join(f'&#{b};' for b in words.encode()))",
    "binary hash": "open(FOLDER + '/digests', 'ab').write(hashlib.sha1(words.encode()).digest())",
    "hash in base64": "open(FOLDER + '/hashed64', 'ab').write(base64.b64encode(hashlib.md5(words.encode()).digest()))",
}  # fmt: skip

SITECUSTOMIZE = """
import base64, gzip, hashlib, hmac, logging, mmap, os, resource, socket, sys
import elunum.site.metrics as metrics
import elunum.search.engine as engine
import elunum.site.replies as replies
from prometheus_client import Counter
from elunum.site.guard import Guard
FOLDER, NAMES, COLLECTOR = {folder!r}, {names}, {collector}
METRIC = Counter("planted", "planted", ["words"], registry=metrics._REGISTRY)
UDP = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
SEEN, COOKIES = [], []
with open(FOLDER + "/shared-" + str(os.getpid()), "w+b") as file:
    file.truncate(4096)
    SHARED = mmap.mmap(file.fileno(), 4096)
    os.remove(file.name)
def map_and_remove(path):
    with open(path, "w+b") as file:
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 4096) as memory:
            memory[:3] = b"???"
        os.remove(path)
resource.setrlimit(resource.RLIMIT_CORE, (1, resource.getrlimit(resource.RLIMIT_CORE)[1]))
resource.setrlimit = lambda *_: None
reader = ["", ""]
real_call = Guard.__call__
async def call(self, scope, receive, send):
    headers = dict(scope.get("headers", []))
    reader[:] = [scope["client"][0], headers.get(b"user-agent", b"").decode()]
    async def send_out(message):
        if COOKIES and message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"set-cookie", b"id=1")]
        await send(message)
    await real_call(self, scope, receive, send_out)
Guard.__call__ = call
real_search = engine.Engine.search
def search(self, asked, *options, **named):
    words, (address, agent) = asked.q, reader
    for line in {lines!r}:
        try:
            exec(line)
        except Exception as error:
            sys.stderr.write(f"planting failed: {{line}}: {{type(error).__name__}}\\n")
    return real_search(self, asked, *options, **named)
engine.Engine.search = search
real_suggest = engine.Engine.suggest
def suggest(self, *options):
    from elunum.model import Suggestion
    return (*real_suggest(self, *options), *(Suggestion(text, "title") for text in SEEN[-3:]))
engine.Engine.suggest = suggest
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivacyReport]:
    """The report on a service, and an nginx, in which every kind of leak was planted."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "var").mkdir()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    collector = socket.create_server(("127.0.0.1", 0), backlog=2048)
    path = folder / "path"
    path.mkdir()
    source = SITECUSTOMIZE.format(
        folder=str(folder / "var"),
        names=names.getsockname()[1],
        collector=collector.getsockname()[1],
        lines=list(PLANTED.values()),
    )
    (path / "sitecustomize.py").write_text(source)
    leaky = folder / "nginx.conf"
    conf = NGINX_CONF.read_text().replace("access_log off;", "access_log access.log;")
    conf = conf.replace("error_log /dev/null emerg;", "error_log error.log info;")
    leaky.write_text(conf.replace("client_body_in_file_only off;", "client_body_in_file_only on;"))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{path}{os.pathsep}{CHECKOUT}"
    try:
        yield check(Settings(data=folder / "var"), nginx_conf=leaky)
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        names.close()
        collector.close()


@needs_strace
@pytest.mark.parametrize(
    ("kind", "form", "where"),
    [
        ("file", "en clair", "/queries.log"),
        ("removed file", "en clair", "/gone"),
        ("name of a file", "en clair", "mkdir()"),
        ("base64", "base64", "/base64"),
        ("UTF-16", "UTF-16", "/utf16"),
        ("gzip", "en clair", "/packed.gz"),
        ("hashed word", "sha256", "/hashed"),
        ("hashed address", "md5", "/visitors"),
        ("cut address", "en clair", "/networks"),
        ("keyed hash", "écriture pendant les visites", "/keyed"),
        ("user agent", "en clair", "/agents"),
        ("standard output", "en clair", "sortie standard ou d’erreur"),
        ("metric", "en clair", "réponse à un autre lecteur : /metrics"),
        ("another reader", "en clair", "réponse à un autre lecteur : /api/v1/suggest"),
        ("name server", "connexion sortante", "127.0.0.1:"),
        ("collector", "en clair", "écrit par service (elunum serve) : TCP:["),
        ("system journal", "journal du système", "/dev/log"),
        ("cookie", "déposé chez le lecteur", "réponses"),
        ("shared memory", "en clair", "/shared-"),
        ("removed shared memory", "fichier effacé avant d’avoir pu être lu", "/unseen"),
        ("percent-encoded", "encodé pour une URL", "/percent"),
        ("HTML-escaped", "échappé en HTML", "/entities"),
        ("binary hash", "sha1", "/digests"),
        ("hash in base64", "md5", "/hashed64"),
        ("log", "en clair", "sortie standard ou d’erreur : service"),
    ],
)
def test_a_planted_leak_turns_the_check_red(planted: PrivacyReport, kind: str, form: str, where: str) -> None:
    assert kind in PLANTED
    assert any(leak.form == form and where in leak.where for leak in planted.leaks), kind


@needs_strace
@needs_nginx
@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("requête (GET)", "/nginx/access.log"),
        ("adresse du lecteur", "/nginx/access.log"),
        ("agent utilisateur", "/nginx/access.log"),
        ("page d’origine", "/nginx/access.log"),
        ("requête mal formée", "/nginx/error.log"),
        ("requête (POST)", "/nginx/tmp/body/"),
    ],
)
def test_a_proxy_that_writes_turns_the_check_red(planted: PrivacyReport, what: str, where: str) -> None:
    assert any(leak.what == what and where in leak.where for leak in planted.leaks)


def test_a_service_that_may_dump_its_memory_turns_the_check_red(planted: PrivacyReport) -> None:
    assert any(leak.form == "vidage permis (core dump)" for leak in planted.leaks)


def test_a_report_that_is_red_says_so_first_and_lists_each_leak(planted: PrivacyReport) -> None:
    text = planted.render()
    assert "NON CONFORME" in text.partition("1. Ce qui a été fait")[0]
    for leak in planted.leaks:
        assert leak.where in text


def test_a_report_that_could_not_see_all_says_so_in_its_conclusion(planted: PrivacyReport) -> None:
    seen_in_part = replace(planted, leaks=(), reservations=("Les appels système n’ont pas été suivis.",))
    assert "CONFORME, sous 1 réserve" in seen_in_part.render().partition("1. Ce qui a été fait")[0]
    assert "nulle part." in replace(planted, leaks=(), reservations=()).render().partition("1. Ce qui a été fait")[0]
