"""How often a host joined to a commune by its name is right: `python -m scripts.measure_joining`.

The truth is sources.csv: town-hall sites whose INSEE code comes from the national directory, not their name. Prints
one line a mistake, then right, wrong, unmatched. Exit 1 when more than one in a thousand is wrong.
"""

from __future__ import annotations

import sys
from collections import Counter

from elunum import geo
from elunum.settings import CHECKOUT
from elunum.sources import key_of, read
from elunum.sources.joining import commune_of

MAX_WRONG = 0.001


def main() -> int:
    known = geo.load()
    found: Counter[str] = Counter()
    for source in read(CHECKOUT / "sources.csv"):
        host, _, path = key_of(source.url).partition("/")
        if source.kind != "commune" or not source.insee or path:
            continue
        joined = commune_of(host)
        verdict = "unmatched" if joined is None else "right" if joined == source.insee else "wrong"
        found[verdict] += 1
        if verdict == "wrong":
            guess = known.commune(joined or "")
            print(f"{host}: {source.name} ({source.insee}), taken for {guess.name if guess else '?'} ({joined})")
    wrong = found["wrong"] / max(found["right"] + found["wrong"], 1)
    print(f"right {found['right']}, wrong {found['wrong']}, unmatched {found['unmatched']}: {1000 * wrong:.2f} ‰ wrong")
    return 1 if wrong > MAX_WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
