"""Files -> what they say: PDF, the texts and tables of office suites, plain text. Pure; run inside workers.

Nothing is followed: no macro, link, entity or embedded object. An office file is a zip of XML: only the parts that hold
text are unpacked, each up to a limit, and XML is read without entities. A PDF is read by PDFium, in C++: a page that
crashes it takes a worker with it and nothing else.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import IO, Literal

import lxml.etree
import pypdfium2

from elunum.index.dates import announced_date, parse_date
from elunum.model import DocumentType, Skipped

MAX_PAGES = 300
"""Pages of a PDF that are read; longer ones say what they are about before."""

MAX_PART_BYTES = 50_000_000
"""Unpacked size of one part of an office file: a real one of 5 MB stays far below, a bomb does not."""

MAX_CHARS = 500_000
MAX_CELLS = 100_000

FileType = Literal["pdf", "odt", "docx", "ods", "xlsx", "txt"]


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says."""

    type: DocumentType
    lines: tuple[str, ...]  # paragraphs, or rows of tables with « | » between cells; none for a scanned PDF
    title: str = ""  # of its metadata or its first line; empty when neither is one
    headings: tuple[str, ...] = ()
    date: date | None = None
    pages: int = 0


class _Full(Exception):  # noqa: N818 - not an error: enough was read
    pass


# --- PDF ---------------------------------------------------------------------------------------------------------


def read_pdf(body: bytes) -> FileText | Skipped:
    """The text of a PDF. One without text (a scan) has no lines, and its page count."""
    try:
        pdf = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        return Skipped("encrypted PDF" if "password" in str(error).lower() else "broken PDF")
    try:
        pages = len(pdf)
        meta = pdf.get_metadata_dict()
        lines: list[str] = []
        length = 0
        first_page = ""
        for number in range(min(pages, MAX_PAGES)):
            try:
                page = pdf[number]
                text = page.get_textpage().get_text_range()
            except pypdfium2.PdfiumError:
                continue  # a broken page among good ones
            first_page = first_page or text[:3000]
            lines += paragraphs(text)
            length += len(text)
            if length > MAX_CHARS:
                break
    finally:
        pdf.close()
    when = announced_date(first_page) or _pdf_date(meta.get("CreationDate", "")) or _pdf_date(meta.get("ModDate", ""))
    return FileText("pdf", tuple(lines), _good_title(meta.get("Title", "")) or _first_title(lines), (), when, pages)


def paragraphs(text: str) -> Iterator[str]:
    """Lines of a page set back into paragraphs, words cut at the end of a line mended."""
    text = re.sub(r"[\ufffe\x02\u00ad]\s*\n?\s*", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r"(?<=[a-zà-öø-ÿ])-\n(?=[a-zà-öø-ÿ])", "", text)
    current = ""
    for raw in text.split("\n"):
        line = " ".join(raw.split())
        # A short line, or one that ends a sentence, ends its paragraph; so does what looks like an item or a title.
        if current and (
            not line or len(current.rpartition("\n")[2]) < 45 or _ENDS.search(current) or _ITEM.match(line)
        ):
            yield current.replace("\n", " ")
            current = ""
        current = f"{current}\n{line}" if current else line
    if current:
        yield current.replace("\n", " ")


_ENDS = re.compile(r"[.!?:;]\W?$")
_ITEM = re.compile(r"[-–•▪●◦*➢]|\d+[.)]\s|[A-Z][a-z]*\s?\d+\s?[:.–-]")


def _pdf_date(text: str) -> date | None:
    return parse_date(text.removeprefix("D:")[:8])


_FILE_NAME = re.compile(r"\.(?:docx?|odt|pdf|xlsx?|ods|pptx?|indd|qxd|rtf|pub|pmd)\b", re.I)
_PROGRAM = re.compile(
    r"^(?:microsoft (?:word|powerpoint|excel|office)[\w ]*|présentation powerpoint|diapositive \d+)\s*-?\s*"
)
_NO_TITLE = re.compile(r"(?:sans[ -]?titre|untitled|document|titre|title|mise en page|page)?[\W\d]*", re.I)


def _good_title(text: str) -> str:
    """A title of metadata, when it is one: programs leave names of files and of themselves there."""
    text = " ".join(text.split())
    stripped = (
        _PROGRAM.sub("", text) if text.isascii() and text.islower() else re.sub(_PROGRAM.pattern, "", text, flags=re.I)
    )
    if _FILE_NAME.search(stripped) or _NO_TITLE.fullmatch(stripped) or len(stripped) < 5 or "\ufffd" in stripped:
        return ""
    return stripped[:300] if " " in stripped else ""


