"""Document -> Tag: which enjeux a page is about, and the words that say so.

The référentiel is three CSV files in `elunum/index/referentiel/`: the enjeux, their services, and the expressions that
announce each. A page is read once, word by word; where several expressions start at one word the longest is kept, so
that « transport de données » is not read as « transport ». See docs/decisions/enjeux-by-rules.md for what was measured.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from elunum.errors import SettingsError
from elunum.index.learned import Weights, features, read_weights
from elunum.model import Document, DocumentId, Tag, Where, Why
from elunum.settings import Settings
from elunum.text import fold

FOLDER = Path(__file__).parent / "referentiel"

RULES = b"2"
"""Changed when the code tags otherwise from the same data; a part of the version: pages are then tagged again."""

MAX_TAGS = 4
MAX_WHY = 6
MAX_LEARNED = 2
"""Of these, words of learned weights, when there are any."""
MAX_WORDS = 800
"""Words of the body that are read, of which grammar is already left out: a page says its subject before. Reading 3,000
changes F1 by less than a point either way and doubles what the longest pages cost."""

NEAR = 12
"""A context word counts when it stands within this many words of the expression."""

# What one sighting of an expression is worth, by where it stands; a body is worth at most twice its figure, when the
# expression fills it. Tried from half to double: F1 moves by less than a point, see bench/enjeux.
FIELD_WEIGHTS: Mapping[Where, float] = {
    "title": 3.0,
    "headings": 1.0,
    "breadcrumb": 1.0,
    "url": 1.0,
    "anchor": 1.0,
    "body": 2.0,
}
USUAL_WORDS = 250
"""Words of a usual page: in one twice as long, a sighting is worth less."""

NOTHING = 6.0
"""Evidence that any page is about nothing in particular: two expressions of weight 3 in the body outweigh it."""

# Logistic curve from the square root of a share of the evidence to the chance that the tag is right; the root because
# it fits the judged pages best of six forms tried (bench/enjeux --fit refits it).
INTERCEPT, SLOPE = -3.75, 7.5
THRESHOLD = 0.5
"""At 0.45, F1 is the same on publishers' labels and 1.5 point higher on ours; but publishers agree with 42 % of the
tags between: an officer must be able to trust what is in."""

BY_OPERATOR = "décision de l’opérateur"
"""What stands in place of the words of a page when the operator gave a tag."""


# --- the référentiel ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Enjeu:
    """A policy area (`type` "enjeu", in one of four domains) or a transversal theme (`domaine` empty)."""

    slug: str
    nom: str
    type: str
    domaine: str
    description: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service that collectivités render under an enjeu."""

    enjeu: str  # slug
    nom: str


Key = tuple[str, ...]
"""The words of an expression as compared: see `Words`."""


class Context(NamedTuple):
    """Words and phrases looked for around an expression."""

    words: frozenset[str]
    phrases: tuple[Key, ...]
    text: str  # as written in the référentiel

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)

    def stands_in(self, near: list[str]) -> bool:
        """Whether one of them is among these words."""
        if not self.words.isdisjoint(near):
            return True
        for phrase in self.phrases:
            at = -1
            for _ in range(near.count(phrase[0])):
                at = near.index(phrase[0], at + 1)
                if tuple(near[at : at + len(phrase)]) == phrase:
                    return True
        return False


