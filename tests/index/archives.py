"""The real archives beside the checkout, for tests and benchmarks that need them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from elunum import archive
from elunum.index.extract import extract
from elunum.model import Document, Page
from elunum.settings import ArchiveSettings


def pages_of(shared: Path) -> Iterator[Page]:
    """Every page of the archives, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        archive.import_files(sorted((shared / "data" / "web").glob("*.warc.gz")), Path(folder), ArchiveSettings())
        for record, _ in archive.read(Path(folder)):
            if isinstance(record, Page):
                yield record


def documents_of(shared: Path, wanted: Callable[[str], bool]) -> Iterator[Document]:
    """The documents of the pages whose address is wanted."""
    for page in pages_of(shared):
        if wanted(page.url) and isinstance(document := extract(page), Document):
            yield document
