"""What every answer says to browsers, however it ends: keep nothing, run nothing, tell nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import lxml.html
import pytest

from elunum.privacy.readers import exchange
from elunum.privacy.service import nginx, nginx_refusal
from elunum.privacy.specimen import make
from elunum.settings import Settings
from tests.site.conftest import Server, serving

HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=(), interest-cohort=()",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}
RESULTS = ["/recherche?q=eau", "/recherche.csv?q=eau", "/recherche.ods?q=eau", "/recherche.geojson?q=eau",
           "/carte?q=eau", "/communes?nom=Rixheim", "/pourquoi?q=eau", "/note", "/similaires/0123456789abcdef",
           "/api/v1/search?q=eau", "/api/v1/suggest?q=ea", "/api/v1/similar/0123456789abcdef"]  # fmt: skip
ERRORS = ["/nulle-part", "/recherche?size=0", "/recherche?inconnu=1", "/api/v1/search?page=x", "/api/v1/nulle-part",
          "/static/nulle-part.css", "/collectivites/99999"]  # fmt: skip
PAGES = ["/", "/discret", "/enjeux", "/arbre", "/sources", "/etat", "/etat.json", "/confidentialite", "/robot",
         "/accessibilite", "/api", "/mentions-legales", "/robots.txt", "/opensearch.xml", "/.well-known/security.txt",
         "/healthz", "/metrics", "/openapi.json", "/recherche.atom?q=eau", "/sources.csv",
         "/static/elunum.css"]  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make(Settings(), tmp_path_factory.mktemp("answers") / "var")


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Server]:
    with serving(settings, ELUNUM_SITE_CONTACT="dpo@elunum.example") as server:
        yield server


@pytest.fixture
def client(service: Server) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def protected(answer: httpx.Response) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get(name) == value, name
    api = answer.request.url.path.startswith("/api/") or answer.headers.get("content-type") == "application/json"
    assert answer.headers["cross-origin-resource-policy"] == ("cross-origin" if api else "same-origin")
    for name in ("set-cookie", "server", "x-powered-by"):
        assert name not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_every_page_and_file_carries_the_headers_and_no_cookie(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    if path != "/openapi.json":
        protected(answer)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*RESULTS, *ERRORS])
def test_what_answers_a_reader_is_kept_by_nobody_and_indexed_by_nobody(
    client: httpx.Client, path: str, method: str
) -> None:
    answer = client.request(method, path, follow_redirects=False)
    assert answer.status_code in (200, 303, 400, 404, 405)  # the API is asked by GET alone
    protected(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert "noindex" in answer.headers["x-robots-tag"]


@pytest.mark.parametrize("path", ["/recherche", "/carte", "/note", "/pourquoi", "/communes", "/recherche.csv"])
def test_discreet_answers_are_protected_as_the_others(client: httpx.Client, path: str) -> None:
    answer = client.post(path, data={"nom": "x"} if path == "/communes" else {"q": "eau"})
    protected(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert "eau" not in str(answer.url)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/recherche", 405), ("DELETE", "/", 405), ("POST", "/api/v1/search", 405)],
)
def test_a_method_that_is_not_accepted_is_refused_with_the_same_headers(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    protected(answer)
    assert answer.headers["cache-control"] == "no-store"


def test_no_page_holds_a_script_a_style_or_an_event_handler(client: httpx.Client) -> None:
    pages = [path for path in PAGES if "." not in path and path not in ("/healthz", "/metrics")]
    for path in [*pages, "/recherche?q=eau", "/carte?q=eau", "/communes?nom=Saint-Martin", "/note", *ERRORS[:3]]:
        root = lxml.html.fromstring(client.get(path).content)
        assert not root.xpath("//script | //style | //*[@style] | //iframe | //object | //embed"), path
        assert not [name for one in root.iter() for name in one.attrib if str(name).startswith("on")], path
        for link in root.xpath("//link/@href | //img/@src | //form/@action | //button/@formaction"):
            assert re.match(r"/(?!/)", str(link)), f"{path} {link}"


@pytest.mark.parametrize(
    "path",
    ["/recherche", "/recherche.csv", "/recherche.atom", "/carte", "/communes", "/pourquoi", "/note", "/sources",
     "/enjeux", "/arbre", "/api/v1/search", "/api/v1/suggest", "/api/v1/sources", "/api/v1/enjeux", "/selection.csv",
     "/sources.csv", "/confidentialite"],
)  # fmt: skip
@pytest.mark.parametrize("query", ["zzz=1", "zzz=", "zzz", "zzz=+"])
def test_an_unknown_parameter_is_refused_even_blank(client: httpx.Client, path: str, query: str) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert "zzz" in answer.text, "its name is told"


@pytest.mark.parametrize("path", ["/recherche", "/carte", "/api/v1/search", "/recherche.csv"])
def test_a_known_parameter_left_blank_is_an_absent_one(client: httpx.Client, path: str) -> None:
    assert client.get(f"{path}?q=eau&enjeu=&since=&page=&commune=").status_code == 200
    if not path.startswith("/api"):
        assert client.post(path, data={"q": "eau", "enjeu": "", "id": ""}).status_code == 200
        assert client.post(path, data={"q": "eau", "zzz": ""}).status_code == 400


def test_security_txt_is_what_the_rfc_wants_and_expires_within_a_year(client: httpx.Client) -> None:
    """RFC 9116: one Expires, in the future and less than a year away; at least one Contact, as a URI."""
    answer = client.get("/.well-known/security.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = [line.partition(": ")[::2] for line in answer.text.splitlines()]
    names = [name for name, _ in fields]
    assert names.count("Expires") == 1
    assert dict(fields)["Contact"] == "mailto:dpo@elunum.example"
    assert dict(fields)["Canonical"].endswith("/.well-known/security.txt")
    until = datetime.fromisoformat(dict(fields)["Expires"])
    assert timedelta(days=30) < until - datetime.now(UTC) < timedelta(days=365)


@pytest.mark.skipif(bool(nginx_refusal()), reason="nginx is not installed")
def test_the_proxy_adds_hsts_once_and_protects_its_own_refusals(settings: Settings, tmp_path: Path) -> None:
    with serving(settings) as service, nginx(service.port, tmp_path, traced=False) as proxy:
        assert proxy.log is None, "what strace slows down is not what readers wait for"
        for target, status in (("/", 200), ("/recherche?q=eau", 200), ("/nulle-part", 404), ("/" + "a" * 20_000, 414)):
            payload = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            answer = exchange(proxy.port, payload, "127.0.0.1")
            assert answer.status == status
            assert answer.header("strict-transport-security") == "max-age=63072000; includeSubDomains"
            assert answer.header("referrer-policy") == "no-referrer"
            assert answer.header("content-security-policy").startswith("default-src 'none'")
            assert "set-cookie" not in answer.head.decode().lower()
        malformed = exchange(proxy.port, b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "127.0.0.1")
        assert malformed.status == 400
        assert "ne peut pas être lue" in malformed.body.decode()
        assert malformed.header("cache-control") == "no-store"
        service.stop()
        dead = exchange(proxy.port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "127.0.0.1")
        assert dead.status == 503
        assert dead.header("retry-after") == "10"
        assert dead.header("cache-control") == "no-store"
        assert dead.header("content-security-policy").startswith("default-src 'none'")