NO_CONTEXT = Context(frozenset(), (), "")


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One line of expressions.csv."""

    enjeu: str  # slug; empty for words of no enjeu: they hide a shorter expression, and weigh for « about nothing »
    service: str  # name; empty when the expression announces the enjeu and none of its services
    text: str
    key: Key
    weight: float  # 3: says the enjeu by itself; 2: strongly; 1: a hint; counted squared, so that hints stay hints
    requires: Context  # one of them must stand near; empty: no condition
    excludes: Context  # none of them may stand near
    line: int
    conditional: bool  # it requires or excludes something


@dataclass(frozen=True)
class Referentiel:
    """The enjeux, the services and the expressions. `version`: twelve hexadecimal digits of the hash of the data."""

    version: str
    enjeux: Mapping[str, Enjeu]
    services: tuple[Service, ...]
    expressions: tuple[Expression, ...]
    acronyms: Mapping[str, str]
    """How a page may write an acronym -> how the lines write it: « EHPAD » and « ehpad » -> « EHPAD »."""

    @property
    def names(self) -> str:
        """Hash of the slugs and names of the enjeux, which the index keeps with each page."""
        told = "\n".join(f"{enjeu.slug} {enjeu.nom}" for enjeu in self.enjeux.values())
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def domaines(self) -> tuple[str, ...]:
        """The domaines in their order; last the empty one, of the transversal themes."""
        names = dict.fromkeys(enjeu.domaine for enjeu in self.enjeux.values())
        return tuple(sorted(names, key=lambda name: name == ""))


@cache
def load_referentiel(folder: Path = FOLDER) -> Referentiel:
    """The référentiel of `folder`. Raises SettingsError naming the file, the line and the remedy."""
    referentiel, problems = _read(folder)
    if problems:
        raise SettingsError(problems[0])
    return referentiel


def _read(folder: Path) -> tuple[Referentiel, list[str]]:
    """What could be read, and what is wrong with the rest, one sentence a line."""
    problems: list[str] = []
    digest = hashlib.sha256(RULES)
    enjeux: dict[str, Enjeu] = {}
    for line, row in _rows(folder / "enjeux.csv", ("slug", "nom", "type", "domaine", "description"), digest, problems):
        if row["slug"] in enjeux:
            problems.append(f"enjeux.csv line {line}: this slug is already there; keep one of the two")
        enjeux[row["slug"]] = Enjeu(row["slug"], row["nom"], row["type"], row["domaine"], row["description"])
    services: dict[Service, None] = {}
    for line, row in _rows(folder / "services.csv", ("enjeu", "service"), digest, problems):
        if row["enjeu"] not in enjeux:
            problems.append(f"services.csv line {line}: unknown enjeu; take a slug of enjeux.csv")
        if Service(row["enjeu"], row["service"]) in services:
            problems.append(f"services.csv line {line}: this service is already there; keep one of the two")
        services[Service(row["enjeu"], row["service"])] = None
    expressions = []
    columns = ("enjeu", "service", "expression", "weight", "requires", "excludes")
    rows = list(_rows(folder / "expressions.csv", columns, digest, problems))
    acronyms = _acronyms(row[name] for _, row in rows for name in ("expression", "requires", "excludes"))
    words = Words(acronyms)
    for line, row in rows:
        problem = _fault(row, enjeux, services, words)
        if problem:
            problems.append(f"expressions.csv line {line}: {problem}")
        else:
            expressions.append(_expression(row, line, words))
    return Referentiel(digest.hexdigest()[:12], enjeux, tuple(services), tuple(expressions), acronyms), problems


def _rows(path: Path, columns: Sequence[str], digest: Any, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read as UTF-8 text ({type(error).__name__}); restore or re-encode it")
        return
    digest.update(content)
    reader = csv.DictReader(text.splitlines(), restval="", restkey="")
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        problems.append(f"{path.name}: columns missing: {', '.join(missing)}")
        return
    for row in reader:
        yield reader.line_num, {name: (row[name] or "").strip() for name in columns}


def _fault(row: dict[str, str], enjeux: Mapping[str, Enjeu], services: Mapping[Service, None], words: Words) -> str:
    """What is wrong with a line of expressions.csv, and the remedy; empty when nothing is."""
    if row["enjeu"] and row["enjeu"] not in enjeux:
        return "unknown enjeu; take a slug of enjeux.csv"
    if row["service"] and Service(row["enjeu"], row["service"]) not in services:
        return "this service is not one of this enjeu; copy its name from services.csv"
    if not words.key(row["expression"]):
        return "no word to look for; write an expression that is more than articles"
    try:
        weight = float(row["weight"] or "1")
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= 3:
        return "the weight is a number from 0 to 3"
    return ""


def _expression(row: dict[str, str], line: int, words: Words) -> Expression:
    return Expression(
        row["enjeu"],
        row["service"],
        row["expression"],
        words.key(row["expression"]),
        float(row["weight"] or "1"),
        _context(row["requires"], words),
        _context(row["excludes"], words),
        line,
        bool(row["requires"] or row["excludes"]),
    )


def _context(cell: str, words: Words) -> Context:
    if not cell:
        return NO_CONTEXT
    forms = [key for form in cell.split(";") if (key := words.key(form))]
    return Context(
        frozenset(key[0] for key in forms if len(key) == 1), tuple(key for key in forms if len(key) > 1), cell
    )


# --- words as compared -------------------------------------------------------------------------------------------

_WORD = re.compile(r"\w+")
_WORD_OR_STOP = re.compile(r"\w+|[.;:!?](?=\s)")
"""A page's words, and the ends of its sentences: « sur la place. Le village » is no « place du village »."""
_ARTICLES = {"d", "l", "de", "du", "des", "la", "le", "les", "un", "une", "ce", "cet", "cette", "ces"}
_POSSESSIVES = {
    "mon",
    "ma",
    "mes",
    "ton",
    "ta",
    "tes",
    "son",
    "sa",
    "ses",
    "notre",
    "nos",
    "votre",
    "vos",
    "leur",
    "leurs",
}
_GRAMMAR = frozenset(_ARTICLES | _POSSESSIVES)


