"""Document -> the territories it is about: that of its source, and those it names.

A name alone proves little: Orange is a company, Vienne a town and a département, several communes are Sainte-Colombe.
So a name is read with what stands around it (« à », « commune de », « lycée », a département in brackets, a postal
code, a capital), and when several territories bear it, with the départements that the page or its source is about. What
remains doubtful is left out: a page missing from a filter is a lesser fault than a page that has no business there.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from elunum.geo import Geo
from elunum.model import Document, Territory
from elunum.text import fold

VERSION = "3"
"""Changes whenever a document could be given other places; all are then given theirs again."""

MAX_PLACES = 30
"""A page that names more (a directory, a list of labelled towns) keeps those it names most."""

READ_CHARS = 60_000
"""Long minutes name everything and are about their beginning."""

Owner = tuple[str, str]
"""Kind and code of a territory."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words are compared folded. What announces a commune, whatever its size:
_ANNOUNCES = _set(
    "commune communes ville villes mairie mairies maire maires municipalite municipal municipale village villages "
    "bourg bourgade habitants habitant agglomeration communal communale"
)
# What takes a name away from the commune that bears it: « rue de Paris », « lycée Montaigne », « accord de Paris ».
_TAKES = _set(
    "rue avenue boulevard bd bld av place placette quai lycee college ecole groupe hopital clinique chu eglise "
    "chapelle cathedrale basilique porte gare quartier square pont stade chemin route allee allees impasse "
    "faubourg residence chateau abbaye foret lac tour salle villa hotel theatre centre espace cite camp accord "
    "accords traite protocole convention charte declaration cour bataille ligne vallee bords rives fleuve riviere "
    "canal bassin golfe baie ile monsieur madame m mme mr dr docteur professeur president directeur directrice "
    "ministre saint sainte fondation prix plan loi groupe societe marque operateur edition editions jean pierre "
    "marie paul louis michel francois philippe alain bernard claude jacques nicolas christian daniel martine "
    "catherine isabelle sophie anne tribunal administratif judiciaire appel "
    "aeroport plaine plateau massif littoral"
)
_LOCATES = _set("a vers pres depuis")
_ARTICLES = _set("le la les l du des au aux")
_INSIDE = _set("de du des d la le les l en sur sous les lez et a aux au pres devant entre es")
_SMALL = (
    _ARTICLES | _INSIDE | _ANNOUNCES | _set("ou dans par pour avec chez depuis vers region departement metropole pays")
)
_INSTITUTIONS = _set(
    "departement departements departemental departementale departementales conseil prefecture prefectures prefet "
    "prefete sous caf cpam mdph ddt ddtm ddets sdis ddpp cci chambre academie federation mission comite agence "
    "dans"
)
_GROUPINGS = re.compile(
    r"(?:^| )(?:communaute (?:de communes|d agglomeration|urbaine)|communaute|agglomeration|metropole|eurometropole|"
    r"cc|ca|cu)"
    r"(?: (?:de|des|du|d|la|le|les|l))*$"
)
_ITS_EPCI = re.compile(
    r"(?:^| )(?:communaute (?:de communes|d agglomeration|urbaine)|metropole|eurometropole|cc|ca|cu)"
    r"(?: (?:de|des|du|d|la|le|l|les))*$"
)
"""« communauté d'agglomération de Chalon »: whatever it calls itself, the EPCI that this town leads."""
_GROUPED = re.compile(r"\b(?:agglomeration|agglo|metropole|eurometropole|communaute|intercommunalite)\b")
_BARE_EPCI = re.compile(
    r"^(?:cc|ca|cu|communaute (?:de communes|d agglomeration|urbaine)|metropole|eurometropole)(?: (?:des?|du|d))? "
)
_ARTICLE = re.compile(r"^(?:le|la|les|l) ")

# Names that are also words, companies or people: « à » is needed to believe them.
_COMMON = _set(
    "nice tours sens vienne laval lens valence auch aix fos pau angers orly meaux cannes cluses royan albi digne vence "
    "vertou agde saumur carnot descartes montaigne moulins roissy marne loire oise rhone"
)
# Names that « à » does not make towns: one writes to Orange, one belongs to the Union.
_RARE = _set(
    "orange union die mer aides contes bourg bon joue centre nord est ouest sud europe france monde nation republique "
    "liberte plan son ville eu y us"
)
_DEPARTEMENTAL = _set("departement departements departemental departementale prefecture prefet prefete")
_DIRECTIONS = frozenset({"nord", "centre", "manche"})