def _first_title(lines: Iterable[str]) -> str:
    """The first line that could be a title: some letters, not a whole paragraph."""
    for line in list(lines)[:12]:
        if 8 <= len(line) <= 150 and sum(c.isalpha() for c in line) > len(line) / 2:
            return line
    return ""


# --- office suites -----------------------------------------------------------------------------------------------

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_CREATED = frozenset({"creation-date", "created"})
_CHANGED = frozenset({"date", "modified"})


def read_office(body: bytes) -> FileText | Skipped:
    """The text of an ODT, DOCX, ODS or XLSX file; Skipped for any other zip."""
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            names = set(archive.namelist())
            if "word/document.xml" in names:
                return _office(archive, "docx", "docProps/core.xml", _docx)
            if "xl/workbook.xml" in names:
                return _office(archive, "xlsx", "docProps/core.xml", _xlsx)
            kind = _read(archive, "mimetype")[:100].strip() if "mimetype" in names else b""
            if kind == b"application/vnd.oasis.opendocument.text":
                return _office(archive, "odt", "meta.xml", _odt)
            if kind == b"application/vnd.oasis.opendocument.spreadsheet":
                return _office(archive, "ods", "meta.xml", _ods)
    except _TooLarge:
        return Skipped("office file too large")
    except (zipfile.BadZipFile, zlib.error, lxml.etree.LxmlError, KeyError, EOFError, OSError, ValueError):
        return Skipped("broken office file")
    except (RuntimeError, NotImplementedError):  # what zipfile says of encryption and of rare compressions
        return Skipped("encrypted office file")
    return Skipped("not a text")


class _TooLarge(Exception):  # noqa: N818 - caught above
    pass


@dataclass(slots=True)
class _Found:
    """Lines and headings so far; raises _Full when there is enough."""

    lines: list[str]
    headings: list[str]
    length: int = 0
    cells: int = 0

    def add(self, text: str, heading: bool = False) -> None:
        line = " ".join(text.split())
        if not line:
            return
        self.lines.append(line)
        if heading:
            self.headings.append(line[:200])
        self.length += len(line)
        if self.length > MAX_CHARS:
            raise _Full

    def row(self, cells: list[str]) -> None:
        self.cells += len(cells)
        self.add(" | ".join(cell for cell in (" ".join(c.split()) for c in cells) if cell))
        if self.cells > MAX_CELLS:
            raise _Full


def _office(
    archive: zipfile.ZipFile, type: DocumentType, about: str, read: Callable[[zipfile.ZipFile, _Found], None]
) -> FileText:
    found = _Found([], [])
    with suppress(_Full):
        read(archive, found)
    title, when = "", None
    if about in archive.namelist():
        for element in _elements(BytesIO(_read(archive, about))):
            name = lxml.etree.QName(element).localname
            if element.tag == f"{_DC}title":
                title = _good_title(element.text or "")
            elif name in _CHANGED or (name in _CREATED and when is None):
                when = parse_date(element.text or "") or when
    first = "" if type in ("ods", "xlsx") else _first_title(found.headings) or _first_title(found.lines)
    return FileText(type, tuple(found.lines), title or first, tuple(found.headings[:100]), when)


