"""Random words that nobody could have written by chance, every form they could be written in, and where they turn up.

All the words of a run begin with the same random letters and all its addresses share their first three bytes, so that
one search finds them all; which one it was is looked up afterwards.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
import secrets
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LETTERS = "bcdfghjkmnpqrstvwxz"
_HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")
_PREFIX_BYTES = 8
_CHUNK = 4_000_000
_FED = 16_384  # unpacks to 17 MB at most
_GZIP = b"\x1f\x8b\x08"
_MAX_UNPACKED = 200_000_000


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A canary where none should be."""

    what: str  # in French, for the report: « requête (GET) », « adresse du lecteur »
    form: str  # in French: « en clair », « base64 », « sha256 »


class Canaries:
    """The canaries of one run. `word` and `address` make one and remember what it stands for.

    A keyed hash or a cipher cannot be searched for. What the service writes is therefore also listed by the tracer
    (see trace.py): a service that writes nothing hides nothing.
    """

    def __init__(self) -> None:
        self._marker = _letters(9)
        self._network = "127." + ".".join(str(100 + secrets.randbelow(155)) for _ in range(2)) + "."
        self._last = secrets.randbelow(200)
        self._what: dict[bytes, str] = {}  # by their first fifteen characters
        self._forms: dict[str, dict[bytes, str]] = {}  # the same in other forms, made when one is found
        marks = (self._marker, self._network)
        self._marks = [(form, needle) for form, write in _FORMS.items() for mark in marks for needle in write(mark)]
        self._hashes: dict[bytes, dict[bytes, Found]] = {}  # by their first bytes
        self.longest = max(len(needle) for _, needle in self._marks)
        # An address cut to its network is still personal data (CNIL, 2025).
        for cut in (self._network.rstrip("."), self._network + "0"):
            self._hash("adresse du lecteur, tronquée", cut)

    def word(self, what: str) -> str:
        """A random word of 17 consonants for one place of a request. `what` names that place in the report."""
        value = self._marker + _letters(8)
        self._what[value[:15].encode()] = what
        self._hash(what, value, f"q={value}", value[:15])
        return value

    def address(self, what: str) -> str:
        """A random address of 127.0.0.0/8 for a reader to come from."""
        self._last = self._last % 250 + 1
        value = self._network + str(self._last)
        self._what[value[:15].encode()] = what
        self._hash(what, value)
        return value

    def __len__(self) -> int:
        return len(self._what)

    def _hash(self, what: str, *texts: str) -> None:
        for data in [text.encode() for text in texts]:
            for name in _HASHES:
                digest = hashlib.new(name, data, usedforsecurity=False).digest()[:12]
                # Half of a digest is enough: an identifier cut from it is as telling as the whole.
                forms = (
                    digest[:8],
                    digest[:8].hex().encode(),
                    base64.b64encode(digest),
                    base64.urlsafe_b64encode(digest),
                )
                for needle in forms:
                    self._hashes.setdefault(needle[:_PREFIX_BYTES], {})[needle[:14]] = Found(what, name)

    def among(self, data: bytes) -> bool:
        """Whether an answer quotes a word of the run, in clear."""
        return self._marker.encode() in data

    # --- searching ---------------------------------------------------------------------------------------------------

    def within(self, data: bytes, hashes: bool = True) -> set[Found]:
        """The canaries in some bytes, whatever the case of letters. Hashed forms cost ten times the others."""
        lowered = data.lower()
        forms = {form for form, needle in self._marks if needle in data or needle in lowered}
        found = {Found(what, form) for form in forms for what in self._which(form, data, lowered)}
        if hashes:
            windows = (data[at : at + _PREFIX_BYTES] for at in range(len(data)))
            for prefix in set(self._hashes).intersection(windows):
                found |= {what for needle, what in self._hashes[prefix].items() if needle in data}
        return found

    def _which(self, form: str, data: bytes, lowered: bytes) -> set[str]:
        """What the canaries found in that form stand for."""
        if form == "en clair":
            pattern = rb"%s[a-z]{6}|%s\d{1,3}" % (self._marker.encode(), re.escape(self._network.encode()))
            which = {self._what[found] for found in re.findall(pattern, lowered) if found in self._what}
        else:
            if form not in self._forms:
                write = _FORMS[form]
                known = self._what.items()
                self._forms[form] = {needle: what for value, what in known for needle in write(value.decode())}
            which = {what for needle, what in self._forms[form].items() if needle in data or needle in lowered}
        return which or {"un mot ou une adresse d’essai, en partie"}

    def in_file(self, path: Path, hashes: bool = True) -> tuple[set[Found], int]:
        """The canaries in a file, unpacked too when it is a gzip, and the bytes read. Raises OSError."""
        found: set[Found] = set()
        size = 0
        for blocks in (_blocks(path), _unpacked(path)):
            kept = b""
            for block in blocks:
                found |= self.within(kept + block, hashes)
                kept = block[-2 * self.longest :]
                size += len(block)
        return found, size


