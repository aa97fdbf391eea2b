"""PDF, ODT and DOCX of a page of the demo web, written by hand so that the demo needs nothing but Python."""

from __future__ import annotations

import io
import re
import textwrap
import zipfile
from xml.sax.saxutils import escape

LINES_PER_PAGE = 46


def pdf(title: str, source: str, banner: str) -> bytes:
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
        text = _text(banner, 7, 30, 815) + _text(banner, 7, 30, 25)
        text += b"".join(_text(line, 11, 60, 780 - 16 * at) for at, line in enumerate(sheet) if line)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {4 + 2 * number} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    objects.append(b"<< /Title <FEFF%s> >>" % title.encode("utf-16-be").hex().encode())
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


def odt(title: str, source: str, banner: str) -> bytes:
    """An OpenDocument text. Source: OASIS OpenDocument 1.3, part 3."""
    names = {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "dc": "http://purl.org/dc/elements/1.1/",
    }
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    paragraphs = "".join(f"<text:p>{escape(text)}</text:p>" for text in (*_paragraphs(source), banner))
    heading = f'<text:h text:outline-level="1">{escape(title)}</text:h>'
    mimetype = "application/vnd.oasis.opendocument.text"
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    entry = '<manifest:file-entry manifest:full-path="{}" manifest:media-type="{}"/>'
    parts = {
        "mimetype": mimetype,
        "content.xml": f'{declaration}<office:document-content {spaces} office:version="1.3"><office:body><office:text>'
        f"<text:p>{escape(banner)}</text:p>{heading}{paragraphs}</office:text></office:body></office:document-content>",
        "meta.xml": f'{declaration}<office:document-meta {spaces} office:version="1.3"><office:meta>'
        f"<dc:title>{escape(title)}</dc:title></office:meta></office:document-meta>",
        "META-INF/manifest.xml": f'{declaration}<manifest:manifest xmlns:manifest="{space}" manifest:version="1.3">'
        + entry.format("/", mimetype)
        + entry.format("content.xml", "text/xml")
        + entry.format("meta.xml", "text/xml")
        + "</manifest:manifest>",
    }
    return _zip(parts)


def docx(title: str, source: str, banner: str) -> bytes:
    """A WordprocessingML document. Source: ECMA-376, part 1."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    core = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"

    def paragraph(text: str, style: str = "") -> str:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'

    body = paragraph(banner) + paragraph(title, "Title")
    body += "".join(paragraph(text) for text in (*_paragraphs(source), banner))
    parts = {
        "[Content_Types].xml": f'{declaration}<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{types}"/>'
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>',
        "_rels/.rels": f'{declaration}<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{package}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        "word/document.xml": f'{declaration}<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
        "docProps/core.xml": f'{declaration}<cp:coreProperties xmlns:cp="{core}" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(title)}</dc:title></cp:coreProperties>',
    }
    return _zip(parts)


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
