"""How spelling is corrected: right words that are left alone, misspelt ones that are mended.

    python -m bench.spelling          exit 1 when a share is on the wrong side of its floor

Four measures on each set of judged queries, with the vocabulary of its pages:

- real queries: offers that change a word into another one; tests/judged/misspelt.csv says which words are misspelt;
- right words that no page has: a word of the pages is taken out of the vocabulary with all its forms, then asked for;
- misspelt words: a word of the pages is misspelt by one slip of those below, drawn with a seed;
- expressions written as they are heard: what is proposed for real queries and, as right text that these pages do not
  hold, for the titles of the other sets; tests/judged/heard.csv has expressions so written, and what they mean.

Needs ../shared (or ELUNUM_SHARED); exits with 2 where it is absent.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.relevance import CHECKOUT, DATA, SETS
from elunum import geo
from elunum.index.build import VOCABULARY_CHARS, VOCABULARY_WORDS
from elunum.search import heard
from elunum.search.evaluate import read_queries
from elunum.search.parse import Phrase, parse
from elunum.search.places import places
from elunum.search.spelling import Spelling
from elunum.text import STOP_WORDS, fold, forms, stem, stems, words

SEED = 20
SAMPLE = 1_500
"""Words of each kind, a set."""

BATCH = 150
"""Right words taken out of a vocabulary at once: few of them are each other's neighbours."""

SEEN = 10
"""A word that the pages have so often is right; it is misspelt when they have it three times as often."""

MOST_WRONG = {"queries": 0.001, "absent": 0.006, "heard": 0.0001}
LEAST_RIGHT = {"queries": 0.8, "slips": 0.94, "heard": 0.6}
"""Floors, as shares."""

JUDGED = CHECKOUT / "tests" / "judged" / "misspelt.csv"
HEARD = CHECKOUT / "tests" / "judged" / "heard.csv"


# --- slips -------------------------------------------------------------------------------------------------------

_KEYS = ("azertyuiop", "qsdfghjklm", "wxcvbn")
_AT = {letter: (x + row / 2, row) for row, letters in enumerate(_KEYS) for x, letter in enumerate(letters)}
NEIGHBOURS = {
    one: [b for b in sorted(_AT) if b != one and all(abs(p - q) <= 1 for p, q in zip(_AT[one], _AT[b], strict=True))]
    for one in _AT
}
"""Keys that touch on a French keyboard."""

SOUNDS = (
    ("ph", "f"), ("qu", "k"), ("eau", "o"), ("au", "o"), ("ai", "e"), ("ei", "e"), ("ain", "in"), ("en", "an"),
    ("an", "en"), ("em", "am"), ("c(?=[eiy])", "s"), ("ss", "c"), ("s(?=[eiy])", "c"), ("ti(?=on)", "ssi"),
    ("y", "i"), ("th", "t"), ("rh", "r"), ("ch(?=[rl])", "k"), ("c(?=[aou])", "k"), ("^h", ""), ("g(?=[ei])", "j"),
    ("ge(?=[ao])", "j"), ("z", "s"), ("x$", "s"), ("^(?=[aeiou])", "l"), ("^(?=[aeiou])", "d"),
)  # fmt: skip
"""What is written for what sounds alike; last, an article whose apostrophe is missing."""