def _letters(count: int) -> str:
    # Consonants alone: no word of any language, and no stemmer shortens it.
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            yield block


def _unpacked(path: Path) -> Iterator[bytes]:
    """What a gzip holds, in blocks of about _CHUNK bytes; nothing of a file that is none."""
    with path.open("rb") as file:
        if file.read(2) != _GZIP[:2]:
            return
        packed = _GZIP[:2] + file.read(_MAX_UNPACKED)
    block, room = bytearray(), _MAX_UNPACKED
    for piece in _pieces(packed):
        block += piece
        room -= len(piece)
        if len(block) >= _CHUNK:
            yield bytes(block)
            block.clear()
        if room <= 0:
            break
    yield bytes(block)


def _pieces(packed: bytes) -> Iterator[bytes]:
    """What the members of a gzip hold (RFC 1952). Where one is torn, as a kill leaves it, the next are read."""
    at = 0
    while at >= 0:
        member, end = zlib.decompressobj(wbits=31), at
        try:
            while not member.eof and end < len(packed):
                fed = packed[end : end + _FED]
                end += len(fed)
                yield member.decompress(fed)
        except zlib.error:
            pass
        at = packed.find(_GZIP, end - len(member.unused_data) if member.eof else at + 1)


def _windows(text: str, unit: int, encode: Callable[[bytes], bytes]) -> list[bytes]:
    """A text in base64 or base32, whatever surrounds it: the digits that depend on it alone, for each alignment.

    unit: bits of a digit.
    """
    plain, found = text.encode(), []
    for shift in range(3 if unit == 6 else 5):
        packed = encode(b"\0" * shift + plain)
        found.append(packed[-(-shift * 8 // unit) : (shift + len(plain)) * 8 // unit])
    return found


# Letters stay as they are in a percent-encoded, HTML-escaped or JSON text: « en clair » finds those too.
_FORMS: dict[str, Callable[[str], list[bytes]]] = {
    "en clair": lambda t: [t.encode()],
    "à l’envers": lambda t: [t.encode()[::-1]],
    "rot13": lambda t: [codecs.encode(t, "rot13").encode()] if t.isalpha() else [],
    "encodé pour une URL": lambda t: ["".join(f"%{byte:02x}" for byte in t.encode()).encode()],
    "échappé en HTML": lambda t: [
        "".join(f.format(byte) for byte in t.encode()).encode() for f in ("&#{};", "&#x{:x};")
    ],
    "échappé": lambda t: ["".join(f.format(byte) for byte in t.encode()).encode() for f in ("\\u{:04x}", "\\x{:02x}")],
    "hexadécimal": lambda t: [t.encode().hex().encode()],
    "UTF-16": lambda t: [t.encode("utf-16-le"), t.encode("utf-16-be")],
    "UTF-32": lambda t: [t.encode("utf-32-le"), t.encode("utf-32-be")],
    "base64": lambda t: _windows(t, 6, base64.b64encode),
    "base32": lambda t: _windows(t, 5, base64.b32encode),
}
"""The forms a text can be written in."""
