"""The list of sources and the geography: import of the official lists, lookups, loading.

    python -m bench.sources       prints seconds of CPU, peak memory and lookups per second, with ratios to a bare floor

The floor of an import is reading the same lines and giving each its canonical address; that of a lookup is one access
to a dict. Ratios hold across machines. Needs ../shared (or ELUNUM_SHARED) for the import; says so where absent.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from elunum import geo
from elunum.sources import SourceList, import_files, read
from elunum.urls import canonical

CHECKOUT = Path(__file__).resolve().parents[1]
LISTS = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared")) / "data" / "sources"


def main() -> int:
    print(f"{'geo.Geo()':34} {1000 * seconds(geo.Geo):8.0f} ms")
    first = geo.Geo()
    print(f"{'first look-up by name':34} {1000 * seconds(lambda: first.named('Rixheim'), times=1):8.0f} ms")
    print(f"{'first comparison':34} {1000 * seconds(lambda: first.comparables().of('68278'), times=1):8.0f} ms")
    lookups()
    if not LISTS.is_dir():
        print(f"the official lists are not at {LISTS}: import not measured; set ELUNUM_SHARED")
        return 2
    # Each import in a process of its own, for its peak of memory to be its own.
    for name in ("2024", "all"):
        subprocess.run([sys.executable, "-m", "bench.sources", name], check=True, cwd=CHECKOUT)
    return 0


def lookups() -> None:
    known, listed = geo.load(), read(CHECKOUT / "sources.csv")
    sources = SourceList(listed)
    chosen = random.Random(0).sample(listed, 5_000)
    pages = [f"{source.url}actualites/2026/budget.html" for source in chosen]
    plain = dict(zip(pages, chosen, strict=True))
    floor = rate(plain.get, pages)
    for name, call, values in (
        ("SourceList.match", sources.match, pages),
        ("Geo.commune", known.commune, [source.insee for source in chosen if source.insee]),
        ("Geo.named", known.named, [source.name for source in chosen]),
        ("Geo.starting_with", known.starting_with, [source.name[:4] for source in chosen[:1_000]]),
        ("SourceList.search", sources.search, [source.name for source in chosen[:100]]),
        (
            "Comparables.of",
            known.comparables().of,
            [source.insee for source in chosen[:200] if source.insee],
        ),
    ):
        call(values.pop())  # what is built at the first call is not the call's
        per_second = rate(call, values)
        print(f"{name:34} {per_second:12,.0f} /s, {floor / per_second:10.1f} times a dict")


def importing(which: str) -> None:
    paths = [LISTS / "dinum_urls_2024-12.txt", *sorted((LISTS / "dinum_2023").glob("*.txt"))]
    paths = paths[:1] if which == "2024" else paths
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "sources.csv"
        into.write_bytes((CHECKOUT / "sources.csv").read_bytes())
        geo.load().names()
        before = peak_mb()
        started = time.process_time()
        report = import_files(paths, into)
        took = time.process_time() - started
    floor = seconds(lambda: [canonical(line) for path in paths for line in path.read_text().splitlines()], times=1)
    print(
        f"import of {report.read:,} lines: {took:.1f} s, {took / floor:.0f} times reading them; peak {peak_mb():.0f} MB"
        f" ({peak_mb() - before:.0f} more than before); {report.sources:,} sources, {report.with_insee:,} joined"
    )


def seconds(call: Callable[[], object], times: int = 5) -> float:
    """The least of a few runs: the others measure the neighbours."""
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        call()
        best = min(best, time.process_time() - started)
    return best


def rate(call: Callable[[str], object], values: Sequence[str]) -> float:
    return len(values) / seconds(lambda: [call(value) for value in values], times=3)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        importing(sys.argv[1])
        sys.exit(0)
    sys.exit(main())
