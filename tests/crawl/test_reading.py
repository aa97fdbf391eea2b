"""What is read of robots.txt, pages, sitemaps and addresses, without a network."""

import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.crawl import links, robots, sitemaps
from elunum.crawl.robots import MAX_BYTES, Permission, permission
from elunum.crawl.scope import Scope
from elunum.model import Source
from elunum.urls import canonical


def scope(*urls: str, shard: tuple[int, int] = (1, 1), only: str = "") -> Scope:
    return Scope([Source(url, url, "autre") for url in urls], shard, only)


# --- robots.txt --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (200, Permission.READ_RULES),
        (206, Permission.READ_RULES),
        (301, Permission.ALLOW_ALL),
        (401, Permission.ALLOW_ALL),
        (404, Permission.ALLOW_ALL),
        (429, Permission.FORBID_ALL),
        (500, Permission.FORBID_ALL),
        (503, Permission.FORBID_ALL),
        (0, Permission.FORBID_ALL),
    ],
)
def test_the_status_says_what_the_body_may(status: int, says: Permission) -> None:
    assert permission(status) is says


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /a", "/a/b", False),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b", True),
        ("User-agent: *\nAllow: /a\nDisallow: /a/b", "/a/b", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf?y", True),
        ("User-agent: *\nDisallow: /caf%C3%A9", "/café", False),
        ("User-agent: *\nDisallow:", "/a", True),
        ("user-AGENT: ELUNUM\ndisallow: /", "/a", False),
        ("User-agent: Elunum/0.1\nDisallow: /", "/a", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Elunum\nAllow: /", "/a", True),
        ("User-agent: autre\nUser-agent: Elunum\nDisallow: /a", "/a", False),
        ("User-agent: autre\nDisallow: /", "/a", True),
        ("\ufeffUser-agent: *\nDisallow: /a", "/a", False),
        ("User-agent: *\r\nDisallow: /a # commentaire\r\n", "/a", False),
        ("<html><body>Erreur: introuvable</body></html>", "/a", True),
        ("", "/a", True),
    ],
)
def test_rules_are_read_as_the_rfc_says(rules: str, path: str, allowed: bool) -> None:
    url = canonical(path, "https://a.fr/")
    assert url is not None
    assert robots.read(rules.encode(), "Elunum").allows(url) is allowed


@pytest.mark.parametrize(
    ("written", "seconds"), [("5", 5), ("0.5", 0.5), ("99999", 3600), ("-3", 0), ("nan", 0), ("x", 0)]
)
def test_crawl_delay_is_read_within_reason(written: str, seconds: float) -> None:
    assert robots.read(f"User-agent: *\nCrawl-delay: {written}\n".encode(), "Elunum").crawl_delay_s == seconds


def test_half_a_rule_at_the_limit_is_not_a_rule() -> None:
    body = b"User-agent: *\n" + b"#" * (MAX_BYTES - 24) + b"\nDisallow: /a/b"
    assert robots.read(body, "Elunum").allows("https://a.fr/a/c")


@given(st.binary(max_size=500) | st.text("User-agent: *Elnum\nDisalow/$%Crdy", max_size=300).map(str.encode))
def test_no_bytes_whatsoever_break_the_reader_of_rules(body: bytes) -> None:
    rules = robots.read(body, "Elunum")
    rules.allows("https://a.fr/a")
    assert 0 <= rules.crawl_delay_s <= 3600


# --- tdmrep.json --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "path", "reserved"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', "/a", True),
        ('[{"location": "/", "tdm-reservation": "1", "tdm-policy": "https://a.fr/p.json"}]', "/a", True),
        ('[{"location": "/", "tdm-reservation": 0}]', "/a", False),
        ('[{"location": "/a/", "tdm-reservation": 1}]', "/b", False),
        ('[{"location": "/a/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', "/a/x", False),
        ('[{"location": "/a/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', "/b", True),
        ('[{"location": "/", "tdm-reservation": 1}, {"location": "/a/", "tdm-reservation": 0}]', "/a/x", True),
        ('[{"location": "/*.pdf$", "tdm-reservation": 1}]', "/x.pdf", True),
        ('[{"location": "/*.pdf$", "tdm-reservation": 1}]', "/x.pdf?y", False),
        ('[{"location": "/caf\u00e9", "tdm-reservation": 1}]', "/café", True),
        ('\ufeff{"location": "/", "tdm-reservation": 1}', "/a", True),
        ('[{"location": "/\\nAllow: /", "tdm-reservation": 1}]', "/a", False),
        ('[{"location": 3, "tdm-reservation": 1}, 7, null, {"tdm-reservation": 1}]', "/a", False),
        ('[{"location": "/"}]', "/a", False),
        ("[", "/a", False),
        ("<html>introuvable</html>", "/a", False),
        ('"texte"', "/a", False),
        ("[" * 50_000, "/a", False),
    ],
)
def test_reservations_are_read_as_the_report_says(rules: str, path: str, reserved: bool) -> None:
    url = canonical(path, "https://a.fr/")
    assert url is not None
    assert robots.reserved(rules.encode()).holds(url) is reserved


