"""What processes wrote and whom they called, told by the kernel: strace(1) around them, its log read back.

Only system calls are believed, never a list of places where something might be: a file that was written and removed, a
datagram to a name server or a line sent to the system's journal all pass here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
_OPENS = ("open", "openat", "openat2", "creat")
_OTHERS = ("connect", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat",
           "io_uring_setup", "truncate", "sendfile", "splice", "copy_file_range", "memfd_create")  # fmt: skip
_STRING_BYTES = 1_000_000

_CALL = re.compile(r"^(\d+) +([\d.]+) (\w+)\((.*)$", re.S)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"^(?:\d+|AT_FDCWD)<((?:[^<>]|->|<[^<>]*>)*)>(?=[,)(]|$)")
_INET = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
_UNIX = re.compile(r'sun_path=@?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes handed to a file, a pipe or a socket that is not a reader's connection."""

    at: float  # seconds since 1970
    into: str  # a path, or a kind of socket
    data: bytes
    is_file: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A connection or a datagram towards another program, with its address."""

    at: float
    to: str  # "93.184.216.34:443", "/dev/log"


@dataclass(frozen=True, slots=True)
class Traced:
    """All that was seen of some processes."""

    writes: tuple[Write, ...]
    opened: Mapping[Path, float]  # files opened for writing, even if nothing was written, and when last
    calls: tuple[Call, ...]
    unseen: frozenset[str]  # ways of writing that were used and that a trace of system calls does not show


@cache
def available() -> bool:
    """Whether strace is here and may trace (containers often forbid it)."""
    if shutil.which("strace") is None:
        return False
    try:
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def command(log: Path) -> list[str]:
    """The words to put before a command to have it traced into `log`."""
    calls = ",".join(f"?{name}" for name in (*_WRITES, *_OPENS, *_OTHERS))
    options = ["-f", "-qqq", "-yy", "-ttt", "-s", str(_STRING_BYTES), "-e", f"trace={calls}", "-e", "signal=none"]
    # What goes through io_uring is no system call: refused, as by the unit we ship, programs do without.
    options += ["-e", "inject=io_uring_setup:error=ENOSYS"]
    return ["strace", *_faster(), *options, "-o", str(log), "--"]


@cache
def _faster() -> tuple[str, ...]:
    """Stopping only at the calls that are traced, where this strace and this kernel can."""
    done = subprocess.run(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"], capture_output=True, timeout=20)
    return ("--seccomp-bpf",) if done.returncode == 0 and not done.stderr else ()


def read(log: Path, is_reader: Callable[[str], bool]) -> Traced:
    """What a log of strace says. is_reader: whether a description of a socket is a connection that a reader opened."""
    writes: list[Write] = []
    opened: dict[Path, float] = {}
    calls: list[Call] = []
    unseen: set[str] = set()
    for at, name, rest in _lines(log):
        if name in _OPENS:
            if "O_WRONLY" in rest or "O_RDWR" in rest or "O_CREAT" in rest or name == "creat":
                opened.update(dict.fromkeys(_paths(name, rest), at))
        elif name in _WRITES:
            place = _DESCRIPTOR.match(rest)
            into = place[1] if place else "?"
            if is_reader(into):
                continue
            if name in ("sendto", "sendmsg", "sendmmsg") and (to := _address(rest)):
                calls.append(Call(at, to))
            data = b"".join(_bytes(found) for found in _STRING.findall(rest))
            writes.append(Write(at, into, data, is_file=into.startswith("/") and not into.startswith("/dev/null<")))
        elif name == "connect":
            if to := _address(rest):
                calls.append(Call(at, to))
        elif name in ("sendfile", "splice", "copy_file_range"):
            place = _DESCRIPTOR.match(rest)
            if name != "sendfile" or not (place and is_reader(place[1])):
                unseen.add(name)
        elif name != "io_uring_setup":  # a name is given: names can tell too
            names = [_bytes(text) for text in _STRING.findall(rest)]
            writes.append(Write(at, f"{name}()", b" ".join(names), is_file=False))
            paths = (Path(name.decode("utf-8", "replace")) for name in names if name.startswith(b"/"))
            opened.update(dict.fromkeys(paths, at))
    return Traced(tuple(writes), opened, tuple(calls), frozenset(unseen))


def held(pids: Iterable[int]) -> Iterator[tuple[Path, str]]:
    """Files that processes hold open for writing or share in memory, removed ones too, and what each is called.

    What is written into shared memory is no system call (mmap(2)) and reaches the disk all the same.
    """
    for pid in pids:
        with suppress(OSError):  # it ended, or is another user's
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    flags = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().partition("flags:")[2].split()[0]
                    if int(flags, 8) & (os.O_WRONLY | os.O_RDWR) and entry.is_file():
                        yield entry, str(entry.readlink())
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                addresses, rights, _, _, _, *name = line.split(maxsplit=5)
                is_file = bool(name) and name[0].startswith("/") and not name[0].startswith("/dev/zero")
                if rights.startswith("rw") and rights.endswith("s") and is_file:
                    ends = "-".join(f"{int(end, 16):x}" for end in addresses.split("-"))
                    path = Path(f"/proc/{pid}/map_files/{ends}")
                    with suppress(OSError):
                        if path.is_file():
                            yield path, name[0]


def _lines(log: Path) -> Iterator[tuple[float, str, str]]:
    """(when, name of the system call, its arguments) of each call; a call in two pieces counts once, at its start."""
    with log.open(encoding="latin-1") as file:
        for line in file:
            if found := _CALL.match(line):
                yield float(found[2]), found[3], found[4]


def _paths(name: str, rest: str) -> Iterator[Path]:
    if not (text := _STRING.search(rest)):
        return
    path = Path(_bytes(text[1]).decode("utf-8", "surrogateescape"))
    folder = _DESCRIPTOR.match(rest)
    yield Path(folder[1]) / path if folder else path


def _address(rest: str) -> str:
    """Where a connect or a datagram goes; empty for a socket between our own processes."""
    if found := _INET.search(rest):
        return f"{found[2]}:{found[1]}"
    if found := _UNIX.search(rest):
        return found[1]
    return ""


def _bytes(text: str) -> bytes:
    """What strace wrote between quotes, as the bytes it stands for."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1", "replace")
