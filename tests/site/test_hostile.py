"""What strangers wrote in their pages cannot become markup, script, links or formulas on ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

import httpx
import pytest
from lxml import etree, html

from elunum.index.build import serve_documents
from elunum.model import Document, DocumentId, Source, Tag, Why
from elunum.settings import CHECKOUT, Settings
from tests.site.conftest import serving

ATTACKS = [
    '<script>alert(1)</script> salsifis',
    '"><img src=x onerror=alert(1)> salsifis',
    "salsifis </title><svg onload=alert(1)>",
    "=HYPERLINK(salsifis)",
    "{{ 7*7 }} {% raw %} salsifis",
    "salsifis \x00\x01\u202e ]]> --> <!-- \ud7ff",
    "&lt;b&gt; salsifis &amp; 'quotes' \"double\"",
]  # fmt: skip
ADDRESSES = [
    "javascript:alert(1)//salsifis",
    "data:text/html,<script>1</script>",
    'https://a.fr/"onmouseover="alert(1)',
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server over documents made of attacks only."""
    settings = Settings(data=tmp_path_factory.mktemp("hostile"), sources=CHECKOUT / "demo" / "sources.csv")
    found = []
    for number, text in enumerate([*ATTACKS, *ADDRESSES]):
        url = text if text in ADDRESSES else f"https://a.fr/{number}?{text}"
        found.append(
            Document(
                id=DocumentId(f"{number:016x}"),
                url=url,
                title=text if text in ATTACKS else "salsifis",
                text=f"{text}\n" * 3,
                date=date(2024, 1, 1 + number),
                fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
                lang="fr",
                size=10,
                source=Source("https://a.fr/", text, "autre"),
                copies=(url,),
                enjeux=(Tag("sante", text, 0.9, (Why(text, "body", 1),)),),
            )
        )
    serve_documents(settings, found)
    with serving(settings) as server, server.client() as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/recherche?q=salsifis", "/recherche?enjeu=sante", "/carte?q=salsifis", "/arbre?enjeu=sante", "/enjeux",
     "/similaires/0000000000000000", "/note?id=0000000000000000&id=0000000000000007",
     "/pourquoi?q=salsifis&id=0000000000000001"],
)  # fmt: skip
def test_no_page_takes_markup_or_a_dangerous_link_from_a_document(hostile: httpx.Client, path: str) -> None:
    answer = hostile.get(path)
    assert answer.status_code == 200
    tree = html.fromstring(answer.content)
    assert not tree.xpath("//script | //img | //iframe | //object | //*[@style]")
    assert not [name for element in tree.iter() for name in element.attrib if str(name).startswith("on")]
    for link in tree.xpath("//@href | //@action | //@formaction"):
        assert re.match(r"(/|#|https?://)", link), link
    assert "49" not in {text.strip() for text in tree.itertext()}


def test_every_result_is_found_and_shown_as_it_was_written(hostile: httpx.Client) -> None:
    told = hostile.get("/api/v1/search?q=salsifis&size=50").json()
    assert {result["title"] for result in told["results"]} >= set(ATTACKS[:5])
    for result in told["results"]:
        assert set(re.findall(r"<[^>]*>", result["snippet_html"])) <= {"<mark>", "</mark>"}


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", '"><svg onload=alert(1)>', "{{7*7}}", "' onfocus=alert(1) '", "\x00\x1b[31m"]
)
def test_what_a_reader_types_is_shown_as_text(hostile: httpx.Client, typed: str) -> None:
    for answer in (hostile.get("/recherche", params={"q": typed}), hostile.post("/recherche", data={"q": typed})):
        assert answer.status_code == 200
        tree = html.fromstring(answer.content)
        assert not tree.xpath("//script | //svg[@onload] | //*[@onfocus]")
    name = hostile.get("/communes", params={"nom": typed})
    assert "<script" not in name.text


def test_the_feed_of_attacks_is_well_formed(hostile: httpx.Client) -> None:
    root = etree.fromstring(hostile.get("/recherche.atom?q=salsifis").content)
    links = [str(link) for link in root.xpath("//*[local-name()='link']/@href")]
    assert len(links) > 5
    assert all(link.startswith(("http://", "https://", "#")) for link in links)


def test_no_header_is_made_of_what_was_typed(hostile: httpx.Client) -> None:
    answer = hostile.get("/communes", params={"nom": "Rixheim", "q": "a\r\nX-Evil: 1"}, follow_redirects=False)
    assert answer.status_code == 303
    assert "x-evil" not in answer.headers
    assert "\n" not in answer.headers["location"]