_WORD = re.compile(r"[^\W_]+")
_BRACKET = re.compile(r"\s*[(\[]\s*(?:([A-ZÉÈÎÔ][^()\d\[\]]{2,40}?)|(\d[\dAB]\d?))\s*[)\],]")
_POSTAL = re.compile(r"(?:^|[\s(,;:–-])(?:F-|F )?(\d{5})[\s,–-]{1,3}$")
_STOP = re.compile(r"[\n!?:;•·|]|\.(?=\s)")
_BETWEEN = re.compile(
    r"\s{0,2}(?:[,/&+–-]|et|ou|,\s?et)\s{1,2}(?:de l['’]|d['’]|du |de la |des |de |à |au |l['’]|la |le |les )?"
)
_LINE_END = re.compile(r"\s*(?:\(|\n|$)")
_SENTENCE = re.compile(r"(?:^|[\n.!?:•·|«\"“(*–—]\s*|\d\)\s*)$")


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    key: str  # folded, St and Ste in full
    capital: bool


@dataclass(slots=True)
class _Mention:
    """A name found, who may own it, and what stands around it."""

    owners: tuple[Owner, ...]
    words: int
    announced: bool  # « commune de », « ville de »
    located: bool  # « à »
    article: bool  # « la Vienne », « du Nord »
    institution: bool  # « préfet de l'Isère », « dans l'Isère »
    opening: bool  # at the start of a sentence, where every word has a capital
    whole: bool  # alone on its line, as a heading or an item is
    joined: bool  # a capitalised word touches it: part of a longer name
    departements: tuple[str, ...]  # codes given in brackets or by a postal code
    address: bool  # a postal code stands before it
    cedex: bool  # and « Cedex » after: where letters go
    nearest: str  # the word before it, articles left out
    listed: bool  # only « , », « et » or « de » between it and the name before
    start: int
    title: bool
    name: str  # as compared
    written: str  # as the page has it
    often: bool = False  # said in the title, or more than once