def _acronyms(cells: Iterable[str]) -> dict[str, str]:
    """The words written with two capitals or more; those of four letters or more also in lower case, unless a cell
    writes that word so (« Pass numérique » is no « PASS »)."""
    written = {word for cell in cells for word in _WORD.findall(cell)}
    found = {word: word for word in sorted(written) if sum(c.isupper() for c in word) >= 2}
    found |= {word.lower(): word for word in list(found) if len(word) > 3 and word.lower() not in written}
    return found


def _key(word: str) -> str:
    """A word without accents, case or plural; empty for an article or a possessive; the end of a sentence as it is."""
    folded = fold(word)
    if folded in _GRAMMAR:
        return ""
    return "a" if folded in ("au", "aux") else _singular(folded)


def _singular(word: str) -> str:
    # Lighter than text.stem, which also removes gender and infinitives: that cost 0.7 point of F1 here.
    if len(word) <= 3:
        return word
    if word.endswith("aux") and not word.endswith("eaux") and len(word) > 5 and word != "travaux":
        return word[:-3] + "al"
    if word.endswith(("eux", "oux", "eaux")):
        return word[:-1]
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    # dématérialisée, dématérialisées and dématérialisé are one word once accents are gone
    return word[:-1] if word.endswith("ee") else word


class Words(dict[str, str]):
    """Words as compared, of pages and of expressions alike: accents, case, plurals, articles ignored; « au » is « à ».

    An acronym that expressions.csv writes stays as written, so that « SEL » is not « sel »; from four letters on, its
    forms as a word are the acronym too (Urssaf, ehpad). What was met is remembered: the same few thousand words make up
    most pages.
    """

    def __init__(self, acronyms: Mapping[str, str]) -> None:
        super().__init__()
        self._acronyms = acronyms

    def of(self, text: str) -> list[str]:
        """The words of a text and, between them, the ends of its sentences."""
        return [key for word in _WORD_OR_STOP.findall(text) if (key := self[word])]

    def of_url(self, url: str) -> list[str]:
        """The words of its path."""
        return self.of(unquote(urlsplit(url).path).replace("_", " "))

    def key(self, text: str) -> Key:
        """The words of an expression."""
        return tuple(word for word in self.of(text) if word[0].isalnum())

    def __missing__(self, word: str) -> str:
        lower = word.lower()
        key = next(
            (a for form in (word, lower, lower.removesuffix("s")) if (a := self._acronyms.get(form))), _key(word)
        )
        if len(self) < 200_000 and len(word) < 40:
            self[word] = key
        return key


# --- corrections by the operator ---------------------------------------------------------------------------------


class Correction(NamedTuple):
    """A line of enjeux.local.csv: for the URLs that start with `prefix`, always or never this enjeu."""

    prefix: str  # host, or host and path, or the whole address; without scheme and without www.
    enjeu: str
    decision: Literal["force", "forbid"]


def read_corrections(path: Path, referentiel: Referentiel) -> tuple[Correction, ...]:
    """The operator's corrections, the longest prefix first; none when the file is absent.

    A line is `url,enjeu,decision`: url is an address, a host or a host and a path; decision is force or forbid.
    Raises SettingsError with the line number.
    """
    if not path.exists():
        return ()
    problems: list[str] = []
    found = []
    for line, row in _rows(path, ("url", "enjeu", "decision"), hashlib.sha256(), problems):
        prefix = _bare(row["url"])
        decision = row["decision"]
        if row["enjeu"] not in referentiel.enjeux:
            raise SettingsError(f"{path.name} line {line}: unknown enjeu; `elunum enjeux check` lists them")
        if not prefix or " " in prefix:
            raise SettingsError(f"{path.name} line {line}: no address; write a host, a host and a path, or a URL")
        if decision == "force":
            found.append(Correction(prefix, row["enjeu"], "force"))
        elif decision == "forbid":
            found.append(Correction(prefix, row["enjeu"], "forbid"))
        else:
            raise SettingsError(f"{path.name} line {line}: the decision is force or forbid")
    if problems:
        raise SettingsError(problems[0])
    return tuple(sorted(found, key=lambda c: (-len(c.prefix), c)))


