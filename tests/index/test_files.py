"""PDF and office files -> what they say. Every file is made here."""

from __future__ import annotations

import random
import socket
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.index.extract import extract
from elunum.index.files import FileText, paragraphs, read_office, read_pdf
from elunum.index.update import update
from elunum.model import Document, Skipped
from elunum.sources import SourceList
from tests.index.web import archived, html, page, stored


def pdf(pages: list[list[str]], info: str = "", trailer: str = "") -> bytes:
    """A PDF with these lines of text on its pages; a page without lines is blank, as a scan is to a reader of text."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< {info} >>",
    ]
    kids = []
    for lines in pages:
        text = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        content = f"BT /F1 12 Tf 50 800 Td {text} ET"
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    out = BytesIO(b"%PDF-1.4\n")
    out.seek(0, 2)
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252"))
    start = out.tell()
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    out.write(f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{rows}".encode())
    out.write(f"trailer << /Size {len(places) + 1} /Root 1 0 R /Info 4 0 R {trailer} >>\n".encode())
    out.write(f"startxref\n{start}\n%%EOF".encode())
    return out.getvalue()


def office(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip of these parts."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
)
CORE = (
    '<p xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:t="http://purl.org/dc/terms/"><dc:title>{}</dc:title>'
    "<t:created>2024-01-05T10:00:00Z</t:created><t:modified>2024-03-12T10:00:00Z</t:modified></p>"
)


def docx(body: str, title: str = "") -> bytes:
    return office(
        {
            "word/document.xml": f"<w:document {W}>{body}</w:document>",
            "docProps/core.xml": CORE.format(title),
        }
    )


def odt(body: str, kind: str = "text", head: str = "") -> bytes:
    return office(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"{head}<office:document-content {ODF}>{body}</office:document-content>",
            "meta.xml": f"<office:document-meta {ODF}><dc:date>2024-03-12T10:00:00</dc:date></office:document-meta>",
        }
    )


def read(body: bytes) -> FileText:
    found = read_pdf(body) if body.startswith(b"%PDF") else read_office(body)
    assert isinstance(found, FileText), found
    return found


def test_a_pdf_gives_its_text_title_date_and_pages() -> None:
    body = pdf(
        [
            ["Compte rendu du conseil municipal", "Séance du 12 mars 2024", "Le conseil adopte le budget."],
            ["Page deux."],
        ],
        info="/Title (Microsoft Word - CR 2024.doc) /CreationDate (D:20240320101010+01'00')",
    )
    found = read(body)
    assert found.title == "Compte rendu du conseil municipal"
    assert (found.date, found.pages, found.type) == (date(2024, 3, 12), 2, "pdf")
    assert "Le conseil adopte le budget." in " ".join(found.lines)
    assert "Page deux." in found.lines


def test_the_metadata_of_a_pdf_are_believed_when_they_say_something() -> None:
    found = read(pdf([["Texte"]], info="/Title (Plan local d'urbanisme) /CreationDate (D:20230607)"))
    assert (found.title, found.date) == ("Plan local d'urbanisme", date(2023, 6, 7))


def test_the_lines_of_a_pdf_become_paragraphs_and_cut_words_are_mended() -> None:
    text = (
        "Article 1\r\nLe budget participa-\r\ntif est reconduit pour trois ans, dans les conditions\r\n"
        "que fixe le règlement.\r\n- un item\r\n- un autre"
    )
    assert list(paragraphs(text)) == [
        "Article 1",
        "Le budget participatif est reconduit pour trois ans, dans les conditions que fixe le règlement.",
        "- un item",
        "- un autre",
    ]


def test_a_docx_gives_paragraphs_headings_tables_and_metadata() -> None:
    body = (
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Règlement intérieur</w:t></w:r></w:p>'
        "<w:p><w:r><w:t>La salle se </w:t></w:r><w:r><w:t>loue.</w:t><w:br/><w:t>Ensuite</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Samedi</w:t></w:r></w:p></w:tc>"
        "<w:tc><w:p><w:r><w:t>120 €</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    found = read(docx(body))
    assert found.lines == ("Règlement intérieur", "La salle se loue. Ensuite", "Samedi | 120 €")
    assert (found.headings, found.title) == (("Règlement intérieur",), "Règlement intérieur")
    assert (found.type, found.date) == ("docx", date(2024, 3, 12))
    assert read(docx(body, "Salle des fêtes")).title == "Salle des fêtes"


def test_an_odt_gives_paragraphs_headings_and_tables() -> None:
    found = read(
        odt(
            "<office:text><text:h>Vie associative</text:h><text:p>Les<text:s/>clubs"
            " <text:span>ouvrent</text:span>.</text:p>"
            "<table:table><table:table-row><table:table-cell><text:p>Judo</text:p></table:table-cell>"
            "<table:table-cell><text:p>Lundi</text:p></table:table-cell></table:table-row></table:table></office:text>"
        )
    )
    assert found.lines == ("Vie associative", "Les clubs ouvrent.", "Judo | Lundi")
    assert (found.headings, found.type, found.date) == (("Vie associative",), "odt", date(2024, 3, 12))


def test_sheets_are_rows_of_text() -> None:
    ods = odt(
        "<office:spreadsheet><table:table><table:table-row><table:table-cell><text:p>Commune</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="16000"/>'
        "<table:table-cell><text:p>Voix</text:p></table:table-cell>"
        "</table:table-row></table:table></office:spreadsheet>",
        "spreadsheet",
    )
    assert (read(ods).lines, read(ods).type) == (("Commune | Voix",), "ods")
    xlsx = office(
        {
            "xl/workbook.xml": f"<workbook {S}/>",
            "xl/sharedStrings.xml": f"<sst {S}><si><t>Dépense</t></si><si><t>Voi</t><t>rie</t></si></sst>",
            "xl/worksheets/sheet1.xml": f'<worksheet {S}><sheetData><row><c t="s"><v>0</v></c><c><v>12.5</v></c>'
            '<c t="s"><v>99</v></c></row></sheetData></worksheet>',
            "xl/worksheets/sheet2.xml": f'<worksheet {S}><sheetData><row><c t="inlineStr"><is><t>Note</t></is></c>'
            '<c t="s"><v>1</v></c></row></sheetData></worksheet>',
        }
    )
    assert (read(xlsx).lines, read(xlsx).type) == (("Dépense | 12.5", "Note | Voirie"), "xlsx")


def test_plain_text_is_read_in_its_own_characters() -> None:
    found = extract(page("https://a.fr/lisez-moi.txt", "Règlement du marché\nUn".encode("cp1252"), type="text/plain"))
    assert isinstance(found, Document)
    assert (found.type, found.title, found.text) == ("txt", "Règlement du marché", "Règlement du marché\nUn")


# --- hostile files -----------------------------------------------------------------------------------------------

BOMB = b"<w:t>" + b"a" * 60_000_000 + b"</w:t>"
ENTITIES = (
    "<!DOCTYPE a ["
    + '<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            pdf(
                [["a"]],
                trailer="/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (0123456789abcdef0123456789abcdef) "
                "/U (0123456789abcdef0123456789abcdef) >> /ID [(a) (b)]",
            ),
            "encrypted PDF",
        ),
        (b"%PDF-1.7\nrien de plus", "broken PDF"),
        (b"%PDF-1.4\n" + bytes(range(256)) * 50, "broken PDF"),
        (office({"word/document.xml": BOMB}), "office file too large"),
        (office({"word/document.xml": "<w:document"}), "broken office file"),
        (docx("<w:p/>")[:-30], "broken office file"),
        (b"PK\x03\x04" + b"\0" * 500, "broken office file"),
        (office({"autre.bin": "x"}), "not a text"),
        (office({"mimetype": "application/epub+zip"}), "not a text"),
    ],
)
def test_hostile_files_are_counted_by_reason(body: bytes, reason: str) -> None:
    assert extract(page("https://a.fr/f", body, type="application/octet-stream")) == Skipped(reason)


def test_an_encrypted_office_file_is_counted_as_such() -> None:
    body = bytearray(docx("<w:p><w:r><w:t>Secret</w:t></w:r></w:p>"))
    for at in range(len(body) - 4):
        if body[at : at + 4] == b"PK\x03\x04":
            body[at + 6] |= 1
        elif body[at : at + 4] == b"PK\x01\x02":
            body[at + 8] |= 1
    assert read_office(bytes(body)) == Skipped("encrypted office file")


def test_a_zip_that_lies_about_sizes_is_not_unpacked_beyond_them() -> None:
    body = office({"word/document.xml": b"<w:document " + W.encode() + b">" + b" " * 1_000_000})
    small = zlib.crc32(b"x").to_bytes(4, "little")
    assert small not in body  # nothing to compare with by chance
    lied = body.replace((1_000_000 + 13 + len(W)).to_bytes(4, "little"), (64).to_bytes(4, "little"))
    assert lied != body
    assert isinstance(read_office(lied), Skipped)


def test_entities_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Secret de la machine")
    bodies = [
        odt("<office:text><text:p>Avant &a11; après</text:p></office:text>", head=ENTITIES),
        odt(
            "<office:text><text:p>Avant &x; après</text:p></office:text>",
            head=f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
        ),
    ]
    for body in bodies:
        found = read_office(body)
        assert isinstance(found, FileText | Skipped)
        said = " ".join(found.lines) if isinstance(found, FileText) else ""
        assert "Secret" not in said
        assert "lol" not in said
        assert len(said) < 100


def test_macros_and_links_of_an_office_file_are_neither_read_nor_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("Secret de la machine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        away = f"http://127.0.0.1:{server.getsockname()[1]}/modele.dotm"
        relations = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="r1" Type="attachedTemplate" TargetMode="External" Target="{away}"/>'
            f'<Relationship Id="r2" Type="subDocument" TargetMode="External" Target="{secret.as_uri()}"/>'
            "</Relationships>"
        )
        word = office(
            {
                "word/document.xml": f'<!DOCTYPE d SYSTEM "{away}"><w:document {W} xmlns:r="r" xmlns:i="i">'
                '<w:p><w:r><w:t>Bonjour</w:t></w:r></w:p><w:subDoc r:id="r2"/><w:altChunk r:id="r2"/></w:document>',
                "word/_rels/document.xml.rels": relations,
                "word/settings.xml": relations,
                "word/vbaProject.bin": b"Sub AutoOpen() Secret",
            }
        )
        text = odt(
            f'<office:scripts xmlns:xlink="x"><script xlink:href="{away}">Secret</script></office:scripts><office:text>'
            f'<text:section xmlns:xlink="x"><text:section-source xlink:href="{secret.as_uri()}"/></text:section>'
            "<text:p>Bonjour</text:p></office:text>",
            head=f'<!DOCTYPE d SYSTEM "{away}">',
        )
        for body in (word, text):
            assert read(body).lines == ("Bonjour",)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_300_000_cells_are_cut_not_refused() -> None:
    cells = "<c><v>1</v></c>" * 300
    rows = f"<row>{cells}</row>" * 1_000
    sheet = f"<worksheet {S}><sheetData>{rows}</sheetData></worksheet>"
    found = read(office({"xl/workbook.xml": f"<workbook {S}/>", "xl/worksheets/sheet1.xml": sheet}))
    assert 100 < len(found.lines) < 1_000


@given(st.integers(0, 2**32), st.sampled_from(["pdf", "docx", "odt"]))
def test_a_file_that_rots_is_read_or_counted(seed: int, kind: str) -> None:
    whole = {
        "pdf": pdf([["Bonjour"]]),
        "docx": docx("<w:p><w:r><w:t>Bonjour</w:t></w:r></w:p>"),
        "odt": odt("<office:text><text:p>Bonjour</text:p></office:text>"),
    }[kind]
    draw = random.Random(seed)
    body = bytearray(whole)
    for _ in range(draw.randint(1, 20)):
        body[draw.randrange(4, len(body))] = draw.randrange(256)
    found = extract(page("https://a.fr/f", bytes(body[: draw.randint(10, len(body))]), type="application/pdf"))
    assert isinstance(found, Document | Skipped)


# --- in the store ------------------------------------------------------------------------------------------------


def test_a_scan_is_counted_and_found_by_the_text_of_its_link(tmp_path: Path) -> None:
    link = '<a href="/cr.pdf">Compte rendu du conseil du 12 mars</a>'
    pages = [
        page("https://a.fr/", html("Publications", around=link)),
        page("https://a.fr/cr.pdf", pdf([[], []]), type="application/pdf"),
    ]
    settings = archived(tmp_path, pages)
    report = update(settings, SourceList([]))
    assert report.scanned == 1
    scan = stored(settings)["https://a.fr/cr.pdf"]
    assert (scan.title, scan.text, scan.pages, scan.type) == ("Compte rendu du conseil du 12 mars", "", 2, "pdf")
    assert replace(scan, title="cr").headings == ("cr",)