@given(st.binary(max_size=300) | st.text('[]{}",:/*$#location-tdmrsvai01\n\0é', max_size=300).map(str.encode))
def test_no_bytes_whatsoever_break_the_reader_of_reservations(body: bytes) -> None:
    assert robots.reserved(body).holds("https://a.fr/a") in (True, False)


@given(st.lists(st.fixed_dictionaries({"location": st.text(max_size=20), "tdm-reservation": st.integers(0, 2)})))
def test_no_location_whatsoever_breaks_the_reader_of_reservations(rules: list[dict[str, object]]) -> None:
    assert robots.reserved(json.dumps(rules).encode("utf-8", "replace")).holds("https://a.fr/a") in (True, False)


# --- pages -------------------------------------------------------------------------------------------------------


def read(html: str, charset: str = "utf-8") -> links.Links:
    return links.read(html.encode(charset, "replace"), charset, "Elunum")


def test_links_come_once_in_order_without_fragments_and_without_nofollow() -> None:
    html = (
        '<a href=/b>1</a><a href="/a#x">2</a><a href="/b">3</a><a href=/c rel="nofollow noopener">4</a><area href=/d>'
    )
    assert read(html).hrefs == ("/b", "/a", "/d")


def test_base_canonical_and_feeds_are_read_as_written() -> None:
    html = (
        '<base href="/dossier/"><link rel="canonical" href="/original">'
        '<link rel="alternate" type="application/rss+xml" href="/rss"><link rel="alternate" hreflang="en" href="/en">'
    )
    found = read(html)
    assert (found.base, found.canonical, found.feeds) == ("/dossier/", "/original", ("/rss",))


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "utf-16"])
def test_links_are_found_whatever_the_charset(charset: str) -> None:
    body = "<p>déjà</p><a href='/é'>é</a>".encode(charset)
    assert links.read(body, "" if charset == "utf-16" else charset, "Elunum").hrefs == ("/é",)


def test_a_wrong_charset_costs_no_link() -> None:
    assert links.read("<p>é</p><a href='/a'>".encode("cp1252"), "utf-8", "Elunum").hrefs == ("/a",)
    assert links.read(b"<a href='/a'>", "inconnu-99", "Elunum").hrefs == ("/a",)


def test_the_digest_is_of_what_is_read_not_of_what_surrounds_it() -> None:
    first = read("<title>t</title><script>var jeton=1</script><p class=a>Bonjour  le\nmonde</p>")
    second = read("<title>t</title><script>var jeton=2</script><p class=b>Bonjour le monde</p>")
    third = read("<title>u</title><p>Bonjour le monde</p>")
    assert first.text_digest == second.text_digest != third.text_digest


@pytest.mark.parametrize(
    ("value", "noindex", "nofollow"),
    [
        ("noindex", True, False),
        ("NOINDEX, NOFOLLOW", True, True),
        ("none", True, True),
        ("all", False, False),
        ("elunum: noindex", True, False),
        ("googlebot: noindex", False, False),
        ("googlebot: noindex, nofollow", False, False),
        ("unavailable_after: 25 Jun 2030 15:00:00 GMT", False, False),
        ("max-snippet: 20, noindex", True, False),
    ],
)
def test_x_robots_tag_is_read_for_us(value: str, noindex: bool, nofollow: bool) -> None:
    orders = links.orders_of_headers([("X-Robots-Tag", value)], "Elunum")
    assert (orders.noindex, orders.nofollow) == (noindex, nofollow)