def _bare(url: str) -> str:
    """A URL without scheme, `www.` nor final slash; its host in lower case."""
    rest = url.strip().partition("://")[2] or url.strip()
    host, slash, path = rest.partition("/")
    return (host.lower().removeprefix("www.") + slash + path).rstrip("/")


# --- the tagger --------------------------------------------------------------------------------------------------

_Node = dict[str | None, Any]
"""Next word -> node; under "" the `_Ending` of the expressions that end here."""


@dataclass(slots=True)
class _Ending:
    """Expressions of the same words, and whether one of them looks at what stands around."""

    expressions: list[Expression]
    conditional: bool = False


@dataclass(slots=True)
class Sightings:
    """How often one expression was seen, by place."""

    title: int = 0
    headings: int = 0
    breadcrumb: int = 0
    url: int = 0
    anchor: int = 0
    body: int = 0


Reading = tuple[dict[Expression, Sightings], list[str], list[str]]
"""The expressions of a page with where they stand; the words read in its title and in its body."""


class Tagger:
    """Documents -> tags, by the expressions of a référentiel and the corrections of an operator."""

    def __init__(
        self, referentiel: Referentiel, corrections: Sequence[Correction] = (), weights: Path | None = None
    ) -> None:
        self.referentiel = referentiel
        self.corrections = corrections
        self.weights_path = weights
        self.weights: Weights | None = None
        self.version = referentiel.version
        if corrections:
            self.version += f"+{hashlib.sha256(f'{corrections}'.encode()).hexdigest()[:6]}"
        if weights is not None:
            self.weights, digest = read_weights(weights)
            self.version += f"*{digest}"
        """Changes with the data and with the corrections: what was tagged by another version is to be tagged again."""
        self._root: _Node = {}
        for expression in referentiel.expressions:
            node = self._root
            for word in expression.key:
                node = node.setdefault(word, {})
            ending = node.setdefault("", _Ending([]))
            ending.expressions.append(expression)
            ending.conditional = ending.conditional or expression.conditional
        self._words = Words(referentiel.acronyms)

    def tags(self, document: Document) -> tuple[Tag, ...]:
        """At most four tags, the surest first; none for a page about nothing. Same document, same tags."""
        found = self._tags(document, THRESHOLD)
        return tuple(islice(self._corrected(document.url, found) if self.corrections else found, MAX_TAGS))

    def words(self, text: str) -> list[str]:
        """The words of a page as compared with those of the expressions."""
        return self._words.of(text)

    def candidates(self, document: Document) -> list[Tag]:
        """Every enjeu that the document has some evidence of, the surest first, however unsure."""
        return list(self._tags(document, 0.0))

    def _tags(self, document: Document, threshold: float) -> Iterator[Tag]:
        """Tags of at least this score, the surest first; what is never asked for is not made."""
        seen, title, body = self.read(document)
        evidence: dict[str, list[tuple[float, Expression]]] = defaultdict(list)
        for expression, where in seen.items():
            evidence[expression.enjeu].append((_worth(expression, where, len(body)), expression))
        totals = {slug: sum(worth for worth, _ in found) for slug, found in evidence.items()}
        everything = sum(totals.values())
        shares = {slug: math.sqrt(total / (everything + NOTHING)) for slug, total in totals.items() if slug}
        chances = {slug: _chance(share) for slug, share in shares.items()}
        learned: dict[str, float] = {}
        if self.weights is not None:
            learned = self.weights.vector(features(title, body))
            better = self.weights.chances(learned, shares)
            chances = {slug: better.get(slug, chance) for slug, chance in chances.items()}
        for slug in sorted(chances, key=lambda slug: (-chances[slug], slug)):
            if chances[slug] < threshold:
                break
            found = sorted(evidence[slug], key=lambda pair: (-pair[0], pair[1].line))
            services: dict[str, float] = defaultdict(float)
            for worth, expression in found:
                services[expression.service] += worth
            services.pop("", None)
            service = min(services, key=lambda name: (-services[name], name), default="")
            telling = self.weights.telling(slug, learned, MAX_LEARNED) if self.weights else []
            why = [_why(expression, seen[expression]) for _, expression in found[: MAX_WHY - len(telling)]]
            yield Tag(slug, service, chances[slug], (*why, *(Why(word, "learned") for word in telling)))

    def read(self, document: Document) -> Reading:
        """The expressions of the document with where they stand; the words read in its title and in its body."""
        seen: dict[Expression, Sightings] = defaultdict(Sightings)
        title = self._words.of(document.title)
        title_words = frozenset(title)
        body = self._words.of(f"{document.description}\n{document.text}"[: MAX_WORDS * 10])[:MAX_WORDS]
        parts: list[tuple[Where, list[str]]] = [("title", title), ("body", body)]
        parts += [("headings", self._words.of(heading[:300])) for heading in document.headings[:50]]
        trail = (step for step in document.breadcrumb if step.casefold() != document.title.casefold())
        parts += [("breadcrumb", self._words.of(step)) for step in trail]
        parts += [("url", self._words.of_url(document.url))]
        parts += [("anchor", self._words.of(anchor[:200])) for anchor in document.anchors[:5]]
        for where, words in parts:
            for expression, count in Counter(self._expressions(words, title_words)).items():
                sightings = seen[expression]
                setattr(sightings, where, getattr(sightings, where) + count)
        return seen, title, body

    def _expressions(self, words: list[str], title: frozenset[str]) -> list[Expression]:
        """The expressions of `words`, in order, without overlap: the longest from each word on."""
        found: list[Expression] = []
        root = self._root
        following: list[str | None] = [*words[1:], None]  # of each word; nothing follows the last one
        end = 0
        for start, word in enumerate(words):
            if start < end or (node := root.get(word)) is None:
                continue
            best, ahead = None, start
            while node is not None:
                if ending := node.get(""):
                    best, end = ending, ahead + 1
                node = node.get(following[ahead])
                ahead += 1
            if best is None:
                continue
            if not best.conditional:
                found += best.expressions
                continue
            near = [*words[max(0, start - NEAR) : start], "\n", *words[end : end + NEAR]]
            found += [e for e in best.expressions if not e.conditional or _fits(e, near, title)]
        return found

    def _corrected(self, url: str, tags: Iterable[Tag]) -> Iterator[Tag]:
        """The tags that the operator forced, then those not forbidden."""
        bare = _bare(url)
        decided: dict[str, Correction] = {}
        for correction in self.corrections:  # the longest prefix first
            if bare == correction.prefix or bare.startswith((correction.prefix + "/", correction.prefix + "?")):
                decided.setdefault(correction.enjeu, correction)
        for slug in sorted(decided):
            if decided[slug].decision == "force":
                yield Tag(slug, "", 1.0, (Why(BY_OPERATOR, "url"),))
        yield from (tag for tag in tags if tag.slug not in decided)


