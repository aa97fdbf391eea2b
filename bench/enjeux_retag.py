"""How long a change of the référentiel takes: documents tagged again, without crawling or extracting.

    python -m bench.enjeux_retag [DOCUMENTS]     200,000 by default; needs ../shared (or ELUNUM_SHARED)

The pages of the archives, repeated under other addresses, are put in a store as if tagged by an older référentiel.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bench.enjeux import SHARED, archive_documents, publishers, sample
from elunum.index import places as finder
from elunum.index import update as updating
from elunum.index.documents import Documents, Versions
from elunum.settings import ExtractSettings, Settings
from elunum.sources import SourceList
from elunum.urls import document_id

Answer = TypeVar("Answer")


def main() -> int:
    if not (SHARED / "data" / "web").is_dir():
        print(f"the real archives are not at {SHARED}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    pages = list(archive_documents({p.id for p in (*publishers(), *sample("archive"), *sample("blind"))}).values())
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), sources=Path(folder) / "sources.csv", extract=ExtractSettings(workers=2))
        with Documents(settings.documents_path) as store, store.transaction():
            for n in range(count):
                url = f"https://site-{n % 5000}.example/{n}"
                document = replace(pages[n % len(pages)], id=document_id(url), url=url)
                store.put(document, Versions(updating.EXTRACTOR, finder.VERSION, "old", "old"))
        report, took = _timed(lambda: updating.update(settings, SourceList(())))
        print(
            f"{count} documents tagged, {report.changed} changed, {report.extracted} extracted, two processes: {took}"
        )
        with Documents(settings.documents_path) as store:
            store.db.execute("update documents set tagger = 'old', referentiel = 'old'")
        report, took = _timed(lambda: updating.update(settings, SourceList(())))
        print(f"{count} documents tagged again, {report.changed} changed, {report.extracted} extracted: {took}")
    return 0


def _timed(run: Callable[[], Answer]) -> tuple[Answer, str]:
    """What it answers, and how long it took: elapsed, and CPU of all its processes."""
    before, started = _cpu_s(), time.monotonic()
    answer = run()
    elapsed_s = time.monotonic() - started
    return answer, f"{elapsed_s:.0f} s elapsed, {_cpu_s() - before:.0f} s of CPU"


def _cpu_s() -> float:
    """Processor seconds of this process and of all below it, those that ended included, from /proc (proc(5)).

    The workers are children of a fork server, which nobody waits for: getrusage would leave them out.
    """
    used, todo = 0.0, [os.getpid()]
    while todo:
        pid = todo.pop()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        todo += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return used


if __name__ == "__main__":
    sys.exit(main())
