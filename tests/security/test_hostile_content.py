"""Pages that attack those who read about them: crawled for real, indexed, and harmless in every shape of answer."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import lxml.html
import pytest
from defusedxml import ElementTree  # type: ignore[import-untyped]

from elunum.settings import CHECKOUT, Settings
from tests.site.conftest import Server, serving

HOST = "attaque.example"
ATTACKS = {
    "/script": "<script>alert(1)</script> subvention",
    "/image": '"><img src=x onerror=alert(1)> subvention',
    "/style": "</style><style>*{display:none}</style> subvention",
    "/quote": "' onmouseover='alert(1) subvention",
    "/formula": "=HYPERLINK(\"http://mal.example\";\"subvention\")",
    "/plus": "+33 subvention @SUM(1+1)*cmd|' /C calc'!A0",
    "/at": "@subvention",
    "/minus": "-2+3 subvention",
    "/tab": "\t=1+1 subvention",
    "/header": "subvention\r\nSet-Cookie: id=1\r\n\r\n<b>",
    "/cdata": "]]></title><entry>subvention</entry>",
    "/entity": "&lt;script&gt;alert(1)&lt;/script&gt; &amp;lt; subvention",
    "/template": "{{ 7 * 7 }} {% raw %} ${7*7} subvention",
    "/controls": "subvention \u202e\u0000\u0008\ufffe fin",
    "/mark": "<mark>subvention</mark></mark><mark onclick=alert(1)>",
    "/json": '"},"x":{"y":"subvention</script>',
}  # fmt: skip


def _page(path: str) -> str:
    attack = ATTACKS.get(path, "subvention")
    escaped = attack.replace("&", "&amp;").replace("<", "&lt;")
    links = "".join(f'<li><a href="{target}">subvention {n}</a></li>' for n, target in enumerate(ATTACKS))
    return (
        f"<!doctype html><html lang=fr><head><title>{escaped}</title>"
        f'<meta name=description content="{escaped.replace(chr(34), "&quot;")}">'
        '<link rel=canonical href="javascript:alert(1)"></head><body><main>'
        f"<h1>{escaped}</h1><p>{escaped}</p><p>Texte de {path} : {'la commune aide ses associations. ' * 12}</p>"
        '<p><a href="javascript:alert(1)">subvention</a> <a href="data:text/html,<script>alert(1)</script>">aide</a>'
        f' <a href="vbscript:x">aide</a></p></main><nav><ul>{links}</ul></nav></body></html>'
    )


class _Attacker(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/robots.txt":
            self.send_error(404)
            return
        body = _page(self.path).encode("utf-8", "replace")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A serving process over an index of these pages, crawled."""
    data = tmp_path_factory.mktemp("attacked")
    sources = data / "sources.csv"
    sources.write_text(
        f'url,name,kind,insee,siren,departement,region\nhttp://{HOST}/,"<script>alert(2)</script> =1+1",autre,,,,\n'
    )
    attacker = ThreadingHTTPServer(("127.0.0.1", 0), _Attacker)
    threading.Thread(target=attacker.serve_forever, daemon=True).start()
    environment = os.environ | {
        "ELUNUM_DATA": str(data / "var"),
        "ELUNUM_SOURCES": str(sources),
        "ELUNUM_CRAWL_CONNECT_TO": f"127.0.0.1:{attacker.server_address[1]}",
        "ELUNUM_CRAWL_DELAY_S": "0",
        "PYTHONPATH": str(CHECKOUT),
    }
    (data / "var").mkdir()
    for step in ("crawl", "index"):
        command = [sys.executable, "-m", "elunum", step]
        done = subprocess.run(command, env=environment, cwd=data, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    attacker.shutdown()
    attacker.server_close()
    with serving(Settings(data=data / "var", sources=sources)) as server:
        yield server


@pytest.fixture
def client(attacked: Server) -> Iterator[httpx.Client]:
    with attacked.client() as client:
        yield client


def harmless(page: str) -> None:
    """No script, no handler, no frame, no address but of web pages."""
    root = lxml.html.fromstring(page)
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        assert element.tag not in ("script", "iframe", "object", "embed", "style", "base"), element.tag
        for name, value in element.attrib.items():
            assert not str(name).startswith("on"), f"{element.tag} {name}"
            assert name != "style"
            if name in ("href", "src", "action", "formaction"):
                assert urlsplit(str(value).strip()).scheme in ("", "http", "https"), value


@pytest.mark.parametrize(
    "path",
    ["/recherche?q=subvention&size=50", "/recherche?q=script", "/recherche?q=%3Cscript%3Ealert(1)%3C/script%3E",
     "/sources", "/sources?q=script", "/carte?q=subvention", "/arbre", "/enjeux", "/",
     "/recherche?q=%22%3E%3Cimg%20src%3Dx%3E",
     "/recherche?%3Cscript%3E=1", "/%3Cscript%3Ealert(1)%3C/script%3E", "/communes?q=%3Csvg%20onload%3D1%3E"],
)  # fmt: skip
def test_no_page_of_the_site_runs_what_a_page_or_a_reader_wrote(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 400, 404)
    harmless(answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_attacks_are_found_as_the_text_they_are(client: httpx.Client) -> None:
    found = client.get("/api/v1/search", params={"q": "subvention", "size": 50}).json()
    urls = {urlsplit(result["url"]).path for result in found["results"]}
    assert len(urls & set(ATTACKS)) >= 10
    for result in found["results"]:
        assert urlsplit(result["url"]).scheme in ("http", "https")
        assert re.sub(r"</?mark>", "", result["snippet_html"]).find("<") == -1, result["snippet_html"]
        similar = client.get(f"/similaires/{result['id']}")
        harmless(similar.text)


def test_a_spreadsheet_opens_no_formula(client: httpx.Client) -> None:
    answer = client.get("/recherche.csv", params={"q": "subvention"})
    delimiter = ";" if answer.text.splitlines()[0].count(";") else ","
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff")), delimiter=delimiter))
    assert len(rows) > 10
    for row in rows[1:]:
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            assert not cell.startswith("-") or re.fullmatch(r"-?[\d.,]+", cell), cell
    with zipfile.ZipFile(io.BytesIO(client.get("/recherche.ods", params={"q": "subvention"}).content)) as ods:
        for name in ods.namelist():
            if name.endswith(".xml"):
                text = ods.read(name).decode()
                ElementTree.fromstring(text)
                assert "table:formula" not in text
                assert "javascript:" not in text


def test_a_feed_and_the_points_of_a_map_stay_well_formed(client: httpx.Client) -> None:
    feed = ElementTree.fromstring(client.get("/recherche.atom", params={"q": "subvention"}).text)
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) >= 5
    for link in feed.iter("{http://www.w3.org/2005/Atom}link"):
        assert urlsplit(link.attrib["href"]).scheme in ("http", "https")
    json.loads(client.get("/recherche.geojson", params={"q": "subvention"}).text)


@pytest.mark.parametrize(
    "words", ["a\r\nSet-Cookie: id=1", "a\x00b", "\u202e", "%0d%0aSet-Cookie:%20x=1", "{{7*7}}", "${7*7}"]
)
@pytest.mark.parametrize("shape", ["/recherche", "/recherche.csv", "/recherche.atom", "/api/v1/search"])
def test_what_a_reader_types_splits_no_header_and_runs_in_no_template(
    client: httpx.Client, words: str, shape: str
) -> None:
    answer = client.get(shape, params={"q": words})
    assert answer.status_code in (200, 400)
    assert "set-cookie" not in answer.headers
    assert "49" not in answer.text.partition("<title>")[2].partition("</title>")[0]


def test_links_to_results_tell_the_visited_site_nothing(client: httpx.Client) -> None:
    root = lxml.html.fromstring(client.get("/recherche", params={"q": "subvention"}).text)
    outside = [a for a in root.iter("a") if urlsplit(a.get("href", "")).netloc]
    assert outside
    for link in outside:
        assert {"noopener", "noreferrer"} <= set(link.get("rel", "").split()), link.get("href")


def test_nothing_of_the_attacks_reaches_the_log(attacked: Server) -> None:
    written = "".join(attacked.written)
    assert "subvention" not in written
    assert "<" not in written