def _fits(expression: Expression, near: list[str], title: frozenset[str]) -> bool:
    """Whether the context asked for is among the words near or in the title, and nothing that excludes is near."""
    if expression.excludes.stands_in(near):
        return False
    requires = expression.requires
    return not requires or not requires.words.isdisjoint(title) or requires.stands_in(near)


def _worth(expression: Expression, seen: Sightings, words: int) -> float:
    """How much one expression says of the page: more in the title; in the body, more the denser it is."""
    worth = FIELD_WEIGHTS["title"] * bool(seen.title) + FIELD_WEIGHTS["url"] * bool(seen.url)
    worth += FIELD_WEIGHTS["breadcrumb"] * bool(seen.breadcrumb) + FIELD_WEIGHTS["anchor"] * bool(seen.anchor)
    worth += FIELD_WEIGHTS["headings"] * seen.headings / (seen.headings + 1)
    worth += FIELD_WEIGHTS["body"] * seen.body / (seen.body + 0.5 + 1.5 * words / USUAL_WORDS)
    return expression.weight**2 / 3 * worth


def _chance(share: float) -> float:
    """The chance that a tag is right, from the square root of its share of all the evidence, for any enjeu or none."""
    return round(1 / (1 + math.exp(-INTERCEPT - SLOPE * share)), 4)


