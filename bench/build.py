"""What a night's changes cost the index, beside building it whole.

    python -m bench.build [--documents 200000] [--changed 10000]

Documents are those of bench.search, each linking to three others, put in a documents store. Then: a full build, a build
after `--changed` of them got another text, a build after as many got other links. CPU seconds are of the process, its
threads included. Needs ../shared (or ELUNUM_SHARED); exits with 2 where it is absent.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from bench.search import IR, documents
from elunum.index.build import build
from elunum.index.documents import Documents
from elunum.model import Document, Link
from elunum.settings import Settings


def linking(found: Iterable[Document], chance: random.Random) -> Iterator[Document]:
    """The documents, each with links to three others, known ones more often."""
    before: list[str] = []
    for document in found:
        targets = {before[int(len(before) * chance.random() ** 3)] for _ in range(3)} if before else set()
        before.append(document.url)
        yield replace(document, links=tuple(Link(url, "Voir aussi") for url in sorted(targets)))


def fill(settings: Settings, found: Iterable[Document]) -> None:
    """Put documents in the store, as an update would."""
    found = iter(found)
    with Documents(settings.documents_path) as store:
        while batch := list(islice(found, 1_000)):
            with store.transaction():
                for document in batch:
                    store.put(document)


def built(settings: Settings, name: str, full: bool = False) -> float:
    """Build; print a line of figures; CPU seconds."""
    before, files = time.process_time(), _files(settings)
    report = build(settings, full=full)
    spent = time.process_time() - before
    assert report.swapped, report.problems
    now = _files(settings)
    written = sum(size for file, size in now.items() if file not in files)
    print(
        f"{name:34} {spent:7.1f} s of CPU  {report.added:7} written of {report.documents}"
        f"  {written / 1e6:7.1f} MB written of {sum(now.values()) / 1e6:.1f}",
        flush=True,
    )
    return spent


def _files(settings: Settings) -> dict[int, int]:
    """Size of each file of the served version, by inode: a hard link is not written again."""
    folder = settings.index_dir / "current"
    stats = [file.stat() for file in folder.resolve().rglob("*") if file.is_file()] if folder.exists() else []
    return {stat.st_ino: stat.st_size for stat in stats}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--changed", type=int, default=10_000)
    options = parser.parse_args()
    if not IR.is_dir():
        print(f"bench.build needs the texts of {IR}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="elunum-bench-") as name:
        settings = Settings(data=Path(name))
        fill(settings, linking(documents(options.documents), chance))
        whole = built(settings, "full")
        with Documents(settings.documents_path) as store:
            chosen = chance.sample([document.id for document in store], options.changed)
            some = [document for id in chosen if (document := store.get(id))]
        fill(
            settings,
            (
                replace(one, title=other.title, text=other.text)
                for one, other in zip(some, some[1:] + some[:1], strict=True)
            ),
        )
        changed = built(settings, f"{options.changed} changed, same links")
        fill(settings, (replace(one, links=other.links) for one, other in zip(some, some[1:] + some[:1], strict=True)))
        built(settings, f"{options.changed} with other links")
        share = options.changed / options.documents
        print(f"the changes cost {changed / whole:.3f} of a full build, for {share:.3f} of the pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
