"""The demo web: correct, complete, and behaving as the sites that a crawler meets."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import odfdo
import pypdfium2
import pytest
from lxml import etree
from lxml import html as lxml_html

from demo.pages import WEB, DemoError, Web, to_html
from demo.serve import DemoWeb

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = list(csv.DictReader((CHECKOUT / "demo" / "sources.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def web() -> Iterator[DemoWeb]:
    with DemoWeb() as server:
        yield server


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def get(web: DemoWeb, url: str, method: str = "GET", **headers: str) -> Reply:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(web.address, timeout=10)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers={"Host": parts.netloc, **headers})
        return Reply(connection.getresponse())
    finally:
        connection.close()


def test_every_page_answers_and_says_twice_that_it_is_an_example(web: DemoWeb) -> None:
    for page in web.web.pages.values():
        reply = get(web, page.url)
        assert reply.status == 200, page.url
        assert "Last-Modified" in reply.headers
        if reply.headers["Content-Type"].startswith("text/html"):
            text = str(lxml_html.fromstring(reply.body).text_content())
            assert text.count("rien ici n’est une information officielle") >= 2, page.url


def test_every_host_is_a_source_and_every_source_is_a_host_of_the_reserved_domain(web: DemoWeb) -> None:
    hosts = {urlsplit(row["url"]).netloc for row in SOURCES}
    assert hosts == set(web.web.sites)
    assert all(host.endswith(".example") for host in hosts)  # RFC 2606: no such site can exist
    assert [row["url"] for row in SOURCES] == sorted({row["url"] for row in SOURCES})
    names = {urlsplit(row["url"]).netloc: row["name"] for row in SOURCES if urlsplit(row["url"]).path == "/"}
    assert names == {host: web.web.sites[host].name for host in names}


def test_links_between_pages_lead_somewhere(web: DemoWeb) -> None:
    dead_on_purpose = {"http://www.bron.example/page-disparue"}
    checked = set(dead_on_purpose)
    for page in web.web.pages.values():
        reply = get(web, page.url)
        if not reply.headers["Content-Type"].startswith("text/html"):
            continue
        for href in lxml_html.fromstring(reply.body).xpath("//a/@href"):
            url = re.sub(r"PHPSESSID=\w*", "", urljoin(page.url, str(href)))
            if urlsplit(url).scheme == "http" and url not in checked:
                assert get(web, url).status in (200, 301, 410), f"{page.url} -> {url}"
                checked.add(url)


def test_an_unknown_host_or_page_gets_404(web: DemoWeb) -> None:
    assert get(web, "http://www.rixheim.test/").status == 404
    assert get(web, "http://www.rixheim.example/nulle-part").status == 404


def test_a_page_written_by_hand_is_served_with_the_notice(web: DemoWeb) -> None:
    body = get(web, "http://www.pieges.example/mal-forme.html").body.decode()
    assert "hallebarde" in body
    assert body.count("rien ici n’est une information officielle") == 2


@pytest.mark.parametrize(
    "request_line",
    ["GET //[ HTTP/1.1", "GET /%ff%00?%zz=& HTTP/1.1", "GET / HTTP/9.9", "BREW /cafe HTTP/1.1", "\x00\x01"],
)
def test_a_strange_request_gets_an_answer_or_a_closed_door_and_the_server_goes_on(
    request_line: str, web: DemoWeb
) -> None:
    with socket.create_connection(("127.0.0.1", web.server_port), timeout=10) as client:
        client.sendall(f"{request_line}\r\nHost: www.ayen.example\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer == b"" or re.search(rb" (4|5)\d\d |Error code", answer[:600])
    assert get(web, "http://www.ayen.example/").status == 200


def test_one_connection_carries_many_requests(web: DemoWeb) -> None:
    connection = http.client.HTTPConnection(web.address, timeout=10)
    connection.connect()
    first = connection.sock
    for path in ("/", "/nulle-part", "/cafe-associatif.htm"):
        connection.request("GET", path, headers={"Host": "www.ayen.example"})
        connection.getresponse().read()
    assert connection.sock is first
    connection.close()


def test_the_bare_host_leads_to_the_one_with_www_or_shows_the_same(web: DemoWeb) -> None:
    redirect = get(web, "http://rixheim.example/participation/")
    assert (redirect.status, redirect.headers["Location"]) == (301, "http://www.rixheim.example/participation/")
    assert get(web, "http://kingersheim.example/").body == get(web, "http://www.kingersheim.example/").body


def test_a_page_already_seen_is_not_sent_again(web: DemoWeb) -> None:
    first = get(web, "http://www.rixheim.example/")
    assert get(web, "http://www.rixheim.example/", **{"If-None-Match": first.headers["ETag"]}).status == 304
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    again = get(web, "http://www.rixheim.example/", **since)
    assert (again.status, again.body) == (304, b"")
    # The tag decides when both are there (RFC 9110, section 13.2.2).
    assert get(web, "http://www.rixheim.example/", **{"If-None-Match": '"other"'}, **since).status == 200


def test_bodies_are_compressed_for_those_who_accept_it(web: DemoWeb) -> None:
    plain = get(web, "http://www.rixheim.example/")
    zipped = get(web, "http://www.rixheim.example/", **{"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body


def test_head_has_the_headers_of_get_and_no_body(web: DemoWeb) -> None:
    head, whole = (get(web, "http://www.ayen.example/", method) for method in ("HEAD", "GET"))
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(whole.body))


def test_old_sites_write_their_old_encoding(web: DemoWeb) -> None:
    reply = get(web, "http://www.ayen.example/cafe-associatif.htm")
    assert reply.headers["Content-Type"] == "text/html"
    assert "L’ancienne épicerie".encode("cp1252") in reply.body
    assert b'CONTENT="text/html; charset=windows-1252"' in reply.body


def test_session_ids_change_at_every_visit_and_lead_to_the_same_page(web: DemoWeb) -> None:
    found = [get(web, "http://www.pont-audemer.example/").body for _ in range(2)]
    first, second = (set(re.findall(rb"PHPSESSID=(\w+)", body)) for body in found)
    assert len(first) == len(second) == 1
    assert first != second
    page = get(web, "http://www.pont-audemer.example/spip.php?article12&PHPSESSID=0a1b").body
    assert "délégué à la protection des données".encode("latin-1") in page


def test_requests_are_counted_by_host_path_and_status(web: DemoWeb) -> None:
    before = len(web.seen(host="www.vannes.example", path="/feed/", status=200))
    get(web, "http://www.vannes.example/feed/")
    assert len(web.seen(host="www.vannes.example", path="/feed/", status=200)) == before + 1


def test_a_changed_page_is_served_after_a_reload(tmp_path: Path) -> None:
    shutil.copytree(WEB / "www.faux-la-montagne.example", tmp_path / "www.faux-la-montagne.example")
    page = tmp_path / "www.faux-la-montagne.example" / "eau-potable.md"
    with DemoWeb(folder=tmp_path) as web:
        url = "http://www.faux-la-montagne.example/eau-potable.html"
        before = get(web, url).headers["ETag"]
        page.write_text(page.read_text(encoding="utf-8") + "\nUne phrase de plus.\n", encoding="utf-8")
        web.reload()
        after = get(web, url)
        assert b"Une phrase de plus." in after.body
        assert after.headers["ETag"] != before


def test_what_no_index_may_hold_is_known(web: DemoWeb) -> None:
    refused = {page.path for page in web.web.refused()}
    assert {"/interne/notes-de-service.html", "/brouillon-agenda/", "/documents/projet-de-liste.pdf"} <= refused
    hosts = {page.host for page in web.web.refused()}
    assert "www.refus.example" in hosts
    assert "www.ayen.example" not in hosts
    assert not [page for page in web.web.refused("AutreRobot") if page.host == "www.refus.example"]


def test_pdf_odt_and_docx_are_read_by_the_libraries_that_read_them_in_the_wild(web: DemoWeb) -> None:
    found = set()
    for page in web.web.pages.values():
        kind = page.head.get("as", "")
        if not kind:
            continue
        found.add(kind)
        body = get(web, page.url).body
        if kind == "pdf":
            document = pypdfium2.PdfDocument(body)
            texts = [sheet.get_textpage().get_text_range() for sheet in document]
            assert document.get_metadata_dict()["Title"] == page.title
            document.close()
            assert all(text.count("rien ici n’est une information officielle") == 2 for text in texts)
        else:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                assert archive.testzip() is None
                parsed = {name: etree.fromstring(archive.read(name)) for name in archive.namelist() if "xml" in name}
            said = {name: " ".join(map(str, root.itertext())) for name, root in parsed.items()}
            assert sum(text.count("rien ici n’est une information officielle") for text in said.values()) == 2
            assert page.title in said[{"odt": "meta.xml", "docx": "docProps/core.xml"}[kind]]
            texts = [said[{"odt": "content.xml", "docx": "word/document.xml"}[kind]]]
        if kind == "odt":
            assert page.title in odfdo.Document(io.BytesIO(body)).get_formatted_text()
        first, last = page.source.split()[:3], page.source.split()[-3:]
        whole = " ".join(" ".join(texts).split())
        assert " ".join(first) in whole
        assert " ".join(last) in whole
    assert found == {"pdf", "odt", "docx"}


def test_the_calendar_goes_on_for_as_long_as_its_site_says_and_stays_out_of_indexes(web: DemoWeb) -> None:
    months, url = [], "http://www.frontignan.example/agenda/2026/11"
    while url not in months:
        months.append(url)
        page = lxml_html.fromstring(get(web, url).body)
        assert page.xpath("//meta[@name='robots']/@content") == ["noindex"]
        url = urljoin(url, str((page.xpath("//a[contains(., 'suivant')]/@href") or [url])[0]))
    assert len(months) == 1 + 18
    assert months[-1] == "http://www.frontignan.example/agenda/2028/05"
    assert get(web, "http://www.frontignan.example/agenda/2028/06").status == 404


def test_print_views_and_canonical_pairs_name_the_page_they_repeat(web: DemoWeb) -> None:
    for url, original in [
        ("http://www.agen.example/france-services.html?print=1", "http://www.agen.example/france-services.html"),
        (
            "http://www.albi.example/musee-etudiants-community-managers",
            "http://www.albi.example/musee-etudiants-animateurs",
        ),
    ]:
        assert lxml_html.fromstring(get(web, url).body).xpath("//link[@rel='canonical']/@href") == [original]


def test_removed_and_missing_pages_say_so(web: DemoWeb) -> None:
    assert get(web, "http://www.bron.example/fete-du-fort-2016/").status == 410
    assert get(web, "http://www.bron.example/page-disparue").status == 404


def test_a_gzipped_sitemap_stands_behind_an_index(web: DemoWeb) -> None:
    index = get(web, "http://www.dijon.example/sitemap_index.xml").body
    found = re.search(rb"<loc>(.*?)</loc>", index)
    assert found is not None
    listed = gzip.decompress(get(web, found[1].decode()).body).decode()
    assert {page.url for page in web.web.pages_of("www.dijon.example")} == set(re.findall("<loc>(.*?)</loc>", listed))


def test_a_mistake_in_a_page_stops_the_start_and_names_the_file(tmp_path: Path) -> None:
    shutil.copytree(WEB / "www.ayen.example", tmp_path / "www.ayen.example")
    page = tmp_path / "www.ayen.example" / "autre.md"
    page.write_text("title: Autre\n\n[un lien](disparue.md)\n", encoding="utf-8")
    with pytest.raises(DemoError, match=r"autre\.md.*disparue\.md"):
        Web(tmp_path)
    page.write_text("Sans titre\n\nDu texte.\n", encoding="utf-8")
    with pytest.raises(DemoError, match=r"autre\.md"):
        Web(tmp_path)


def test_text_is_escaped_and_links_are_written() -> None:
    out = to_html("## A & B\n\n- **x** <script>\n- [y](/z)\n\n| a | b |\n| 1 | 2 |", lambda target: target)
    assert out == (
        '<h2>A &amp; B</h2>\n<ul><li><strong>x</strong> &lt;script&gt;</li><li><a href="/z">y</a></li></ul>\n'
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    )


def test_the_command_prints_the_port_it_chose() -> None:
    command = [sys.executable, str(CHECKOUT / "demo" / "serve.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            process.terminate()
    assert re.fullmatch(r"demo web on 127\.0\.0\.1:[1-9]\d*\n", line)