def _why(expression: Expression, seen: Sightings) -> Why:
    """Where the expression stands first: the title before the headings, the breadcrumb, the address, the body."""
    places: tuple[tuple[Where, int], ...] = (
        ("title", seen.title),
        ("headings", seen.headings),
        ("breadcrumb", seen.breadcrumb),
        ("url", seen.url),
        ("anchor", seen.anchor),
        ("body", seen.body),
    )
    where = next(name for name, count in places if count)
    return Why(expression.text, where, sum(count for _, count in places))


def tagger_of(settings: Settings) -> Tagger:
    """The tagger of this installation: the référentiel, corrected by `enjeux.local.csv` beside sources.csv, with the
    learned weights that the settings name."""
    referentiel = load_referentiel()
    corrections = read_corrections(settings.sources.with_name("enjeux.local.csv"), referentiel)
    return Tagger(referentiel, corrections, settings.index.enjeux_weights)


# --- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckReport:
    """What `elunum enjeux check` found."""

    version: str
    enjeux: int
    services: int
    expressions: int
    problems: tuple[str, ...]  # one sentence each, with the file and the line: these fail the check
    documents: int = 0  # read to count matches; 0 when none were given
    never: tuple[str, ...] = ()  # expressions that no document holds
    everywhere: tuple[str, ...] = ()  # expressions that more than a fifth of the documents hold

    def lines(self) -> list[str]:
        """What the command prints: problems in full, then what the documents say, shortened."""
        read = f"{self.enjeux} enjeux, {self.services} services, {self.expressions} expressions; version {self.version}"
        lines = [read, *self.problems]
        for what, found in (("in more than a fifth of them", self.everywhere), ("in none of them", self.never)):
            if found:
                lines.append(f"{len(found)} expressions are {what} ({self.documents} documents; --json lists all):")
                lines += [f"    {name}" for name in found[:20]]
        return lines


def check(documents: Iterable[Document] | None = None, folder: Path = FOLDER) -> CheckReport:
    """Faults of the référentiel; with documents, also the expressions that match none of them, or far too many."""
    referentiel, problems = _read(folder)
    first: dict[tuple[str, Key], Expression] = {}
    for e in referentiel.expressions:
        before = first.setdefault((e.enjeu, e.key), e)
        if before is not e:
            problems.append(f"expressions.csv line {e.line}: same as line {before.line}; keep one of the two")
    bare = {e.enjeu for e in referentiel.expressions}
    problems += [
        f"enjeux.csv: {slug} has no expression; add some to expressions.csv"
        for slug in referentiel.enjeux
        if slug not in bare
    ]
    tagger = Tagger(referentiel)
    problems += [
        f"expressions.csv line {e.line}: can match nothing, not even itself; correct the expression or its context"
        for e in referentiel.expressions
        if not any(e in tagger.read(page)[0] for page in _own_pages(e))
    ]
    holding = Counter[Expression]()
    read = 0
    for document in documents or ():
        read += 1
        holding.update(tagger.read(document)[0].keys())
    named = [(e, f"line {e.line}: {e.text} ({e.enjeu or 'neutral'})") for e in referentiel.expressions]
    return CheckReport(
        referentiel.version,
        len(referentiel.enjeux),
        len(referentiel.services),
        len(referentiel.expressions),
        tuple(problems),
        read,
        tuple(name for e, name in named if not holding[e]) if read else (),
        tuple(name for e, name in named if holding[e] * 5 > read) if read else (),
    )


def _own_pages(expression: Expression) -> Iterator[Document]:
    """Pages that hold nothing but the expression and, of what it requires, one form each."""
    for form in expression.requires.text.split(";"):
        yield Document(DocumentId(""), "", "", f"{expression.text}. {form}")


def tag_file(path: Path, tagger: Tagger) -> Iterator[dict[str, Any]]:
    """{id, enjeux: [{slug, service, score, why}]} for each line {id, url, title, text} of a JSONL file.

    Raises SettingsError with the number of a line that is not such an object.
    """
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                document = Document(
                    DocumentId(str(row["id"])),
                    str(row.get("url") or ""),
                    str(row.get("title") or ""),
                    str(row.get("text") or ""),
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                raise SettingsError(f"{path} line {number}: not an object with id, url, title and text") from None
            yield {"id": document.id, "enjeux": [_as_json(tag) for tag in tagger.tags(document)]}


def _as_json(tag: Tag) -> dict[str, Any]:
    why = [{"expression": w.expression, "where": w.where, "count": w.count} for w in tag.why]
    return {"slug": tag.slug, "service": tag.service, "score": tag.score, "why": why}