class Places:
    """Finds the territories of documents with a geography."""

    def __init__(self, geo: Geo) -> None:
        self._geo = geo
        self._names: dict[str, tuple[Owner, ...]] = {}
        self._longest: dict[str, int] = {}
        for key, owners in geo.names().items():
            for kind, code in owners:
                for variant in _variants(key, kind):
                    self._names[variant] = (*self._names.get(variant, ()), (kind, code))
        for key in self._names:
            first, count = key.partition(" ")[0], key.count(" ") + 1
            self._longest[first] = max(count, self._longest.get(first, 0))

    def of(self, document: Document) -> tuple[str, ...]:
        """Like ("commune:68278", "departement:68"): the source's own first, then the most mentioned."""
        own = self._geo.of_source(document.source) if document.source else None
        mentions = list(self._mentions(document.title, title=True))
        mentions += self._mentions(document.text[:READ_CHARS], title=False)
        scores = self._settle(mentions, self._home(document, own))
        if own is not None:
            scores.pop((own.kind, own.code), None)
        ranked = sorted(scores, key=lambda owner: (-scores[owner], owner))
        first = [f"{own.kind}:{own.code}"] if own is not None else []
        return tuple([*first, *(f"{kind}:{code}" for kind, code in ranked)][:MAX_PLACES])

    def _home(self, document: Document, own: Territory | None) -> str:
        """Code of the département of the source; empty for a national one."""
        if own is not None and own.departement:
            return own.departement
        return document.source.departement if document.source else ""

    # --- names and what stands around them ---------------------------------------------------------------------

    def _mentions(self, text: str, title: bool) -> Iterator[_Mention]:
        words = [_word(m, text) for m in _WORD.finditer(text)]
        at = end = 0
        while at < len(words):
            found = self._longest_name(words, at, text) if words[at].capital else None
            if found is None:
                at += 1
                continue
            first, last, owners, name = found
            listed = end > 0 and _BETWEEN.fullmatch(text[end : words[first].start]) is not None
            yield self._mention(words, first, last, owners, name, text, title, listed)
            at, end = last + 1, words[last].end

    def _longest_name(self, words: list[_Word], at: int, text: str) -> tuple[int, int, tuple[Owner, ...], str] | None:
        """First and last word of the longest name that starts at `at`, with or without the article before it."""
        found = self._name_from(words, at, at, words[at].key, text)
        before = words[at - 1]
        if at and before.key in _ARTICLES and words[at].start - before.end <= 1:
            article = {"du": "le", "au": "le", "des": "les", "aux": "les"}.get(before.key, before.key)
            with_article = self._name_from(words, at - 1, at, article, text)
            # « la Marne » is the département unless it has a capital: La Marne is a village.
            if with_article and not (
                found and (found[1] > with_article[1] or (not before.capital and _is_large(found[2])))
            ):
                return with_article
        return found

    def _name_from(
        self, words: list[_Word], first: int, at: int, head: str, text: str
    ) -> tuple[int, int, tuple[Owner, ...], str] | None:
        """The longest name whose words start at `first`, the first of them read as `head`, its capital at `at`."""
        for last in range(min(len(words), first + self._longest.get(head, 0)) - 1, at - 1, -1):
            name = " ".join((head, *(w.key for w in words[first + 1 : last + 1])))
            owners = self._names.get(name)
            if owners and _one_name(words, first, last, text, capitals=any(kind == "commune" for kind, _ in owners)):
                return first, last, owners, name
        return None

    def _mention(
        self,
        words: list[_Word],
        first: int,
        last: int,
        owners: tuple[Owner, ...],
        name: str,
        text: str,
        title: bool,
        listed: bool,
    ) -> _Mention:
        start, end = words[first].start, words[last].end
        before = [w.key for w in words[max(0, first - 5) : first] if not _STOP.search(text, w.end, start)]
        lead = [key for key in before if key not in ("de", "d", "la", "le", "les", "l", "des", "du")]
        nearest = lead[-1] if lead and lead[-1] in before[-4:] else ""
        previous, following = text[start - 1 : start], text[end : end + 2]
        kinds = {kind for kind, _ in owners}
        touched = bool(
            (first and previous in "-_" and previous)
            or (following[:1] == "-" and following[1:].isalpha())
            or (
                first
                and words[first - 1].capital
                and words[first - 1].key not in _SMALL
                and ("commune" in kinds or not text[words[first - 1].start : words[first - 1].end].isupper())
                and text[words[first - 1].end : start] in (" ", "\u00a0")
            )
            or (
                last + 1 < len(words)
                and words[last + 1].capital
                and text[end : words[last + 1].start] in (" ", "\u00a0")
            )
        )
        grouping = _GROUPINGS.search(" ".join(before)) is not None
        if "epci" in kinds and (grouping or kinds == {"epci"}):
            owners = tuple(o for o in owners if o[0] == "epci")
        elif "epci" in kinds:
            owners = tuple(o for o in owners if o[0] != "epci")
        elif "commune" in kinds and _ITS_EPCI.search(" ".join(before)):
            owners = self._led_by(owners)
        departements = list(self._bracketed(text, end))
        postal = _POSTAL.search(text[max(0, start - 12) : start])
        if postal:
            code = postal[1]
            serves = {t.code for t in self._geo.by_postal_code(code)}
            departements.append(code[:3] if code[:2] in ("97", "98") else code[:2])
            owners = tuple(o for o in owners if o[0] != "commune" or o[1] in serves) or owners
        return _Mention(
            owners=owners,
            words=last - first + 1 - (words[first].key in _ARTICLES),
            # « Chevaigné : une maison devient un espace de travail partagé » is how a title says where.
            announced=nearest in _ANNOUNCES or grouping or (title and not before and text[end : end + 3] == " : "),
            located=(bool(before) and before[-1] in _LOCATES and text[start - 2 : start] in ("à ", "À ", "s "))
            or (first < last and words[first].key in ("au", "aux")),
            article=bool(before) and before[-1] in _ARTICLES,
            institution=bool(_INSTITUTIONS & set(before[-4:])),
            whole=text[start - 1 : start] in ("", "\n") and _LINE_END.match(text, end) is not None,
            opening=_SENTENCE.search(text[max(0, start - 4) : start]) is not None,
            joined=touched or nearest in _TAKES,
            departements=tuple(departements),
            address=postal is not None,
            cedex=text[end : end + 6].lower() == " cedex",
            nearest=nearest,
            listed=listed,
            start=start,
            title=title,
            name=name,
            written=text[start:end],
        )

    def _led_by(self, owners: tuple[Owner, ...]) -> tuple[Owner, ...]:
        """The EPCI whose largest commune is one of these; these when there is none."""
        led = []
        for kind, code in owners:
            town = self._geo.territory(kind, code)
            if kind == "commune" and town is not None and town.epci:
                largest = max(self._geo.communes_of("epci", town.epci), key=lambda commune: commune.population)
                if largest.code == code:
                    led.append(("epci", town.epci))
        return tuple(led) or owners

    def _bracketed(self, text: str, end: int) -> Iterator[str]:
        """Codes of the départements in brackets after a name: « Rixheim (68) », « Rixheim (Haut-Rhin) »."""
        if found := _BRACKET.match(text, end):
            if found[2] and self._geo.departement(found[2]):
                yield found[2]
            elif found[1]:
                for territory in self._geo.named(found[1], "departement"):
                    yield territory.code

    # --- who is meant ------------------------------------------------------------------------------------------

    def _settle(self, mentions: list[_Mention], home: str) -> Counter[Owner]:
        """The owners of the names that could be settled, with how much each was mentioned."""
        around: Counter[str] = Counter()
        if home:
            around[home] += 1
        settled: dict[int, tuple[Owner, ...]] = {}
        for before, mention in pairwise(mentions):
            if mention.listed and not mention.joined:
                # « les communes de Cannes, Deauville et Nice », « à Lyon et Marseille »
                mention.announced = mention.announced or before.announced
                mention.located = mention.located or before.located
        said = Counter(mention.name for mention in mentions)
        titles = {mention.name for mention in mentions if mention.title}
        for mention in mentions:
            mention.often = said[mention.name] > 1 or mention.name in titles
        listed = self._listed(mentions)
        for n, mention in enumerate(mentions):
            if owners := self._large(mention, n in listed, home):
                settled[n] = owners
                around.update(code for kind, code in owners if kind == "departement")
        for mention in mentions:
            around.update(mention.departements)
        # First the names that have one owner, then those that need the départements so learnt.
        for alone in (True, False):
            for n, mention in enumerate(mentions):
                if n in settled:
                    continue
                owner = self._commune(mention, around, alone)
                if owner is not None:
                    settled[n] = (owner,)
                    if alone and (territory := self._geo.territory(*owner)) and territory.departement:
                        around[territory.departement] += 1
        sure = {owner for n, owners in settled.items() if not self._only_an_address(mentions[n]) for owner in owners}
        by_name: Mapping[str, set[Owner]] = _grouped(
            (mentions[n].name, o) for n, owners in settled.items() for o in owners
        )
        scores: Counter[Owner] = Counter()
        for n, mention in enumerate(mentions):
            for owner in settled.get(n, ()):
                if owner in sure:
                    scores[owner] += 3 if mention.title else 1
            if n not in settled and not mention.joined and len(by_name.get(mention.name, ())) == 1:
                for owner in by_name[mention.name] & sure:
                    scores[owner] += 3 if mention.title else 1
        return scores

    def _only_an_address(self, mention: _Mention) -> bool:
        """Ministries and head offices sit in Paris: their address says nothing of what the page is about."""
        return mention.cedex or (mention.address and (mention.departements or ("",))[-1] in ("75", "92", "93"))

    def _listed(self, mentions: list[_Mention]) -> set[int]:
        """Mentions in a list of départements: « Gard, Hérault, Somme ». One of them at least is no commune too."""
        found: set[int] = set()
        run: list[int] = []
        for n, mention in enumerate([*mentions, None]):
            kinds = {kind for kind, _ in mention.owners} if mention else set()
            if mention and "departement" in kinds and run and mention.listed and run[-1] == n - 1:
                run.append(n)
                continue
            if len(run) > 1 and any("commune" not in {kind for kind, _ in mentions[m].owners} for m in run):
                found.update(run)
            run = [n] if "departement" in kinds else []
        return found

    def _large(self, mention: _Mention, listed: bool, home: str) -> tuple[Owner, ...]:
        """The département, the région or the EPCI meant by a mention, if it is one of these."""
        kinds = {kind for kind, _ in mention.owners}
        if kinds == {"epci"}:
            return self._epci(mention, home)
        departements = tuple(o for o in mention.owners if o[0] == "departement")
        regions = tuple(o for o in mention.owners if o[0] == "region")
        if regions and not mention.joined:
            return departements + regions
        if not departements or mention.joined or (mention.located and "commune" in kinds and not listed):
            return ()
        if departements[0][1] in mention.departements and not mention.address:
            return departements  # « Mayenne (53) »
        if "commune" in kinds and not (mention.article or listed):
            return ()
        if mention.words > 1 or (listed and not mention.announced):
            return departements
        if mention.article and mention.institution and mention.name not in _DIRECTIONS:
            return departements
        if mention.article and mention.nearest in _DEPARTEMENTAL:
            return departements
        return departements if departements[0][1] == home and mention.article else ()

    def _epci(self, mention: _Mention, home: str) -> tuple[Owner, ...]:
        if mention.nearest in _TAKES and not mention.announced:
            return ()  # « aéroport de Nice Côte d'Azur »
        if not (mention.announced or _GROUPED.search(mention.name) or mention.words > 3):
            return ()
        if len(mention.owners) == 1:
            return mention.owners
        near = tuple(
            o for o in mention.owners if (t := self._geo.epci(o[1])) and t.departement in (home, *mention.departements)
        )
        return near if len(near) == 1 else ()

    def _commune(self, mention: _Mention, around: Counter[str], alone: bool) -> Owner | None:
        """The commune meant by a mention. alone: only if one commune bears the name or the page says which."""
        communes = [
            t for kind, code in mention.owners if kind == "commune" and (t := self._geo.territory("commune", code))
        ]
        if not communes:
            return None
        said = [t for t in communes if t.departement in mention.departements]
        if mention.departements and len(said) == 1:
            return "commune", said[0].code
        if mention.departements and not said and not mention.address:
            return None
        if len(communes) > 1 and not mention.written.isascii():
            # « Brécé » is not « Brecé »; a page that writes accents writes those of the name.
            communes = [t for t in communes if _spelt(t.name) == _spelt(mention.written)] or communes
        if len(communes) == 1:
            found = communes[0]
        elif alone:
            return None
        else:
            near = [t for t in communes if t.departement in around]
            if len(near) == 1:
                found = near[0]
            elif not near and communes[0].population > 30_000 and communes[0].population > 20 * communes[1].population:
                found = communes[0]
            else:
                return None
        return ("commune", found.code) if self._believed(mention, found, around) else None

    def _believed(self, mention: _Mention, commune: Territory, around: Counter[str]) -> bool:
        """Whether a name is that of the commune rather than a word, a person, a street or a company."""
        if mention.announced and not mention.joined:
            return True
        if mention.joined:
            return False
        name = _ARTICLE.sub("", mention.name)
        near = commune.departement in around
        common = name in _COMMON or any(kind == "departement" for kind, _ in mention.owners)
        if name in _RARE:
            return False
        if mention.located:
            # Small ones bear names of people and things: said once in passing, « à Mathieu » is to a person.
            return commune.population > 2_000 or near or (mention.often and name == mention.name)
        if mention.words > 2 or (mention.words == 2 and (near or commune.population > 3_000)):
            return not mention.name.startswith(("saint ", "sainte ")) or near or commune.population > 20_000
        if mention.whole and not common:
            return commune.population > 2_000 or near
        if common or mention.opening:
            return False
        return commune.population > 10_000 or (near and commune.population > 1_000)


