"""PDF, ODT and DOCX of a page of the demo web, written by hand so that the demo needs nothing but Python."""

from __future__ import annotations

import io
import re
import textwrap
import zipfile
from datetime import date
from xml.sax.saxutils import escape

LINES_PER_PAGE = 46


def pdf(title: str, source: str, banner: str, day: date) -> bytes:
    """A PDF of A4 pages, text in Helvetica, the banner at the top and bottom of each. Source: ISO 32000-1."""
    lines = [title, ""]
    for paragraph in _paragraphs(source):
        lines += [*textwrap.wrap(paragraph, 88), ""]
    sheets = [lines[at : at + LINES_PER_PAGE] for at in range(0, len(lines), LINES_PER_PAGE)]
    font = len(sheets) * 2 + 3
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(sheets)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (fr-FR) >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(sheets)} >>".encode(),
    ]
    for number, sheet in enumerate(sheets):
        text = _text(banner, 7, 30, 815)
        text += b"".join(_text(line, 11, 60, 780 - 16 * at) for at, line in enumerate(sheet) if line)
        text += _text(banner, 7, 30, 25)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {4 + 2 * number} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    name = title.encode("utf-16-be").hex().encode()
    objects.append(b"<< /Title <FEFF%s> /CreationDate (D:%s) >>" % (name, f"{day:%Y%m%d}080000Z".encode()))
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    size, info = len(objects) + 1, len(objects)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, info, start))
    return out.getvalue()


def odt(title: str, source: str, banner: str, day: date) -> bytes:
    """An OpenDocument text, the banner as header and footer. Source: OASIS OpenDocument 1.3, parts 2 and 3."""
    mimetype = "application/vnd.oasis.opendocument.text"
    oasis = "urn:oasis:names:tc:opendocument:xmlns"
    names = {name: f"{oasis}:{name}:1.0" for name in ("office", "text", "style", "meta")}
    names["dc"] = "http://purl.org/dc/elements/1.1/"
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    body = f'<text:h text:outline-level="1">{escape(title)}</text:h>'
    body += "".join(f"<text:p>{escape(text)}</text:p>" for text in _paragraphs(source))
    around = "".join(
        f"<style:{where}><text:p>{escape(banner)}</text:p></style:{where}>" for where in ("header", "footer")
    )

    def part(root: str, content: str) -> str:
        return f'{_XML}<office:{root} {spaces} office:version="1.3">{content}</office:{root}>'

    layout = "".join(f"<style:{where}-style/>" for where in ("header", "footer"))
    parts = {
        "mimetype": mimetype,
        "content.xml": part("document-content", f"<office:body><office:text>{body}</office:text></office:body>"),
        "styles.xml": part(
            "document-styles",
            f'<office:automatic-styles><style:page-layout style:name="A4">{layout}</style:page-layout>'
            '</office:automatic-styles><office:master-styles><style:master-page style:name="Standard" '
            f'style:page-layout-name="A4">{around}</style:master-page></office:master-styles>',
        ),
        "meta.xml": part(
            "document-meta",
            f"<office:meta><dc:title>{escape(title)}</dc:title><meta:creation-date>{day}T08:00:00</meta:creation-date>"
            f"<dc:date>{day}T08:00:00</dc:date></office:meta>",
        ),
    }
    entry = '<manifest:file-entry manifest:full-path="{}" manifest:media-type="{}"/>'
    entries = entry.format("/", mimetype) + "".join(entry.format(name, "text/xml") for name in list(parts)[1:])
    manifest = f'<manifest:manifest xmlns:manifest="{oasis}:manifest:1.0" manifest:version="1.3">{entries}'
    parts["META-INF/manifest.xml"] = f"{_XML}{manifest}</manifest:manifest>"
    return _zip(parts)


def docx(title: str, source: str, banner: str, day: date) -> bytes:
    """A WordprocessingML document, the banner as header and footer. Source: ECMA-376, parts 1 and 2."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    core = "application/vnd.openxmlformats-package.core-properties+xml"

    def paragraph(text: str, style: str = "") -> str:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'

    def relations(targets: dict[str, str]) -> str:
        links = "".join(
            f'<Relationship Id="r{number}" Type="{relation}" Target="{target}"/>'
            for number, (target, relation) in enumerate(targets.items(), start=1)
        )
        return f'{_XML}<Relationships xmlns="{package}/relationships">{links}</Relationships>'

    body = paragraph(title, "Title") + "".join(paragraph(text) for text in _paragraphs(source))
    around = '<w:sectPr><w:headerReference w:type="default" r:id="r1"/><w:footerReference w:type="default" r:id="r2"/>'
    types = {
        "word/document.xml": f"{kind}.document.main+xml",
        "word/header1.xml": f"{kind}.header+xml",
        "word/footer1.xml": f"{kind}.footer+xml",
        "docProps/core.xml": core,
    }
    overrides = "".join(f'<Override PartName="/{name}" ContentType="{said}"/>' for name, said in types.items())
    when = f'<dcterms:created xsi:type="dcterms:W3CDTF">{day}T08:00:00Z</dcterms:created>'
    parts = {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{overrides}</Types>",
        "_rels/.rels": relations(
            {
                "word/document.xml": f"{office}/officeDocument",
                "docProps/core.xml": f"{package}/relationships/metadata/core-properties",
            }
        ),
        "word/_rels/document.xml.rels": relations(
            {"header1.xml": f"{office}/header", "footer1.xml": f"{office}/footer"}
        ),
        "word/document.xml": f'{_XML}<w:document xmlns:w="{word}" xmlns:r="{office}"><w:body>{body}{around}</w:sectPr>'
        "</w:body></w:document>",
        "word/header1.xml": f'{_XML}<w:hdr xmlns:w="{word}">{paragraph(banner)}</w:hdr>',
        "word/footer1.xml": f'{_XML}<w:ftr xmlns:w="{word}">{paragraph(banner)}</w:ftr>',
        "docProps/core.xml": f'{_XML}<cp:coreProperties xmlns:cp="{package}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{escape(title)}</dc:title>{when}'
        "</cp:coreProperties>",
    }
    return _zip(parts)


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def _paragraphs(source: str) -> list[str]:
    """The plain text of each block: marks of headings, lists, bold and links left out."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", source).replace("*", "")
    out: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if all(line.startswith(("- ", "|")) for line in lines):
            out += [line.strip("|").replace("|", " – ") if line.startswith("|") else f"• {line[2:]}" for line in lines]
        else:
            out.append(" ".join(lines).lstrip("#> "))
    return out


def _text(line: str, size: int, x: int, y: int) -> bytes:
    return b"BT /F1 %d Tf %d %d Td (%s) Tj ET\n" % (size, x, y, _escaped(line))


def _escaped(text: str) -> bytes:
    """A PDF literal string in the encoding of Windows, which WinAnsiEncoding names."""
    plain = text.replace("\u202f", "\u00a0").encode("cp1252", "replace")
    return re.sub(rb"([\\()])", rb"\\\1", plain)


def _zip(parts: dict[str, str]) -> bytes:
    """The parts in order, the first one stored plain as OpenDocument asks, dated alike: same parts, same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, text) in enumerate(parts.items()):
            how = zipfile.ZIP_STORED if number == 0 else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text.encode(), compress_type=how)
    return out.getvalue()