@given(
    st.binary(max_size=400)
    | st.text("<a href='/x'\"=>meta name robots content base link \0é", max_size=300).map(str.encode)
)
def test_no_bytes_whatsoever_break_the_reader_of_pages(body: bytes) -> None:
    assert len(links.read(body, "", "Elunum").hrefs) <= links.MAX_LINKS


# --- sitemaps and feeds ------------------------------------------------------------------------------------------

NEWS = b"""<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
 xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> https://a.fr/1 </loc><lastmod>2026-01-02</lastmod><image:image><image:loc>https://a.fr/i.png</image:loc>
</image:image><news:news><news:title>t</news:title></news:news></url></urlset>"""


def test_a_sitemap_is_read_with_its_dates_and_without_its_images() -> None:
    assert list(sitemaps.read(NEWS)) == [
        sitemaps.Entry("https://a.fr/1", "page", datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    ]
    assert list(sitemaps.read(gzip.compress(NEWS))) == list(sitemaps.read(NEWS))
    assert list(sitemaps.read(b"https://a.fr/1\nhttps://a.fr/2\n")) == [
        sitemaps.Entry("https://a.fr/1", "page"),
        sitemaps.Entry("https://a.fr/2", "page"),
    ]


def test_an_index_leads_to_sitemaps() -> None:
    index = b"<sitemapindex><sitemap><loc>https://a.fr/s1.xml</loc></sitemap></sitemapindex>"
    assert list(sitemaps.read(index)) == [sitemaps.Entry("https://a.fr/s1.xml", "sitemap")]


def test_a_list_cut_short_gives_what_comes_before() -> None:
    rows = b"".join(b"<url><loc>https://a.fr/%d</loc></url>" % n for n in range(10))
    assert len(list(sitemaps.read(b"<urlset>" + rows[:-30]))) == 9


def test_entities_and_documents_types_are_not_expanded(tmp_path: object) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    found = list(sitemaps.read(bomb + b"<urlset><url><loc>https://a.fr/&b;&f;</loc></url></urlset>"))
    assert all("aaaa" not in entry.url and "root" not in entry.url for entry in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("Fri, 02 Jan 2026 03:04:05 GMT", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("hier", None),
        ("0001-01-01", None),
        ("9999999-01-01", None),
    ],
)
def test_dates_are_read_in_both_forms(text: str, expected: datetime | None) -> None:
    assert sitemaps.when(text) == (expected.timestamp() if expected else 0.0)


@given(st.binary(max_size=300) | st.text("<urlset><url><loc>http://a.fr/</&;[]!", max_size=300).map(str.encode))
def test_no_bytes_whatsoever_break_the_reader_of_lists(body: bytes) -> None:
    assert len(list(sitemaps.read(body))) <= sitemaps.MAX_ENTRIES


# --- scope -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://a.fr/", True),
        ("http://www.a.fr/x", True),
        ("https://b.a.fr/", False),
        ("https://aa.fr/", False),
        ("https://partage.fr/ville", True),
        ("https://partage.fr/ville/1", True),
        ("https://partage.fr/ville?x=1", True),
        ("https://partage.fr/villeneuve", False),
        ("https://partage.fr/", False),
        ("https://fichier.fr/site/page", True),
        ("https://fichier.fr/autre", False),
    ],
)
def test_only_the_listed_sites_are_in_scope(url: str, inside: bool) -> None:
    assert (url in scope("https://a.fr/", "https://partage.fr/ville", "https://fichier.fr/site/index.html")) is inside


@given(st.integers(1, 7), st.sets(st.integers(0, 999), min_size=1, max_size=50))
def test_each_host_falls_to_exactly_one_shard_with_its_twin(parts: int, numbers: set[int]) -> None:
    urls = [f"https://{'www.' * (n % 2)}h{n}.fr/" for n in numbers]
    for url in urls:
        holders = [k for k in range(1, parts + 1) if url in scope(*urls, shard=(k, parts))]
        twin = url.replace("www.", "") if "www." in url else url.replace("https://", "https://www.")
        assert len(holders) == 1
        assert twin in scope(*urls, shard=(holders[0], parts))


def test_only_accepts_either_name_of_a_host() -> None:
    assert "https://www.a.fr/x" in scope("https://www.a.fr/", "https://b.fr/", only="a.fr")
    assert "https://b.fr/" not in scope("https://www.a.fr/", "https://b.fr/", only="a.fr")
