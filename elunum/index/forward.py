"""What each page says, word after word, kept beside the engine's lists: read when candidates are looked at closely.

An inverted index answers "which pages hold this word"; what stands near what, or how much of a title was asked, is read
faster page by page. Three files a version, never changed once written:

    forward.tokens    the tokens of all pages, four bytes each
    forward.keys      the keys of the pages, sorted
    forward.records   for each, in the same order, where its tokens begin and how many each part has

A token is a word of a page: 24 bits for its stem, 8 that tell the forms of a stem apart. Two stems that share their 24
bits are taken for one: in a page of a thousand words, once in sixteen thousand times.
"""

from __future__ import annotations

import mmap
import os
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

PARTS = ("title", "headings", "anchors", "address", "body")
"""The parts of a page, in the order their tokens are kept."""

MAX_TOKENS = {"title": 60, "headings": 200, "anchors": 200, "address": 60, "body": 4_000}
"""Tokens kept of each part. What follows is found by the engine's lists, and counts by them."""

_RECORD = np.dtype([("start", "<u8"), ("kept", "<u2", (len(PARTS),)), ("length", "<u4")])

_NAMES = ("forward.tokens", "forward.keys", "forward.records")

Analysed = Sequence[tuple[str, str]]
"""Words with their stems, as elunum.text.analyse gives them."""


def token(word: str, stem: str) -> int:
    """The token of a folded word."""
    return (zlib.crc32(stem.encode()) & 0xFFFFFF) << 8 | (zlib.crc32(word.encode()) >> 24 & 0xFF)


class ForwardWriter:
    """Writes the files of a version: pages one by one, then those of the last version that stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO = (folder / _NAMES[0]).open("wb")
        self._tokens: dict[tuple[str, str], int] = {}
        self.keys = array("Q")  # of the pages added
        self._records: list[tuple[int, tuple[int, ...], int]] = []
        self._at = 0

    def add(self, key: int, parts: Mapping[str, Analysed]) -> None:
        """Add a page: its key, and each of PARTS."""
        kept = [parts[name][: MAX_TOKENS[name]] for name in PARTS]
        tokens = array("I", [self._token(pair) for part in kept for pair in part])
        self._file.write(tokens.tobytes())
        self.keys.append(key)
        self._records.append((self._at, tuple(map(len, kept)), len(parts["body"])))
        self._at += len(tokens)

    def _token(self, pair: tuple[str, str]) -> int:
        if (known := self._tokens.get(pair)) is None:
            if len(self._tokens) > 400_000:
                self._tokens.clear()
            known = self._tokens[pair] = token(*pair)
        return known

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()

    def finish(self, last: Forward | None = None, gone: Iterable[int] = ()) -> None:
        """Take over the pages of the last version but those `gone` or added since, and write the files whole."""
        keys, records = np.array(self.keys, np.uint64), np.array(self._records, _RECORD)
        if last is not None:
            stays = ~np.isin(last.keys, np.concatenate([keys, np.fromiter(gone, np.uint64)]))
            taken = last.records[stays]
            # In the order of the file, neighbours are copied together.
            order = np.argsort(taken["start"])
            taken, taken_keys = taken[order], last.keys[stays][order]
            sizes = taken["kept"].sum(axis=1, dtype=np.uint64)
            ends = taken["start"] + sizes
            begins = np.flatnonzero(np.append(True, taken["start"][1:] != ends[:-1])[: len(taken)]).tolist()
            for first, after in zip(begins, [*begins[1:], len(taken)], strict=False):
                last.tokens[int(taken["start"][first]) : int(ends[after - 1])].tofile(self._file)
            taken["start"] = self._at + np.cumsum(sizes) - sizes
            keys, records = np.concatenate([keys, taken_keys]), np.concatenate([records, taken])
        self.close()
        order = np.argsort(keys)
        keys[order].tofile(self._folder / _NAMES[1])
        records[order].tofile(self._folder / _NAMES[2])


@dataclass(frozen=True, slots=True)
class Pages:
    """The tokens of some pages, one after the other."""

    tokens: NDArray[np.uint32]
    kept: NDArray[np.integer]  # [pages, parts]: tokens of each part
    length: NDArray[np.integer]  # [pages]: words of the whole text

    def __len__(self) -> int:
        return len(self.length)


class Forward:
    """The files of a version, open. Raises OSError or ValueError when one is missing or cut."""

    def __init__(self, folder: Path) -> None:
        tokens, keys, records = (folder / name for name in _NAMES)
        self.keys: NDArray[np.uint64] = mapped(keys, np.dtype("<u8"))
        self.records = mapped(records, _RECORD)
        self.tokens: NDArray[np.uint32] = mapped(tokens, np.dtype("<u4"))
        self._bytes = self.tokens.data.cast("B") if len(self.tokens) else memoryview(b"")
        if len(self.keys) != len(self.records):
            raise ValueError(f"{keys} and {records} are not of one version")
        kept = self.records["kept"]
        if (self.records["start"] + kept.sum(axis=1, dtype=np.uint64)).max(initial=0) > len(self.tokens):
            raise ValueError(f"{tokens} is cut")
        # [parts]: words of each part of a page, in the mean; of texts, the whole is counted.
        self.means: NDArray[np.float64] = kept.mean(axis=0) if len(kept) else np.ones(len(PARTS))
        self.means[PARTS.index("body")] = self.records["length"].mean() if len(kept) else 1.0

    def places(self, keys: Sequence[int] | NDArray[np.unsignedinteger]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where the pages with these keys stand among all, and which of them are here."""
        wanted = np.array(keys, np.uint64)
        places = np.searchsorted(self.keys, wanted)
        places[places == len(self.keys)] = 0
        return places, self.keys[places] == wanted if len(self.keys) else np.zeros(len(wanted), bool)

    def pages(self, places: NDArray[np.intp], here: NDArray[np.bool_]) -> Pages:
        """The pages at these places, in that order; one that is not `here` has no tokens."""
        records = self.records[places] if len(self.keys) else np.zeros(len(places), _RECORD)
        kept = np.where(here[:, None], records["kept"], 0).astype(np.int64)
        begins = records["start"].astype(np.int64)
        ends = begins + kept.sum(axis=1)
        # Slices of a memoryview cost a third of those of an array.
        pieces = [self._bytes[4 * begin : 4 * end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        tokens = np.frombuffer(b"".join(pieces), np.uint32)
        return Pages(tokens, kept, np.where(here, records["length"], 0).astype(np.int64))


def mapped(path: Path, dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]  # of the type given
    """The array in a file. Raises OSError when there is none, ValueError when it is cut."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size % dtype.itemsize:
            raise ValueError(f"{path} is cut")
        if not size:
            return np.empty(0, dtype)
        flags = mmap.MAP_SHARED | (mmap.MAP_POPULATE if size < _MEMORY * AT_HAND else 0)
        return np.frombuffer(mmap.mmap(file.fileno(), size, flags=flags, prot=mmap.PROT_READ), dtype)


_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

AT_HAND = 0.1
"""Of the machine's memory, up to which a file is read when it is opened rather than by the first requests. It may be
let go of at any time, as all that is read from files."""
