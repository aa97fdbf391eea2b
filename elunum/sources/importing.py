"""Foreign lists merged into sources.csv, with a report of what is new, changed, gone and rejected.

What a list says fills what we did not know; it never erases an INSEE code, a Siren or a name we have. Twins (www and
bare, http and https, both spellings of an accented host) are one source, whose address is the best of them: https,
then the first one met. `sources.local.csv` is neither read nor written here: it wins whenever sources.csv is read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from elunum import geo
from elunum.errors import SourceError
from elunum.folder import write_whole
from elunum.model import Kind, Source
from elunum.sources.addresses import Rejected, clean
from elunum.sources.formats import Row, listing
from elunum.sources.joining import commune_of
from elunum.sources.register import KINDS, MAX_NAME_CHARS, Line, key_of, lines, write


@dataclass(frozen=True, slots=True)
class Rejection:
    """A value that is no source, where it stands, and why. An e-mail address is not repeated: it is somebody's."""

    file: str
    line: int
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, in counts; `rejections` holds each value refused."""

    sources: int  # in the list now
    with_insee: int
    by_kind: dict[str, int]
    read: int  # lines or objects of the files
    new: int
    changed: int
    unchanged: int
    twins: int  # second spellings of a source in the files
    gone: int  # in the list and in none of the files: kept, unless the import replaces
    rejected: dict[str, int]  # by reason
    columns: dict[str, dict[str, str]]  # file -> ours -> theirs
    rejections: tuple[Rejection, ...] = field(default=(), repr=False)


def import_files(
    paths: Iterable[Path],
    into: Path,
    columns: Mapping[str, str] | None = None,
    kind: Kind | None = None,
    replace_all: bool = False,
) -> ImportReport:
    """Merge lists into the file `into`, made if absent and replaced in one step.

    columns: our names -> theirs, over what is guessed from headers. kind: of all that the files list, where a line does
    not say; else it comes from the file's name ("communes.txt") or the host. replace_all: what no file lists leaves.
    Raises SourceError, with nothing written, when a file cannot be read.
    """
    before = _existing(into)
    merge = Merge()
    for path in paths:
        merge.add_file(path, columns, kind)
    merged = {} if replace_all else dict(before)
    for key, found in merge.found.items():
        merged[key] = complete(_filled(before[key], found) if key in before else found)
    write_whole(into, write(merged.values()))
    return merge.report(merged, before)


def _existing(path: Path) -> dict[str, Source]:
    if not path.exists():
        return {}
    found: dict[str, Source] = {}
    for line in lines(path):
        if not isinstance(line, Line):
            raise SourceError(f"{path.name} line {line.line}: {line.problem}; {line.remedy}")
        found.setdefault(key_of(line.source.url), line.source)
    return found


class Merge:
    """What the files say, key by key."""

    def __init__(self) -> None:
        self.found: dict[str, Source] = {}
        self.rejections: list[Rejection] = []
        self.columns: dict[str, dict[str, str]] = {}
        self.read = self.twins = 0
        # key -> INSEE codes of communes and codes of départements that gave it as theirs
        self._claims: dict[str, tuple[set[str], set[str]]] = {}

    def add_file(self, path: Path, columns: Mapping[str, str] | None, kind: Kind | None) -> None:
        foreign = listing(path, columns)
        if foreign.columns:
            self.columns[path.name] = dict(foreign.columns)
        usual = kind or _KIND_OF_FILE.get(geo.name_key(path.stem).split(" ")[0])
        for row in foreign.rows:
            self.read += 1
            for address in clean(row.cells.get("url", "")):
                if isinstance(address, Rejected):
                    shown = "" if address.reason == "e-mail address" else row.cells.get("url", "")[:200]
                    self.reject(path.name, row.number, address.reason, shown)
                else:
                    self.add(described(address, row, usual))

    def reject(self, file: str, line: int, reason: str, value: str = "") -> None:
        self.rejections.append(Rejection(file, line, value, reason))

    def report(self, after: Mapping[str, Source], before: Mapping[str, Source]) -> ImportReport:
        """What became of the list. after, before: by key."""
        kept = after.keys() & before.keys() & self.found.keys()
        unchanged = sum(after[key] == before[key] for key in kept)
        return ImportReport(
            sources=len(after),
            with_insee=sum(bool(source.insee) for source in after.values()),
            by_kind=dict(sorted(Counter(source.kind for source in after.values()).items())),
            read=self.read,
            new=len(after.keys() - before.keys()),
            changed=len(kept) - unchanged,
            unchanged=unchanged,
            twins=self.twins,
            gone=len(before.keys() - self.found.keys()),
            rejected=dict(Counter(rejection.reason for rejection in self.rejections).most_common()),
            columns=self.columns,
            rejections=tuple(self.rejections),
        )

    def add(self, source: Source) -> None:
        key = key_of(source.url)
        twin = self.found.get(key)
        communes, departements = self._claims.setdefault(key, (set(), set()))
        communes |= {source.insee} - {""}
        departements |= {source.departement} - {""}
        if twin is None:
            self.found[key] = source
            return
        self.twins += 1
        if len(communes) > 1:
            # One site that two communes call theirs: it is their grouping's, or nobody's in particular.
            self.found[key] = _shared(twin, communes)
        elif len(departements) > 1:
            # One national site that every local branch gives as its own.
            self.found[key] = Source(twin.url, key, twin.kind if twin.kind == source.kind else "autre")
        elif source.insee and not twin.insee:
            self.found[key] = _filled(source, twin)
        else:
            self.found[key] = _filled(twin, source)


def _shared(one: Source, insee: Iterable[str]) -> Source:
    """The source of several communes: their EPCI's when they have the same."""
    known = geo.load()
    groupings = {commune.epci for code in insee if (commune := known.commune(code)) is not None}
    grouping = known.epci(groupings.pop()) if len(groupings) == 1 else None
    if grouping is None:
        return Source(one.url, key_of(one.url), "autre")
    return Source(one.url, grouping.name, "epci", siren=grouping.code)


