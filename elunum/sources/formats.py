"""Lists of sites as others publish them -> rows with our column names.

Plain addresses one a line, CSV with commas, semicolons, tabs or bars, JSON (a list of objects, an object that holds
one, or one object a line), in UTF-8, UTF-16 or cp1252, with or without a BOM. Columns are found by their names, or
mapped by hand; what was guessed is part of the answer so that it can be shown.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elunum.errors import SourceError
from elunum.geo import name_key
from elunum.sources.addresses import mended
from elunum.sources.register import HEADER

MAX_FILE_BYTES = 500_000_000

_CALLED = {
    # Ours -> what it is called elsewhere (as name_key spells it), best first.
    "url": (
        "url site_internet site_web siteweb url_site adresse_site adresse_du_site adresse_web site_officiel website "
        "site_url url_mairie mairie_site lien url_officielle domaine domain host hote internet web site adresse"
    ),
    "name": (
        "name nom libelle intitule denomination raison_sociale nom_officiel nom_complet organisme nom_organisme "
        "nom_commune commune nom_epci collectivite nom_collectivite title titre"
    ),
    "kind": "kind type_service_local pivot type categorie nature type_organisme famille",
    "insee": (
        "insee code_insee codeinsee code_insee_commune insee_commune code_commune codgeo code_geo cog com depcom "
        "codecommune code_commune_insee"
    ),
    "siren": "siren siren_epci n_siren numero_siren code_siren siret",
    "departement": "departement code_departement dep codedepartement num_departement",
    "region": "region code_region reg coderegion",
}
_COLUMN_NAMES = {ours: [name.replace("_", " ") for name in theirs.split()] for ours, theirs in _CALLED.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a foreign list, its columns named as ours, its text as it was but for mojibake."""

    number: int  # of the line in a text, of the object in JSON; from 1
    cells: Mapping[str, str]  # some of HEADER


@dataclass(frozen=True, slots=True)
class Listing:
    """A foreign list: its rows, and how its columns were understood."""

    rows: Iterable[Row]
    columns: Mapping[str, str] = field(default_factory=dict)  # ours -> theirs; empty for plain addresses


def listing(path: Path, columns: Mapping[str, str] | None = None) -> Listing:
    """The rows of a list. columns: ours -> theirs, over what would be guessed.

    Raises SourceError when the file cannot be read, or no column holds addresses.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path}: more than {MAX_FILE_BYTES:,} bytes; split it")
        text = decoded(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; correct the path") from None
    if "\x00" in text:
        raise SourceError(f"{path}: not a text; give a CSV, a JSON or a list of addresses")
    start = text.lstrip()[:1]
    if start in ("[", "{"):
        return _json(path, text, columns or {})
    return _table(path, text, columns or {}) or Listing(_plain(text))


def decoded(content: bytes) -> str:
    """The text of a file, by its BOM, as UTF-8, else as cp1252 (its five holes read as Latin-1)."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "".join(_one(byte) for byte in content) if b"\x81" in content else content.decode("cp1252", "replace")


def _one(byte: int) -> str:
    try:
        return bytes((byte,)).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


def _plain(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Row(number, {"url": line})


def _table(path: Path, text: str, columns: Mapping[str, str]) -> Listing | None:
    """A table with a header; None when the text is a bare list of addresses."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t|", key=first.count)
    if delimiter not in first and not columns and not _guess([first], {}).get("url"):
        return None
    header = next(csv.reader([first], delimiter=delimiter))
    if not columns and any(re.search(r"https?://|www\.", cell) for cell in header):
        return None
    found = _guess(header, columns)
    _must_hold_addresses(path, header, found)
    return Listing(_cells(path, text, delimiter, found), found)


def _cells(path: Path, text: str, delimiter: str, found: Mapping[str, str]) -> Iterator[Row]:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    places: dict[str, int] | None = None
    start = 1
    try:
        for cells in table:
            number, start = start, table.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if places is None:
                places = {ours: cells.index(theirs) for ours, theirs in found.items()}
                continue
            yield Row(number, {ours: _cell(cells[at]) for ours, at in places.items() if at < len(cells)})
    except csv.Error as error:
        raise SourceError(f"{path.name} line {table.line_num}: {error}; correct the quotation marks") from None


def _cell(text: str) -> str:
    """The text of a cell; the national directory's CSV puts JSON in some."""
    text = mended(text).strip()
    if text.startswith(("[{", '["')):
        try:
            return _text(json.loads(text)).strip()
        except (json.JSONDecodeError, RecursionError):
            return text
    return text


def _json(path: Path, text: str, columns: Mapping[str, str]) -> Listing:
    objects = _objects(path, text)
    names = list(dict.fromkeys(name for each in objects[:1000] for name in each))
    found = _guess(names, columns)
    _must_hold_addresses(path, names, found)
    rows = (
        Row(number, {ours: mended(_text(each.get(theirs))).strip() for ours, theirs in found.items()})
        for number, each in enumerate(objects, 1)
    )
    return Listing(rows, found)


def _objects(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        whole = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        try:
            whole = [json.loads(line) for line in text.split("\n") if line.strip()]
        except (json.JSONDecodeError, RecursionError):
            where = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise SourceError(f"{path.name}{where}: not JSON; correct it or give a CSV") from None
    if isinstance(whole, dict):
        # {"service": [...]}, {"type": "FeatureCollection", "features": [...]}: the longest list is the list.
        whole = max((value for value in whole.values() if isinstance(value, list)), key=len, default=[whole])
    objects = [each for each in whole if isinstance(each, dict)] if isinstance(whole, list) else []
    return [{**each, **each["properties"]} if isinstance(each.get("properties"), dict) else each for each in objects]


def _text(value: Any, depth: int = 0) -> str:
    """What a JSON value says: lists and the {"valeur": ...} of the national directory are opened."""
    if depth > 5 or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return next((text for each in value if (text := _text(each, depth + 1))), "")
    for name in ("valeur", "value", "url", "type_service_local"):
        if name in value and (text := _text(value[name], depth + 1)):
            return text
    return ""


def _guess(header: Iterable[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Ours -> theirs. A column serves once; a mapping by hand comes first."""
    theirs = {name_key(name): name for name in reversed([*header])}
    found = {}
    for ours, wanted in columns.items():
        if ours not in HEADER:
            raise SourceError(f"column {ours!r} is not one of ours; map one of {', '.join(HEADER)}")
        if name_key(wanted) not in theirs:
            raise SourceError(f"no column is named {wanted!r}; there are {', '.join(sorted(theirs.values()))[:500]}")
        found[ours] = theirs.pop(name_key(wanted))
    for ours, candidates in _COLUMN_NAMES.items():
        if ours not in found and (name := next((c for c in candidates if c in theirs), None)):
            found[ours] = theirs.pop(name)
    if "url" not in found and "name" in found and "http status" in theirs:
        found["url"] = found.pop("name")  # DINUM's domains.csv: a name there is a domain name
    return found


def _must_hold_addresses(path: Path, header: Iterable[str], found: Mapping[str, str]) -> None:
    if "url" not in found:
        raise SourceError(
            f"{path.name}: no column is known to hold addresses among {', '.join(header)[:500]};"
            " say which with --column url=NAME"
        )