def _missing(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + word[at + 1 :]


def _doubled(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + word[at] + word[at:]


def _single(word: str, at: int, rng: random.Random) -> str:
    doubles = [i for i in range(1, len(word)) if word[i] == word[i - 1]]
    return _missing(word, rng.choice(doubles), rng) if doubles else word


def _crossed(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _beside(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + rng.choice(NEIGHBOURS[word[at]]) + word[at + 1 :]


def _sound(word: str, at: int, rng: random.Random) -> str:
    found = [(match.span(), other) for one, other in SOUNDS for match in re.finditer(one, word)]
    if not found:
        return word
    (start, end), other = rng.choice(found)
    return word[:start] + other + word[end:]


SLIPS: Mapping[str, Callable[[str, int, random.Random], str]] = {
    "missing letter": _missing,
    "doubled letter": _doubled,
    "double made single": _single,
    "letters crossed": _crossed,
    "key beside": _beside,
    "sound": _sound,
}
"""Ways to misspell a folded word at a letter that is neither the first nor the last. An accent left out is none: words
are compared without."""


# --- measures ----------------------------------------------------------------------------------------------------


def rows_of(documents: Path) -> Iterator[dict[str, Any]]:
    opened = gzip.open if documents.suffix == ".gz" else open
    with opened(documents, "rt", encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def vocabulary_of(documents: Path) -> Counter[str]:
    """The words that an index of these documents would keep, most frequent first."""
    found: Counter[str] = Counter()
    for row in rows_of(documents):
        written = forms(f"{row['title']} {row['text'][:VOCABULARY_CHARS]}")
        found.update(word for word in written if 3 <= len(word) <= 40 and word.isalpha())
    return Counter(dict(found.most_common(VOCABULARY_WORDS)))


def of_queries(spelling: Spelling, typed: Iterable[str], meant: Mapping[str, str]) -> tuple[list[str], int, int]:
    """The queries offered another word than was meant, how many words are misspelt, and how many of these are mended
    or find the same pages as they are."""
    wrong, misspelt, mended = [], 0, 0
    for text in typed:
        better = spelling.corrected(text, parse(text).words)
        for word in words(text):
            if word in meant and word.isalpha():
                misspelt += 1
                stems_ = {stem(w) for w in words(better or text)}
                mended += all(stem(w) in stems_ for w in words(meant[word]))
        kept = {stem(meant_word) for w in words(text) for meant_word in (w, *words(meant.get(w, "")))}
        if better is not None and any(stem(w) not in kept for w in words(better)):
            wrong.append(f"{text} -> {better}")
    return wrong, misspelt, mended


def of_absent(vocabulary: Counter[str], right: Sequence[str]) -> list[str]:
    """Of these right words, those that would be changed into another one if no page had them, nor another form."""
    wrong = []
    for start in range(0, len(right), BATCH):
        out = right[start : start + BATCH]
        gone = {stem(word) for word in out}
        spelling = Spelling(Counter({form: n for form, n in vocabulary.items() if stem(fold(form)) not in gone}))
        for word in out:
            if (better := spelling.correction(word)) is not None:
                wrong.append(f"{word} -> {better}")
    return wrong


def of_misspelt(
    vocabulary: Counter[str], spelling: Spelling, right: Sequence[str], rng: random.Random
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """For each slip, how many of these words it misspells and how many are mended; and the others.

    What another word of the pages is written like is not counted: nobody could tell.
    """
    known = {stem(fold(form)) for form in vocabulary}
    found, lost = dict.fromkeys(SLIPS, (0, 0)), []
    for word in right:
        slip = rng.choice(list(SLIPS))
        typed = SLIPS[slip](word, rng.randrange(1, len(word) - 1), rng)
        if stem(typed) in known:
            continue
        better = spelling.correction(typed)
        mended = better is not None and stem(fold(better)) == stem(word)
        found[slip] = (found[slip][0] + 1, found[slip][1] + mended)
        if not mended:
            lost.append(f"{typed} -> {better} ({word})")
    return found, lost


def of_heard(
    typed: Iterable[str], pages: Callable[[Phrase], int], meant: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """What is proposed in place of expressions written as they are heard: of what was meant, and of anything else."""
    right: list[str] = []
    wrong: list[str] = []
    for text in typed:
        query = parse(text)
        if other := heard.meant(text, query.words, places(query.typed, geo.load()), pages):
            kept = {*stems(text), *stems(meant.get(fold(text), ""))}
            kept |= {stem_ for word in words(text) for stem_ in stems(meant.get(word, ""))}
            said = {stem(word) for word in words(other) if word not in STOP_WORDS}
            (right if said <= kept else wrong).append(f"{text} -> {other}")
    return right, wrong


def pages_of(documents: Path) -> Callable[[Phrase], int]:
    """How many of these documents hold a phrase, in any form of its words."""
    texts = [" ".join(["", *stems(row["title"]), "", *stems(row["text"]), ""]) for row in rows_of(documents)]

    def pages(phrase: Phrase) -> int:
        sought = f" {_said(phrase)} "
        return sum(sought in text for text in texts)

    return pages


def _said(phrase: Phrase) -> str:
    return " ".join(word.stem for word in phrase.words)


def main() -> int:
    """Print the measures of each set."""
    if not DATA.is_dir():
        print(f"bench.spelling needs the judgments of {DATA}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    with JUDGED.open(encoding="utf-8", newline="") as file:
        meant = {row["misspelt"]: row["meant"] for row in csv.DictReader(file)}
    with HEARD.open(encoding="utf-8", newline="") as file:
        said = {fold(row["typed"]): row["meant"] for row in csv.DictReader(file)}
    titles = {
        name: {row["title"] for row in rows_of(folder / documents)} for name, (folder, documents, _, _) in SETS.items()
    }
    queries = offers = misspelt = mended = absent = absent_wrong = slips = slips_mended = 0
    texts = heard_wrong = 0
    for name, (folder, documents, _, _) in SETS.items():
        vocabulary = vocabulary_of(folder / documents)
        spelling = Spelling(vocabulary)
        typed = list(read_queries(folder / "queries.tsv").values())
        wrong, of_set, mended_of_set = of_queries(spelling, typed, meant)
        print(
            f"{name:13} {len(wrong)} wrong offers in {len(typed)} queries; {mended_of_set} of {of_set} misspelt mended"
        )
        queries, offers = queries + len(typed), offers + len(wrong)
        misspelt, mended = misspelt + of_set, mended + mended_of_set
        elsewhere = sorted(set().union(*(titles[other] for other in titles if other != name)))
        proposed, proposed_wrong = of_heard([*typed, *elsewhere], pages_of(folder / documents), said | meant)
        texts, heard_wrong = texts + len(typed) + len(elsewhere), heard_wrong + len(proposed_wrong)
        print(
            f"{'':13} {len(proposed)} right and {len(proposed_wrong)} wrong proposals of what is heard, titles included"
        )
        counted: Counter[str] = Counter()
        for form, count in vocabulary.items():
            counted[fold(form)] += count
        rng = random.Random(SEED)
        right = sorted(word for word, count in counted.items() if count >= SEEN and len(word) > 3 and word.isascii())
        sure = [word for word in right if counted[word] >= 3 * SEEN and len(word) > 4]
        if len(sure) < SAMPLE:
            continue
        changed = of_absent(vocabulary, rng.sample(right, SAMPLE))
        found, lost = of_misspelt(vocabulary, spelling, rng.sample(sure, SAMPLE), rng)
        absent, absent_wrong = absent + SAMPLE, absent_wrong + len(changed)
        slips, slips_mended = (
            slips + sum(n for n, _ in found.values()),
            slips_mended + sum(m for _, m in found.values()),
        )
        print(f"{'':13} {len(changed)} of {SAMPLE} right words that no page has are changed into another")
        print(f"{'':13} misspelt words mended: " + ", ".join(f"{k} {m}/{n}" for k, (n, m) in found.items()))
        if "--show" in sys.argv:
            print(*wrong, *changed, *lost, *proposed, *proposed_wrong, sep="\n")
    typed_so = {" ".join(stems(text)) for text in said}
    mended_heard, _ = of_heard(said, lambda phrase: 0 if _said(phrase) in typed_so else 2, said)
    shares = {
        "queries offered a wrong word": (offers / queries, -MOST_WRONG["queries"]),
        "misspelt words of queries mended": (mended / misspelt, LEAST_RIGHT["queries"]),
        "right words, absent, changed": (absent_wrong / absent, -MOST_WRONG["absent"]),
        "slips mended": (slips_mended / slips, LEAST_RIGHT["slips"]),
        "right texts proposed another": (heard_wrong / texts, -MOST_WRONG["heard"]),
        "expressions heard that are proposed": (len(mended_heard) / len(said), LEAST_RIGHT["heard"]),
    }
    fallen = 0
    for what, (share, floor) in shares.items():
        print(f"{what}: {share:.4f} (at {'most' if floor < 0 else 'least'} {abs(floor)})")
        fallen += share > -floor if floor < 0 else share < floor
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