def _filled(known: Source, said: Source) -> Source:
    """What we know, completed by what is said; the better address of the two."""
    better = said.url.startswith("https:") and known.url.startswith("http:")
    specific = known.kind == "autre" and said.kind != "autre"
    host = key_of(known.url)
    return Source(
        url=said.url if better else known.url,
        name=said.name if known.name == host and said.name != host else known.name,
        kind=said.kind if specific else known.kind,
        insee=known.insee or (said.insee if said.kind == known.kind or specific else ""),
        siren=known.siren or said.siren,
        departement=known.departement or said.departement,
        region=known.region or said.region,
    )


def described(url: str, row: Row, usual: Kind | None) -> Source:
    """The source at an address, with what its row says about it, codes mended and checked."""
    cells = row.cells
    insee = _insee(cells.get("insee", ""))
    siren = _siren(cells.get("siren", ""))
    name = " ".join(cells.get("name", "").split())[:MAX_NAME_CHARS].lstrip("=+@-\t ")
    kind = _kind(cells.get("kind", "")) or usual
    if kind is None:
        kind = "commune" if insee and not cells.get("kind") else kind_of_host(key_of(url)) or "autre"
    departement = _code(cells.get("departement", ""), _DEPARTEMENT, 2)
    if insee and kind != "commune":
        # Where a service stands: the tax office of a town is not the town.
        insee, departement = "", departement or geo.departement_of(insee)
    return Source(
        url=url,
        name=name or key_of(url),
        kind=kind,
        insee=insee,
        siren=siren,
        departement=departement,
        region=_code(cells.get("region", ""), _REGION, 2),
    )


def complete(source: Source) -> Source:
    """The source joined to the geography: the commune its host names, then names and codes of what contains it."""
    known = geo.load()
    insee = source.insee
    if not insee and source.kind in ("commune", "autre"):
        host, _, path = key_of(source.url).partition("/")
        insee = (commune_of(host) or "") if not path else ""
    if insee and (commune := known.commune(insee)) is not None:
        host = key_of(source.url)
        return replace(
            source,
            insee=commune.code,
            kind="commune" if source.kind == "autre" else source.kind,
            name=commune.name if source.name == host and source.kind in ("commune", "autre") else source.name,
            departement=commune.departement,
            region=commune.region,
        )
    grouping = known.epci(source.siren) if source.siren else None
    if grouping is not None and source.kind == "epci":
        host = key_of(source.url)
        return replace(
            source,
            insee=insee,
            name=grouping.name if source.name == host else source.name,
            departement=source.departement or grouping.departement,
            region=source.region or grouping.region,
        )
    if source.kind == "departement" and not source.departement:
        source = replace(source, departement=_departement_of_host(key_of(source.url).partition("/")[0]))
    if source.departement and not source.region and (departement := known.departement(source.departement)) is not None:
        return replace(source, region=departement.region)
    return source


_KIND_OF_FILE: dict[str, Kind] = {
    "communes": "commune",
    "mairies": "commune",
    "epci": "epci",
    "intercommunalites": "epci",
    "conseils": "departement",
    "departements": "departement",
    "regions": "region",
    "prefectures": "etat",
    "ministeres": "etat",
    "ambassades": "etat",
    "gouvfr": "etat",
    "academies": "education",
    "universites": "education",
    "etablissements": "education",
    "hopitaux": "sante",
    "aphp": "sante",
    "sante": "sante",
    "mdph": "sante",
    "centre": "operateur",
    "operateurs": "operateur",
    "associations": "association",
}

