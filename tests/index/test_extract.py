"""Pages -> documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.index.dates import parse_date
from elunum.index.extract import decode, extract, fingerprint, tells_something, title_from_url
from elunum.model import Document, Skipped
from elunum.settings import ExtractSettings
from tests.index.web import PROSE, html, page

GOLDEN = Path(__file__).parents[1] / "golden"
SHOWN = ("title", "description", "headings", "breadcrumb", "date", "lang", "canonical", "links", "text")


def document(body: str | bytes, type: str = "text/html", url: str = "https://www.exemple.fr/dossier/page") -> Document:
    found = extract(page(url, body, type=type))
    assert isinstance(found, Document), found
    return found


@pytest.mark.parametrize("case", sorted(GOLDEN.glob("*.html")), ids=lambda path: path.stem)
def test_golden(case: Path, request: pytest.FixtureRequest) -> None:
    fields = asdict(document(case.read_bytes()))
    fields["links"] = [[link["url"], link["anchor"]] for link in fields["links"]]
    fields["text"] = fields["text"].split("\n")
    found = json.loads(json.dumps({name: fields[name] for name in SHOWN}, default=str))
    expected = case.with_suffix(".json")
    if request.config.getoption("--update-golden"):
        expected.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("said", "title", "h1"),
    [
        ("Budget", "<title>Budget | Ville de X</title>", "<h1>Budget</h1>"),
        ("Budget", "<title>Accueil</title>", "<h1>Budget</h1>"),
        ("Budget", "", "<h1>Budget</h1>"),
        ("Budget", '<title></title><meta property="og:title" content="Budget">', ""),
        ("Budget", "<title>Budget</title>", "<h1></h1>"),
        ("Budget - Ville", '<title>Budget - Ville - X</title><meta property="og:site_name" content="X">', ""),
        ("page", "", ""),
        ("Budget", "<title>Mairie d'Exemple : Budget</title>", ""),
        ("Budget", "<title>Budget - Exemple</title>", "<h1>Mairie d'Exemple</h1>"),
        ("Budget", "<title>Démarches administratives - Ville d'Exemple</title>", "<h1>Budget</h1>"),
    ],
)
def test_a_title_is_the_one_a_reader_would_give(said: str, title: str, h1: str) -> None:
    assert document(f"<html><head>{title}</head><body>{h1}<p>{PROSE}</p></body></html>").title == said


def test_the_home_page_is_called_by_the_name_of_its_site() -> None:
    home = f"<html><title>Accueil - Ville d'Exemple</title><body><p>{PROSE}</p></body></html>"
    assert document(home, url="https://www.exemple.fr/").title == "Accueil - Ville d'Exemple"


def test_a_word_of_the_host_is_not_the_name_of_the_site() -> None:
    aids = f"<html><title>Aides - Liste</title><body><p>{PROSE}</p></body></html>"
    assert document(aids, url="https://aides-territoires.example/x").title == "Aides - Liste"


def test_what_names_itself_a_menu_or_a_header_may_be_of_the_text() -> None:
    served = "Lundi, salade de betteraves, poisson et riz ; mardi, potage, omelette aux herbes et compote de pommes."
    found = document(
        f"<title>Cantine</title><div class='page-header'><h2>La cantine</h2></div><p>{PROSE}</p>"
        f"<div class='menu-semaine'><p>{served}</p></div>"
        "<div class='menu'><a href='/a'>Mairie</a> <a href='/b'>Vie</a></div>"
        "<div class='site-header'><h2><a href='/'>Ville</a></h2><a href='/x'>Agenda</a></div>"
    )
    assert found.text == f"La cantine\n{PROSE}\n{served}"


@pytest.mark.parametrize(
    "banner",
    [
        "Ce site utilise des cookies de mesure d’audience.",
        "En poursuivant votre navigation, vous acceptez le dépôt de cookies tiers.",
        "Nous aimerions déposer des traceurs. <button>Refuser</button>",
        "Aller au contenu principal",
        "© Ville d'Exemple - tous droits réservés",
    ],
)
def test_a_banner_that_does_not_say_it_is_one_is_not_text_even_on_one_page(banner: str) -> None:
    assert document(f"<title>Un</title><div>{banner}</div><p>{PROSE}</p>").text == PROSE
    said = f"Le maire répond sur les cookies vendus par l'école. {PROSE}"
    assert document(f"<title>Un</title><p>{said}</p>").text == said


def test_links_of_one_line_are_a_menu_and_cards_are_not() -> None:
    cards = "".join(
        f"<div><a href='/{n}'><p>Mobilités</p><p>Le plan vélo, épisode {n}, entre la gare et le lycée</p></a></div>"
        for n in range(4)
    )
    menu = "<div><a href='/a'>Mairie</a><a href='/b'>École</a><a href='/c'>Sports</a></div>"
    next = "<a href='/n'>Le règlement intérieur de la déchèterie intercommunale</a>"
    text = document(
        f"<title>Actus</title>{menu}<p>{PROSE}</p>{cards}<h2>À lire aussi</h2><p>{next}</p><p>{next}</p>"
    ).text
    assert "École" not in text
    assert text.endswith("épisode 3, entre la gare et le lycée")
    assert "Mobilités\nLe plan vélo, épisode 3" in text


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (date(2024, 3, 12), "2024-03-12T08:00:00Z"),
        (date(2024, 3, 12), "le 12 mars 2024"),
        (date(2024, 8, 1), "1er août 2024"),
        (date(2024, 2, 29), "29/02/2024"),
        (date(2024, 12, 3), "20241203"),
        (None, "30 février 2024"),
        (None, "rien"),
    ],
)
def test_dates_are_read_as_french_pages_write_them(when: date | None, text: str) -> None:
    assert parse_date(text) == when


def test_a_date_after_the_visit_or_before_the_web_is_not_believed() -> None:
    for year in ("1789", "2099", "0000"):
        head = f'<meta property="article:published_time" content="{year}-01-01">'
        assert document(html("Un", head=head)).date is None


@pytest.mark.parametrize(
    ("head", "header"),
    [('<meta name="robots" content="NOINDEX, follow">', ""), ("", "noindex"), ("", "none, noindex")],
)
def test_a_page_that_asks_not_to_be_indexed_is_not(head: str, header: str) -> None:
    asked = page("https://a.fr/x", html("Un", head=head))
    asked = type(asked)(asked.url, 200, (*asked.headers, ("X-Robots-Tag", header)), asked.body, asked.fetched_at)
    assert extract(asked) == Skipped("noindex")


def test_a_page_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    original = lxml.html.document_fromstring

    def counted(*given: Any, **named: Any) -> Any:
        parsed.append(given)
        return original(*given, **named)

    monkeypatch.setattr(lxml.html, "document_fromstring", counted)
    for path in sorted(GOLDEN.glob("*.html")):
        document(path.read_bytes())
    assert len(parsed) == len(list(GOLDEN.glob("*.html")))


# --- characters --------------------------------------------------------------------------------------------------

ACCENTED = "L’été à Œuilly : élèves, naïveté, 10 € — où ça ?"


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (ACCENTED.encode(), "text/html; charset=utf-8"),
        (ACCENTED.encode(), "text/html; charset=iso-8859-1"),
        (ACCENTED.encode("cp1252"), "text/html; charset=utf-8"),
        (ACCENTED.encode("cp1252"), "text/html; charset=iso-8859-1"),
        (ACCENTED.encode("cp1252"), "text/html"),
        (
            b'<meta charset="iso-8859-15">' + ACCENTED.replace("’", "'").replace("—", "-").encode("iso-8859-15"),
            "text/html",
        ),
        (b"\xef\xbb\xbf" + ACCENTED.encode(), "text/html; charset=latin1"),
        (ACCENTED.encode("utf-16"), "text/html"),
        (ACCENTED.encode("utf-16-le"), "text/html; charset=utf-16"),
        (("<html>" + ACCENTED * 9).encode("utf-16-be"), "text/html"),
        (ACCENTED.encode(), "text/html; charset=klingon"),
        ((ACCENTED * 50).encode()[:-1] + b"\xe2\x82", "text/html"),
    ],
)
def test_the_characters_of_a_page_survive_what_it_declares(body: bytes, type: str) -> None:
    found = decode(body, type).replace("'", "’").replace(" - ", " — ")
    assert ACCENTED in found


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_have_characters(body: bytes, content_type: str) -> None:
    assert isinstance(decode(body, content_type), str)


@given(st.text(max_size=200))
def test_fingerprints_ignore_case_spaces_and_punctuation(text: str) -> None:
    assert fingerprint(text) == fingerprint(f"  {text} !")


# --- bad input ---------------------------------------------------------------------------------------------------

FILL = "<p>Le conseil se réunit en mairie.</p>"

BAD: dict[str, Callable[[], bytes]] = {
    "cut in the middle of a tag": lambda: html("Un").encode()[:-40] + b"<a href='x",
    "cut in the middle of a character": lambda: html("Un").encode() + "é".encode()[:1],
    "20 MB of text": lambda: html("Un", FILL * 550_000).encode(),
    "20 MB of inline tags": lambda: html("Un", "<b><i>a</i></b>" * 1_300_000).encode(),
    "60,000 deep": lambda: b"<html><body>" + b"<div>" * 60_000 + FILL.encode() * 20 + b"</div>" * 60_000,
    "60,000 deep, inline": lambda: b"<html><body><p>" + b"<b>" * 60_000 + FILL.encode() * 20,
    "menus in menus": lambda: (
        b"<html><body>" + b"<div class=menu>" * 1_500 + b"Le conseil <b>vote</b>. " * 20_000 + b"</div>" * 1_500
    ),
    "300,000 cells": lambda: b"<html><body><table><tr>" + b"<td>1</td>" * 300_000 + b"</table>" + FILL.encode() * 20,
    "200,000 attributes": lambda: (
        b"<html><body " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">" + FILL.encode() * 20
    ),
    "NUL and control characters": lambda: html("U\0n", PROSE.replace(" ", "\0 \x08\x1f")).encode(),
    "lone surrogates": lambda: html("Un", PROSE).encode() + b"&#xD800;&#x110000;&#0;" + b"\xed\xa0\x80",
    "entities that grow": lambda: (
        b'<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + html("&b;").encode()
    ),
    "an XML declaration that lies": lambda: b'<?xml version="1.0" encoding="utf-16"?>' + html("Un").encode(),
    "only comments": lambda: b"<!-- rien -->",
    "only scripts": lambda: b"<html><body><script>document.write('x')</script></body></html>",
    "a frameset": lambda: b"<html><frameset><frame src='a.htm'></frameset></html>",
    "not HTML at all": lambda: bytes(range(256)) * 100,
    "links by the thousand": lambda: html(
        "Un", around="".join(f'<a href="/{n}">lien {n}</a>' for n in range(50_000))
    ).encode(),
    "links that are no addresses": lambda: html(
        "Un", around='<a href="http://[">a</a><a href="http://a:b">b</a>' * 9
    ).encode(),
    "dates that are none": lambda: html("Un", head='<meta name="date" content="99/99/9999">').encode(),
    "JSON that is deep": lambda: html(
        "Un", head=f'<script type="application/ld+json">{"[" * 90_000}</script>'
    ).encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pages_end_as_a_document_or_a_counted_reason(name: str) -> None:
    found = extract(page("https://a.fr/x", BAD[name](), type="text/html"), ExtractSettings())
    if isinstance(found, Document):
        assert found.text
        assert len(found.text) <= 500_000
        assert len(found.links) <= 300
        assert "\0" not in found.text + found.title
    else:
        assert found.reason in ("no text", "not parsed")


@pytest.mark.parametrize(
    ("body", "type", "reason"),
    [
        (b"", "text/html", "empty"),
        (b" \r\n\t ", "text/html", "empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "image/png", "not a text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "application/msword", "not a text"),
        (b"{}", "application/json", "not a text"),
        (b"body { color: red }", "text/css", "not a text"),
    ],
)
def test_what_is_no_page_is_counted_by_reason(body: bytes, type: str, reason: str) -> None:
    assert extract(page("https://a.fr/x", body, type=type)) == Skipped(reason)


@pytest.mark.parametrize("type", ["application/octet-stream", "application/pdf", "text/plain", ""])
def test_bytes_are_believed_before_the_type_they_are_sent_as(type: str) -> None:
    assert document("<!DOCTYPE html>" + html("Budget"), type).type == "html"


@given(st.text(alphabet="<>/=\"' abdiplmnv&;#x0\n", max_size=400))
def test_no_markup_breaks_the_reader(text: str) -> None:
    found = extract(page("https://a.fr/x", "<html><body>" + text))
    assert isinstance(found, Document | Skipped)


# --- small readings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "tells"),
    [
        ("Compte rendu du 12 mars", True),
        ("Lire la suite", False),
        ("Télécharger le document PDF", False),
        ("12", False),
        ("https://a.fr/x", False),
        ("/particuliers/vosdroits/F1", False),
        ("www.a.fr", False),
    ],
)
def test_a_links_text_counts_when_it_says_what_it_leads_to(anchor: str, tells: bool) -> None:
    assert tells_something(anchor) is tells


def test_what_has_no_title_is_called_by_its_address() -> None:
    assert title_from_url("https://a.fr/pdf/compte-rendu_2024.pdf") == "compte rendu 2024"
    assert title_from_url("https://a.fr/") == "a.fr"