def _elements(file: IO[bytes], tags: Sequence[str] = ("{*}*",)) -> Iterator[lxml.etree._Element]:
    """Elements with one of these tags as they end, read without entities, without DTD, without network."""
    for _, element in lxml.etree.iterparse(
        file, tag=tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    ):
        yield element


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with _open(archive, name) as file:
        content = file.read(MAX_PART_BYTES + 1)
    if len(content) > MAX_PART_BYTES:
        raise _TooLarge
    return content


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A part of the file. Raises _TooLarge when it says it is."""
    info = archive.getinfo(name)
    if info.file_size > MAX_PART_BYTES:
        raise _TooLarge
    return archive.open(info)  # zipfile stops at the size that was announced


def _ends(archive: zipfile.ZipFile, name: str, *tags: str) -> Iterator[lxml.etree._Element]:
    """Elements of a part with one of these tags, as they end. Whoever used one empties it, so memory stays flat."""
    with _open(archive, name) as file:
        yield from _elements(file, tags)


def _docx(archive: zipfile.ZipFile, found: _Found) -> None:
    row: list[str] = []
    for element in _ends(archive, "word/document.xml", f"{_WORD}p", f"{_WORD}tc", f"{_WORD}tr"):
        if element.tag == f"{_WORD}tc":
            row.append(_word_text(element))
            element.clear()
        elif element.tag == f"{_WORD}tr":
            if not any(True for _ in element.iterancestors(f"{_WORD}tc")):
                found.row(row)
            row = []
            element.clear()
        elif not any(True for _ in element.iterancestors(f"{_WORD}tc")):
            style = element.find(f"{_WORD}pPr/{_WORD}pStyle")
            name = "" if style is None else (style.get(f"{_WORD}val") or "").lower()
            found.add(_word_text(element), heading=name.startswith(("heading", "titre", "title")))
            element.clear()


def _word_text(element: lxml.etree._Element) -> str:
    pieces = []
    for part in element.iter(f"{_WORD}t", f"{_WORD}tab", f"{_WORD}br", f"{_WORD}p"):
        pieces.append(part.text or "" if part.tag == f"{_WORD}t" else " ")
    return "".join(pieces)


def _odt(archive: zipfile.ZipFile, found: _Found) -> None:
    row: list[str] = []
    tags = (f"{_TEXT}p", f"{_TEXT}h", f"{_TABLE}table-cell", f"{_TABLE}table-row")
    for element in _ends(archive, "content.xml", *tags):
        if element.tag == f"{_TABLE}table-cell":
            row.append(_odf_text(element))
            element.clear(keep_tail=True)
        elif element.tag == f"{_TABLE}table-row":
            found.row(row)
            row = []
            element.clear(keep_tail=True)
        elif not any(True for _ in element.iterancestors(f"{_TABLE}table-cell", f"{_TEXT}p")):
            found.add(_odf_text(element), heading=element.tag == f"{_TEXT}h")
            element.clear(keep_tail=True)


def _ods(archive: zipfile.ZipFile, found: _Found) -> None:
    row: list[str] = []
    for element in _ends(archive, "content.xml", f"{_TABLE}table-cell", f"{_TABLE}table-row", f"{_TABLE}table"):
        if element.tag == f"{_TABLE}table-cell":
            row.append(_odf_text(element))
        elif element.tag == f"{_TABLE}table-row":
            found.row(row)
            row = []
        element.clear(keep_tail=True)


def _odf_text(element: lxml.etree._Element) -> str:
    pieces = []
    for part in element.iter():
        if part.tag in (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break", f"{_TEXT}p"):
            pieces.append(" ")
        if part.text and isinstance(part.tag, str):
            pieces.append(part.text)
        if part.tail and part is not element:
            pieces.append(part.tail)
    return "".join(pieces)


def _xlsx(archive: zipfile.ZipFile, found: _Found) -> None:
    shared: list[str] = []
    if "xl/sharedStrings.xml" in archive.namelist():
        for element in _ends(archive, "xl/sharedStrings.xml", f"{_SHEET}si"):
            shared.append("".join(t.text or "" for t in element.iter(f"{_SHEET}t")))
            element.clear()
    sheets = sorted(
        (name for name in archive.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)),
        key=lambda name: int(re.sub(r"\D", "", name)),
    )
    for name in sheets:
        row: list[str] = []
        for element in _ends(archive, name, f"{_SHEET}c", f"{_SHEET}row"):
            if element.tag == f"{_SHEET}row":
                found.row(row)
                row = []
            else:
                row.append(_cell(element, shared))
            element.clear()


def _cell(element: lxml.etree._Element, shared: list[str]) -> str:
    """The text of a cell: a shared or an inline string, or a number as it is stored."""
    if element.get("t") == "inlineStr":
        return "".join(t.text or "" for t in element.iter(f"{_SHEET}t"))
    value = element.findtext(f"{_SHEET}v") or ""
    if element.get("t") == "s":
        return shared[int(value)] if value.isdigit() and int(value) < len(shared) else ""
    return value


# --- plain text --------------------------------------------------------------------------------------------------


def read_text(text: str) -> FileText:
    """The lines of a plain text."""
    lines = [line for line in (" ".join(raw.split()) for raw in text[:MAX_CHARS].split("\n")) if line]
    return FileText("txt", tuple(lines), _first_title(lines), (), announced_date(text[:3000]))