_KIND_WORDS: tuple[tuple[str, Kind], ...] = (
    # First match wins: "conseil départemental" before "conseil", "communauté de communes" before "commune".
    (r"communaute|metropole|epci|\bcc\b|\bca\b|\bcu\b|intercommunal|syndicat", "epci"),
    (r"prefecture|ministere|etat\b|ambassade|consulat|gouvernement|\bdd|\bdr[a-z]+\b|administration centrale", "etat"),
    (r"conseil departemental|departement|\bcg\b|\bcd\b", "departement"),
    (r"conseil regional|region\b|\bcr\b", "region"),
    (r"mairie|commune|ville|municipal", "commune"),
    (r"hopital|hospital|sante\b|\bchu?\b|\bars\b|\behpad|mdph", "sante"),
    (r"universite|ecole|college|lycee|academie|rectorat|education|enseignement|crous", "education"),
    (r"association", "association"),
    (r"operateur|agence|etablissement public|chambre|\bcdg\b|centre de gestion|office", "operateur"),
)

_KIND_OF_HOST: tuple[tuple[str, Kind], ...] = (
    (r"(?:^|\.)(?:ac-[a-z-]+|education)\.(?:gouv\.)?fr$|^(?:lycee|college|clg|lyc|ecole|univ|u-)[.-]", "education"),
    (r"^univ-|\.univ-|\.ent\.|e-lyco\.fr$|^(?:crous|iut|insa|iae)[.-]|^lycee|^college|enseignement", "education"),
    (
        r"(?:^|\.)ars\.sante\.fr$|\.sante\.fr$|\.aphp\.fr$|^(?:ch|chu|chru|hopital|hopitaux|ehpad|mdph\d*|clinique)[.-]",
        "sante",
    ),
    (r"^(?:ars|mdph|ehpad)[\w-]*\.|^hopital|\bsante\.gouv\.fr$", "sante"),
    (r"\.gouv\.fr$|(?:^|\.)ambafrance|^(?:www\.)?consulfrance", "etat"),
    (
        r"^(?:cc|ca|cu|cdc|comcom|communaute|agglo|grand)-|^cc[a-z]{3,}\.|communaute|agglo|comcom|metropole|intercom",
        "epci",
    ),
    (r"^cdg[\d-]|(?:^|\.)(?:cci|cma|chambre)[.-]|chambre-?agri|(?:^|\.)sdis\d|^sdis|^caf\.|adil\d", "operateur"),
    (r"^(?:mairie|ville|commune|village)", "commune"),
)
_COMPILED_WORDS = [(re.compile(pattern), kind) for pattern, kind in _KIND_WORDS]
_COMPILED_HOSTS = [(re.compile(pattern), kind) for pattern, kind in _KIND_OF_HOST]


def _kind(text: str) -> Kind | None:
    word = geo.name_key(text)
    exact: Kind | None = next((kind for kind in KINDS if kind == word), None)
    return exact or next((kind for pattern, kind in _COMPILED_WORDS if pattern.search(word)), None)


def kind_of_host(key: str) -> Kind | None:
    """What a host says of its publisher: `cc-` an EPCI, `.gouv.fr` the state; None when it says nothing."""
    host = key.partition("/")[0]
    return next((kind for pattern, kind in _COMPILED_HOSTS if pattern.search(host)), None)


_COUNCIL = re.compile(
    r"^(?:www\.)?(?:(?:cg|cd|departement|conseil-?general|le-?departement|la|le|l)-?)?([a-z0-9-]+)\.[a-z]+$"
)


def _departement_of_host(host: str) -> str:
    """The code of the département whose council a host names: "cg74.fr", "departement13.fr", "haute-saone.fr"."""
    match = _COUNCIL.match(host)
    if match is None:
        return ""
    known = geo.load()
    rest = match[1].upper().lstrip("-")
    if (departement := known.departement(rest)) is not None:
        return departement.code
    compact = rest.lower().replace("-", "")
    found = [t.code for t in known.all("departement") if geo.name_key(t.name).replace(" ", "") == compact]
    return found[0] if len(found) == 1 else ""


_DEPARTEMENT = re.compile(r"\d\d|2[AB]|9[78]\d", re.ASCII)
_REGION = re.compile(r"\d\d", re.ASCII)


def _insee(text: str) -> str:
    """A code of a commune of today or yesterday; "1001" gets back the zero a spreadsheet took; "" for any other."""
    code = re.sub(r"\.0$|\s", "", text).upper()
    if code.isdigit() and len(code) == 4:
        code = "0" + code
    commune = geo.load().commune(code) if len(code) == 5 else None
    return commune.code if commune is not None else ""


def _siren(text: str) -> str:
    digits = re.sub(r"\.0$|[\s.]", "", text)
    return digits[:9] if digits.isascii() and digits.isdigit() and len(digits) in (9, 14) else ""


def _code(text: str, pattern: re.Pattern[str], width: int) -> str:
    code = text.strip().upper()
    if code.isdigit() and len(code) == 1:
        code = code.zfill(width)
    return code if pattern.fullmatch(code) else ""