def _grouped(pairs: Iterator[tuple[str, Owner]]) -> dict[str, set[Owner]]:
    found: dict[str, set[Owner]] = defaultdict(set)
    for key, owner in pairs:
        found[key].add(owner)
    return found


def _variants(key: str, kind: str) -> set[str]:
    """How a territory may be called: « CA Mulhouse Alsace Agglomération » also without « CA »."""
    if kind == "epci":
        bare = _BARE_EPCI.sub("", key)
        return {key, bare, _ARTICLE.sub("", bare)}
    # « Petit-Quevilly » for Le Petit-Quevilly; one word alone would be any word.
    bare = _ARTICLE.sub("", key)
    return {key, bare} if " " in bare else {key}


def _word(match: re.Match[str], text: str) -> _Word:
    raw = match.group()
    capital = raw[0].isupper()
    key = fold(raw) if not raw.isascii() else raw.lower()
    return _Word(match.start(), match.end(), {"st": "saint", "ste": "sainte"}.get(key, key), capital)


def _spelt(name: str) -> str:
    """A name with its accents, hyphens and apostrophes left out."""
    return " ".join(_WORD.findall(name.lower()))


def _is_large(owners: tuple[Owner, ...]) -> bool:
    return any(kind in ("departement", "region") for kind, _ in owners)


def _one_name(words: list[_Word], first: int, last: int, text: str, capitals: bool) -> bool:
    """Whether these words can be one name: one space, hyphen or apostrophe apart.

    capitals: every word but small ones must have one, for communes bear the names of things; « Polynésie française »
    and « Caen la mer » have only the first.
    """
    if not words[last].capital and (capitals or words[last].key in _RARE):
        return False
    for n in range(first, last):
        between = text[words[n].end : words[n + 1].start]
        if between not in (" ", "-", "'", "’", "\u00a0", "‑", " - ", "–"):  # noqa: RUF001 - as pages write it
            return False
        if capitals and n > first and not words[n].capital and words[n].key not in _INSIDE:
            return False
    return True
