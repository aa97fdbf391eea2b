"""Finding a word or an address again, whatever the form it was written in; and what a trace of system calls tells."""

from __future__ import annotations

import base64
import codecs
import gzip
import hashlib
import html
import json
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from elunum.privacy import trace
from elunum.privacy.canaries import Canaries, Found

FORMS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "plain": ("en clair", lambda t: t.encode()),
    "capitals": ("en clair", lambda t: t.upper().encode()),
    "in a percent-encoded address": ("en clair", lambda t: urllib.parse.quote(f"é {t} ?").encode()),
    "in JSON": ("en clair", lambda t: json.dumps({"q": f"« {t} »"}).encode()),
    "HTML-escaped": ("en clair", lambda t: html.escape(f"<{t}>").encode()),
    "fully percent-encoded": ("encodé pour une URL", lambda t: "".join(f"%{b:02X}" for b in t.encode()).encode()),
    "numeric entities": ("échappé en HTML", lambda t: "".join(f"&#{b};" for b in t.encode()).encode()),
    "unicode escapes": ("échappé", lambda t: "".join(f"\\u{b:04x}" for b in t.encode()).encode()),
    "hexadecimal": ("hexadécimal", lambda t: t.encode().hex().encode()),
    "UTF-16": ("UTF-16", lambda t: t.encode("utf-16")),
    "UTF-16, other end first": ("UTF-16", lambda t: t.encode("utf-16-be")),
    "UTF-32": ("UTF-32", lambda t: t.encode("utf-32")),
    "reversed": ("à l’envers", lambda t: t[::-1].encode()),
    "rot13": ("rot13", lambda t: codecs.encode(t, "rot13").encode()),
    **{f"base64 after {n} bytes": ("base64", lambda t, n=n: base64.b64encode(b"x" * n + t.encode())) for n in range(4)},  # type: ignore[misc]
    **{f"base32 after {n} bytes": ("base32", lambda t, n=n: base64.b32encode(b"x" * n + t.encode())) for n in range(6)},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", FORMS)
def test_a_word_is_found_in_every_form(name: str) -> None:
    canaries = Canaries()
    word = canaries.word("requête")
    form, write = FORMS[name]
    assert Found("requête", form) in canaries.within(b"..." + write(word) + b"...", hashes=False)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512", "blake2b"])
@pytest.mark.parametrize("of", ["word", "address"])
def test_a_hash_is_found_whole_or_cut_in_hexadecimal_base64_or_bytes(algorithm: str, of: str) -> None:
    canaries = Canaries()
    value = canaries.word("requête") if of == "word" else canaries.address("adresse")
    digest = hashlib.new(algorithm, value.encode())
    expected = {Found("requête" if of == "word" else "adresse", algorithm)}
    for written in (
        digest.hexdigest().encode(),
        digest.hexdigest()[:16].encode(),
        digest.digest(),
        base64.b64encode(digest.digest()),
        base64.urlsafe_b64encode(digest.digest()[:12]),
    ):
        assert canaries.within(b"id=" + written + b"\n") == expected


def test_an_address_cut_to_three_bytes_is_found() -> None:
    canaries = Canaries()
    address = canaries.address("adresse")
    assert canaries.within((address.rpartition(".")[0] + ".0").encode())


def test_a_stem_of_a_word_is_found() -> None:
    canaries = Canaries()
    assert canaries.within(canaries.word("requête")[:15].encode()) == {Found("requête", "en clair")}


def test_nothing_is_found_in_what_holds_nothing() -> None:
    canaries = Canaries()
    canaries.word("requête")
    canaries.address("adresse")
    other = Canaries()
    assert canaries.within(f"{other.word('x')} {other.address('x')} 127.0.0.1 {'bcdfg' * 50}".encode()) == set()


def test_a_word_across_two_blocks_and_in_a_packed_file_is_found(tmp_path: Path) -> None:
    canaries = Canaries()
    word = canaries.word("requête").encode()
    (tmp_path / "large").write_bytes(b" " * 3_999_995 + word + b" " * 10)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"." * 5_000_000 + word))
    (tmp_path / "torn.gz").write_bytes(gzip.compress(word)[:-9])
    for name in ("large", "packed.gz"):
        assert canaries.in_file(tmp_path / name, hashes=False)[0] == {Found("requête", "en clair")}, name
    canaries.in_file(tmp_path / "torn.gz")


PROGRAM = """
import os, socket, sys
os.write(1, b"said caf\\xc3\\xa9\\n")
path = sys.argv[1]
with open(path, "wb") as file:
    file.write(b"a \\"quoted\\" \\x00 secret")
os.remove(path)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.sendto(b"a name", ("127.0.0.1", 53))
with socket.socket() as out:
    out.connect_ex(("127.0.0.1", int(sys.argv[2])))
with socket.socket(socket.AF_UNIX) as out:
    out.connect_ex("/nowhere/log")
listening = socket.create_server(("127.0.0.1", 0))
reader = socket.create_connection(listening.getsockname())
ours, _ = listening.accept()
ours.sendall(b"an answer")
print(listening.getsockname()[1])
"""


def test_a_packed_file_of_thousands_of_members_is_read_once(tmp_path: Path) -> None:
    canaries = Canaries()
    word = canaries.word("essai")
    torn = gzip.compress(b"written when it was killed" * 9)[:30]
    members = [gzip.compress(b"line\n"), torn] * 5_000
    (tmp_path / "packed.gz").write_bytes(b"".join([*members, gzip.compress(word.encode())]))
    found, size = canaries.in_file(tmp_path / "packed.gz")
    assert {one.what for one in found} == {"essai"}
    assert size < 2 * (tmp_path / "packed.gz").stat().st_size


def test_a_word_behind_a_torn_member_of_a_packed_file_is_found(tmp_path: Path) -> None:
    canaries = Canaries()
    word = canaries.word("essai")
    torn = gzip.compress(b"what a worker was writing when it was killed" * 50)[:40]
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"x") + torn + gzip.compress(word.encode()))
    assert {found.what for found in canaries.in_file(tmp_path / "packed.gz")[0]} == {"essai"}


@pytest.mark.skipif(not trace.available(), reason="strace is absent or may not trace here")
def test_a_trace_tells_what_was_written_even_if_removed_and_whom_was_called(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        log, gone = tmp_path / "log", tmp_path / "gone"
        command = [*trace.command(log), sys.executable, "-c", PROGRAM, str(gone), str(port)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    own = done.stdout.split()[-1].decode()
    seen = trace.read(log, lambda into: into.startswith(f"TCP:[127.0.0.1:{own}->"))
    assert [write.data for write in seen.writes if write.is_file and write.into.startswith(str(gone))] == [
        b'a "quoted" \x00 secret'
    ]
    assert gone in seen.opened
    assert "said café\n".encode() in [write.data for write in seen.writes]
    assert b"an answer" not in [write.data for write in seen.writes]
    assert {call.to for call in seen.calls} >= {"127.0.0.1:53", f"127.0.0.1:{port}", "/nowhere/log"}
