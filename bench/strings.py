"""Whether anything typed gets an answer: seeded hostile strings through the parser, some of them through the engine.

    python -m bench.strings [--count 1000000] [--asked 2000] [--documents 50000]

Exit 1 at the first one that raises, with its number.

Strings are made of what is known to break engines (quotes and parentheses by thousands, operators, fields, wildcards,
bidirectional marks, combining accents, emoji, lone surrogates, null characters), of French words and of any character.
All are parsed; `--asked` of them, evenly spread, are searched and completed over a small index. With `--documents`, the
dearest texts that a thousand characters hold are then searched over so many of the documents of bench.search.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bench.search import IR, documents, paragraphs
from elunum.index import build
from elunum.model import Document, DocumentId, Search
from elunum.search.engine import Engine
from elunum.search.parse import MAX_WORDS, parse
from elunum.settings import Settings
from elunum.text import STOP_WORDS, words

MAX_CHARS = 1_000

PIECES = (
    "(", ")", "((((((((", "))))))))", "\"", "«", "»", "“", "”", "'", "’", "-", "--", "+", "^", "~", "*", "?", "\\",
    "/", "[", "]", "{", "}", "<", ">", ":", "::", "!", "&&", "||", "AND", "OR", "OU", "NOT", "TO", "IN", "site:",
    "type:", "type:pdf", "enjeu:", "commune:", "commune:Rixheim", "depuis:2024", "depuis:9999-99-99", "title:",
    "body:*", "shown:", "^1e400", "~99999999", "l'", "d’", "qu'", "l'élection", "budget", "participatif", "mairie",
    "RIXHEIM", "co-voiturage", "CCAS", "\0", "\t", "\n", "\u2028", "\u200f", "\u202e", "\u0301" * 20, "\ufeff",
    "\U0001f469\u200d\U0001f52c", "\ud800", "ﬁ", "œ", "ß", "İ", "\U0001d54a", "١٢٣", "10 000", "1e999", "%00", "%s",
    "{}", "${x}", "<script>", "a" * 300, " ", "  ", "\u00a0", "\u202f",
)  # fmt: skip


def strings(count: int, seed: int = 2026) -> Iterator[str]:
    """Hostile strings of at most MAX_CHARS characters, the same ones for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.random()
        if kind < 0.05:
            yield (chance.choice(PIECES) * MAX_CHARS)[:MAX_CHARS]
        elif kind < 0.15:
            yield "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(30)))
        else:
            joined = chance.choice(("", " "))
            length = 200 if kind > 0.98 else 8
            yield joined.join(chance.choices(PIECES, k=chance.randrange(1, length)))[:MAX_CHARS]


def dearest() -> dict[str, str]:
    """What costs an engine most, by kind: the most frequent words, as many as fit."""
    _, titles = paragraphs()
    frequent = Counter(word for title in titles for word in words(title))
    common = [word for word, _ in frequent.most_common(400)]
    telling = [word for word in common if word not in STOP_WORDS]
    pairs = [f'"{left} {right}"' for left, right in pairwise(common)]
    texts = {
        "words": " ".join(telling),
        "without a subject": "de la le les des du un une et " * 40,
        "phrases": " ".join(pairs),
        "phrases without a subject": '"de la" "de les" "la des" "du la" ' * 30,
        "alternatives": " OU ".join(telling),
        "alternative phrases": " OU ".join(pairs),
        "left out": "travail " + " ".join(f"-{word}" for word in telling[1:]),
        "operators left out": "travail " + "-type:pdf -departement:68 -date:2024 " * 27,
        "misspelt": " ".join(word[1] + word[0] + word[2:] for word in telling if len(word) > 6),
    }
    return {kind: text[:MAX_CHARS].rpartition(" ")[0] for kind, text in texts.items()}


def ask_dearest(count: int) -> None:
    """Print the CPU of each, over documents of bench.search."""
    with tempfile.TemporaryDirectory(prefix="elunum-strings-") as aside:
        settings = Settings(data=Path(aside))
        build.serve_documents(settings, documents(count))
        engine = Engine(settings)
        for kind, text in dearest().items():
            spent = []
            for _ in range(5):
                before = time.process_time()
                found = engine.search(Search(q=text))
                spent.append(time.process_time() - before)
            print(f"{kind:28} {1e3 * sorted(spent)[2]:8.1f} ms of CPU, {found.total} results")


def main() -> int:
    """Print a line of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=2_000)
    parser.add_argument("--documents", type=int, default=0)
    options = parser.parse_args()
    if options.documents and not IR.is_dir():
        print(f"--documents needs the texts of {IR}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="elunum-strings-") as aside:
        settings = Settings(data=Path(aside))
        titles = ("Le budget participatif de la mairie", "L’élection au conseil", "Covoiturage et CCAS")
        found = (Document(DocumentId(f"{n:016x}"), f"https://a.fr/{n}", t, t) for n, t in enumerate(titles))
        build.serve_documents(settings, found)
        engine = Engine(settings)
        every = max(1, options.count // max(1, options.asked))
        longest = spent = 0.0
        for number, text in enumerate(strings(options.count)):
            before = time.process_time()
            try:
                query = parse(text)
                assert sum(1 for _ in query.typed) <= MAX_WORDS
                longest = max(longest, time.process_time() - before)
                spent += time.process_time() - before
                if number % every == 0:
                    engine.search(Search(q=text))
                    engine.suggest(text)
            except Exception as error:
                print(f"string {number} ({text!r}): {type(error).__name__}: {error}", file=sys.stderr)
                return 1
    print(
        f"{options.count} strings parsed, {spent / options.count * 1e6:.0f} µs of CPU each, "
        f"{longest * 1e3:.1f} ms the longest; "
        f"{options.count // every} searched and completed: none raised"
    )
    if options.documents:
        ask_dearest(options.documents)
    return 0


if __name__ == "__main__":
    sys.exit(main())
