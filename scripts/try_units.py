"""What the systemd units do, seen under a real systemd: `make units`, as root.

systemd is started as the first process of a container made for the occasion: this very system beneath, read-only, what
is written in memory above it, processes, network and cgroup of its own (namespaces(7)). Elunum is installed there by
the words of deploy/README.md; a night is crawled, readers come, workers are killed, and each promise of the units is
tried: what must be refused is asked for. Prints one line a promise; exit 1 when one is not held. About three minutes.

Needs root, systemd, nginx, openssl, iproute2 and python3-venv of Debian 12 or later, and a kernel that gives cgroup v2
and overlayfs. The kernel is shared: what it does not offer to cgroup v2 (the memory controller, on machines that still
use v1) is said not to have been seen.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from elunum.privacy.canaries import Canaries
from elunum.privacy.readers import request
from elunum.settings import CHECKOUT

DEPLOY = CHECKOUT / "deploy" / "README.md"
OUTSIDE, PRIVATE = "203.0.113.7", "10.20.30.40"
"""Addresses given to the container that are not loopback's: a public one (RFC 5737) and one of a private network."""

PLACES = (
    "/", "/etc/elunum", "/opt/elunum", "/usr/bin", "/var/lib", "/var/lib/elunum", "/var/lib/elunum/index", "/var/cache",
    "/var/log", "/run", "/run/elunum-proxy", "/run/lock", "/dev", "/dev/shm", "/sys/fs/cgroup", "/home", "/root",
)  # fmt: skip
"""Folders where a process in a unit is tried to write."""

WRITTEN = Path("/written")
"""In the container: every file written on disk since it was started, and nothing else."""

_OUTER = """
mount -t tmpfs -o mode=755 tmpfs "$HERE"
cd "$HERE"
mkdir staged written work root cgroups
"$PYTHON" -m scripts.try_units stage "$HERE/staged"
touch written/said
mount -t cgroup2 cgroup2 cgroups
mkdir cgroups/elunum-trial
echo $$ >cgroups/elunum-trial/cgroup.procs
unshare --cgroup --mount --uts --ipc --net --pid --fork --kill-child sh -ec "$INNER" &
until [ -e started ]; do sleep 0.1; done
# The container's cgroup is one level of a tree: nothing but what the container starts may stand there.
echo $! >cgroups/cgroup.procs
echo $$ >cgroups/cgroup.procs
touch alone
tail -q -n +1 -f --pid $! written/said
while [ -d cgroups/elunum-trial ]; do
    find cgroups/elunum-trial -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
done
"""
_INNER = """
touch started
until [ -e alone ]; do sleep 0.1; done
mount -t overlay -o lowerdir=staged:/,upperdir=written,workdir=work overlay root
mkdir -p root/written
mount --bind written root/written
rm -f root/.dockerenv
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for folder in run tmp dev/shm; do mount -t tmpfs tmpfs $folder; chmod 1777 $folder; done
chmod 755 run
mkdir written/before
pivot_root . written/before
umount -l written/before
rmdir written/before
exec env -i container=trial /lib/systemd/systemd --unit=elunum-trial.service >/dev/null 2>&1
"""
_UNIT = """[Unit]
After=dbus.service systemd-journal-flush.service
Wants=dbus.service systemd-journal-flush.service
[Service]
ExecStart=/opt/elunum/.venv/bin/python -m scripts.try_units inside
WorkingDirectory=/opt/elunum
Environment=PYTHONDONTWRITEBYTECODE=1
StandardOutput=append:/said
StandardError=append:/said
LimitCORE=infinity
ExecStopPost=/bin/systemctl poweroff --force
"""


# --- around the container --------------------------------------------------------------------------------------------


def main() -> int:
    match sys.argv[1:]:
        case ["stage", folder]:
            _stage(Path(folder))
            return 0
        case ["inside"]:
            return _inside()
    missing = [name for name in ("systemd-analyze", "nginx", "openssl", "ip", "unshare") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        reason = f"{', '.join(missing)} not installed" if missing else "not root"
        print(f"try_units: {reason}; what is needed stands in scripts/try_units.py", file=sys.stderr)
        return 2
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as here:
        environment = os.environ | {
            "HERE": here,
            "INNER": _INNER,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(CHECKOUT),
        }
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _OUTER]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as container:
            assert container.stdout is not None
            for line in container.stdout:
                print(line.rstrip(), flush=True)
                seen[line.split(" ")[0].strip()] += 1
    print(f"{seen['held']} promises held, {seen['FAILED']} not{'' if seen['END'] else '; it did not reach its end'}")
    return 0 if seen["END"] and not seen["FAILED"] else 1


def _stage(staged: Path) -> None:
    """What is laid over this system: the checkout in /opt/elunum with its dependencies, and the unit of the trial."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout
    for name in files.decode().rstrip("\0").split("\0"):
        (staged / "opt/elunum" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, staged / "opt/elunum" / name)
    # The words of deploy/README.md, where /opt is what is staged, for this command alone.
    make = "make -s -C /opt/elunum .venv/installed PYTHON=/usr/bin/python3"
    words = ["unshare", "--mount", "sh", "-ec", f"mount --bind '{staged}/opt' /opt; {make} >&2"]
    subprocess.run(words, check=True)
    units = staged / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "elunum-trial.service").write_text(_UNIT)
    (staged / "etc/fstab").write_text("")
    (staged / "etc/machine-id").write_text("")
    (staged / "var/log/journal").mkdir(parents=True)  # the journal is kept on disk: the worst case


# --- in the container ------------------------------------------------------------------------------------------------


SERVE, PROXY, NIGHT = "elunum-serve.service", "elunum-proxy.service", "elunum-nightly.service"
CGROUPS = Path("/sys/fs/cgroup/system.slice")
SOURCES = ("http://www.agen.example/", "http://www.albi.example/")
ONE_MORE = "http://www.aix-les-bains.example/"
PORT = 9999
_DUMP = "import os, sys; words = sys.stdin.read(); sys.stdin.close(); os.abort()"


def _inside() -> int:
    canaries = Canaries()
    try:
        _install()
        demo = subprocess.Popen([sys.executable, "demo/serve.py", "--port", "8091"], stdout=subprocess.DEVNULL)
        everywhere = socket.create_server(("", PORT), backlog=64)
        _night()
        _serve(canaries)
        _sandbox()
        _memory(canaries)
        _deaths()
        _another_night()
        _run("systemctl", "reload", PROXY)
        _say("nginx reads its configuration again and answers", _search() == 200)
        _checked()
        _end(canaries)
        everywhere.close()
        demo.terminate()
    except Exception as error:
        _say("the trial goes to its end", False, repr(error))
    print("END", flush=True)
    return 0


def _install() -> None:
    """The words of deploy/README.md, but for what needs a network and was done before."""
    blocks = re.findall(r"(?:^    .*\n)+", DEPLOY.read_text(), re.M)
    commands = "".join(line[4:] for line in blocks[0].splitlines(True) if " make " not in f" {line}")
    done = subprocess.run(["sh", "-exc", commands], cwd="/opt/elunum", capture_output=True, text=True)
    _say(
        "the commands of deploy/README.md install the service",
        done.returncode == 0,
        done.stderr[-600:] if done.returncode else "",
    )
    tls = Path("/etc/elunum/tls")
    tls.mkdir(mode=0o700)
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {tls}/privkey.pem -out {tls}/fullchain.pem"
    _run(*made.split(), "-subj", "/CN=elunum.example")
    settings = re.sub(r"^    ", "", blocks[1], flags=re.M).replace("/opt/elunum/sources.csv", "/etc/elunum/sources.csv")
    settings = settings.replace("workers = 4", "workers = 2") + '[crawl]\nconnect_to = "127.0.0.1:8091"\ndelay_s = 0\n'
    Path("/etc/elunum/elunum.toml").write_text(settings)
    _list(*SOURCES)
    for address in (OUTSIDE, PRIVATE):
        _run("ip", "address", "add", address, "dev", "lo")
    _run("systemctl", "daemon-reload")


def _list(*urls: str) -> None:
    lines = [f"{url},Ville,autre,,,,\n" for url in urls]
    Path("/etc/elunum/sources.csv").write_text("url,name,kind,insee,siren,departement,region\n" + "".join(lines))


def _night() -> None:
    _run("systemctl", "start", "--no-block", NIGHT)
    while not _pids(NIGHT):
        time.sleep(0.2)
    night = _pids(NIGHT)
    _signal(night, signal.SIGSTOP)  # it might end before all is tried, and what is tried would end with it
    _say("the night may call a public address", _call(NIGHT, OUTSIDE) == "connected", _call(NIGHT, OUTSIDE))
    _say("the night may not call a private network", _call(NIGHT, PRIVATE) != "connected", _call(NIGHT, PRIVATE))
    _say("the night may write in its folder alone", _writable(NIGHT) == ["/var/lib/elunum"], _writable(NIGHT))
    _signal(night, signal.SIGCONT)
    _until(lambda: not _pids(NIGHT), 1_800)
    result = _result(NIGHT)
    _say("a night crawls and indexes", result == "success" and Path("/var/lib/elunum/index/current").exists(), result)
    if result != "success":
        print(_run("journalctl", "-u", NIGHT, "--no-pager", "-n", "30"))


def _serve(canaries: Canaries) -> None:
    _run("systemctl", "enable", "--now", "elunum-nightly.timer", SERVE, PROXY)
    answers = _until(lambda: _search() == 200, 300)
    _say("the service answers through nginx, over TLS", answers)
    if not answers:
        print(_run("journalctl", "-u", "elunum-*", "--no-pager", "-n", "30"), _run("systemctl", "status", SERVE, PROXY))
    words = canaries.word
    arrived = 0
    for target, method, body in (
        (f"/recherche?q={words('requête (GET)')}", "GET", b""),
        ("/recherche", "POST", f"q={words('requête (POST)')}".encode()),
        (f"/api/v1/search?q={words('requête (API)')}", "GET", b""),
        (f"/api/v1/suggest?q={words('suggestion')}", "GET", b""),
        (f"/recherche.csv?q={words('requête (export)')}", "GET", b""),
        (f"/recherche?size={words('valeur de filtre')}", "GET", b""),
        (f"/{words('chemin')}", "GET", b""),
        (f"/recherche?q={words('requête démesurée') * 900}", "GET", b""),
    ):
        _, _, answer = _ask(request(canaries, target, method, body), canaries.address("adresse du lecteur"))
        arrived += canaries.among(answer)
    _say("readers are answered with their own words", arrived >= 3, arrived)


def _sandbox() -> None:
    for unit in (SERVE, PROXY):
        told = "".join(Path(f"/proc/{pid}/{name}").read_text() for pid in _pids(unit) for name in ("status", "limits"))
        for what, pattern in (
            ("no new privileges", r"NoNewPrivs:\t1"),
            ("system calls filtered", r"Seccomp:\t2"),
            ("no core dump", r"Max core file size +0 +0 "),
            *([("no capability", r"CapEff:\t0{16}\n")] if unit == SERVE else []),
        ):
            found = len(re.findall(pattern, told))
            _say(f"{unit}: {what}", found == len(_pids(unit)) > 0, f"{found} processes")
    _say("the service may call this machine (nginx)", _call(SERVE, "127.0.0.1") == "connected")
    _say("the service may call nobody else", _call(SERVE, OUTSIDE) != "connected", _call(SERVE, OUTSIDE))
    outside = [_call("", address) for address in (OUTSIDE, PRIVATE)]
    _say("the same calls pass outside of the units", outside == ["connected"] * 2)
    _say("the service may write in the folder of the index alone",
         _writable(SERVE) == ["/var/lib/elunum/index"], _writable(SERVE))  # fmt: skip
    _say("nginx may write in its folder in memory alone", _writable(PROXY) == ["/run/elunum-proxy"], _writable(PROXY))
    temporary = Path(f"/proc/{_pids(SERVE)[0]}/root/tmp")
    _say("its /tmp is its own", temporary.exists() and not (temporary / "elunum-proxy").exists()
         and not list(Path("/tmp").glob("elunum-counts-*")))  # fmt: skip
    exposure = {unit: _run("systemd-analyze", "security", unit).rpartition(": ")[2] for unit in (SERVE, PROXY, NIGHT)}
    _say("exposure, by systemd-analyze", True, exposure)


def _memory(canaries: Canaries) -> None:
    for unit in (SERVE, PROXY):
        swap = CGROUPS / unit / "memory.swap.max"
        if swap.exists():
            _say(f"{unit}: none of its memory may be swapped", swap.read_text().strip() == "0")
        else:
            print(f"not seen: MemorySwapMax of {unit}, for cgroup v2 has no memory controller on this machine")
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")):
        print(f"not seen: a core dump, for this machine gives them to {pattern}")
        return
    folder = Path("/var/lib/elunum/index")  # where the service may write
    word = canaries.word("mot d’une panne provoquée").encode()
    code = "import os, sys; words = sys.stdin.read(); os.abort()"
    subprocess.run([sys.executable, "-c", code], input=word, cwd=folder, check=False)
    dumps = list(folder.glob("core*"))
    _say("a program without limits dumps its memory here", any(word in dump.read_bytes() for dump in dumps))
    for dump in dumps:
        dump.unlink()
    began, worker = time.time(), _workers()[0]
    os.kill(worker, signal.SIGSEGV)
    gone = _until(lambda: worker not in _pids(SERVE), 30)
    dumps = [path for path in WRITTEN.rglob("core*") if path.is_file() and path.stat().st_mtime > began - 1]
    _say("a worker that crashes leaves no dump", gone and not dumps, dumps or "")
    _until(lambda: len(_workers()) == 2, 120)


def _deaths() -> None:
    with _readers() as answers:
        before = set(_workers())
        os.kill(min(before), signal.SIGKILL)
        replaced = _until(lambda: len(set(_workers()) - before) == 1, 120)
        time.sleep(10)
    _say("a killed worker is replaced", replaced)
    _say("no reader behind nginx notices", set(answers) == {200}, dict(answers))
    main = _main(SERVE)
    os.kill(main, signal.SIGKILL)
    began = time.monotonic()
    back = _until(lambda: _search() == 200 and main not in _pids(SERVE), 300)
    _say("a service that is killed whole is started again", back, f"{time.monotonic() - began:.0f} s")
    os.kill(_main(PROXY), signal.SIGKILL)
    _say("so is nginx", _until(lambda: _search() == 200, 60))


def _another_night() -> None:
    _list(*SOURCES, ONE_MORE)
    with _readers() as answers:
        _run("systemctl", "start", NIGHT)
    result = _result(NIGHT)
    _say("a night beside readers ends well", result == "success", result)
    _say("no reader notices", set(answers) == {200}, dict(answers))
    host = ONE_MORE.split("/")[2]
    found = _until(lambda: b'"total":0' not in _ask(_plain(f"/api/v1/search?q=ville&site={host}"))[2], 30)
    _say("the service shows the new version without a restart", found)


def _checked() -> None:
    """The last of the commands of deploy/README.md."""
    command = re.findall(r"^    (runuser .*)$", DEPLOY.read_text(), re.M)[0]
    done = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True, check=False)
    _say("privacy-check is green as the user of the service", done.returncode == 0, "" if done.returncode == 0 else
         (done.stdout + done.stderr)[-3000:])  # fmt: skip


def _end(canaries: Canaries) -> None:
    slow = _plain(f"/recherche?q={canaries.word('requête pendant l’arrêt')}")
    threads = [threading.Thread(target=_ask, args=(slow,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    _run("systemctl", "stop", PROXY, SERVE)
    for thread in threads:
        thread.join()
    results = [_result(unit) for unit in (SERVE, PROXY)]
    _say("both stop when they are told to", results == ["success", "success"] and not _pids(SERVE), results)
    told = _run("journalctl", "--no-pager", "-q", "-p", "warning", "-t", "systemd", "--grep", "elunum")
    _say("systemd complains of nothing in the units", all("killed" in line or "signal" in line or "Failed with result"
         in line or "core-dump" in line for line in told.splitlines()), told[-1500:])  # fmt: skip
    journal = _run("journalctl", "--no-pager", "-o", "export").encode()
    _say("the journal holds no word of readers", not canaries.within(journal), f"{len(journal)} bytes")
    searched, found = 0, set()
    for root in (WRITTEN, Path("/run"), Path("/tmp"), Path("/dev/shm")):
        for path in root.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    leaks, size = canaries.in_file(path, hashes=False)
                    searched += size
                    found |= {(str(path), leak.what, leak.form) for leak in leaks}
    _say("nor does any file written since this machine was started", not found, found or f"{searched} bytes read")
    planted = WRITTEN / "planted"
    planted.write_text(canaries.word("essai"))
    _say("such a file would be seen", bool(canaries.in_file(planted)[0]))


# --- asking ----------------------------------------------------------------------------------------------------------


def _plain(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: elunum.example\r\nConnection: close\r\n\r\n".encode()


def _ask(payload: bytes, source: str = "127.0.0.1") -> tuple[int, bytes, bytes]:
    """(status, head, body) of an answer through nginx; status 0 for none."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    received = bytearray()
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", 443), 60, source_address=(source, 0)) as plain,
        unverified.wrap_socket(plain, server_hostname="elunum.example") as connection,
    ):
        connection.sendall(payload)
        while block := connection.recv(65_536):
            received += block
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return int(head[9:12] or 0), head, body


def _search() -> int:
    return _ask(_plain("/recherche?q=ville"))[0]


@contextmanager
def _readers() -> Iterator[Counter[int]]:
    """Two readers who search without pause; their answers by status once the block has ended."""
    answers: Counter[int] = Counter()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            answers[_search()] += 1

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


# --- looking ---------------------------------------------------------------------------------------------------------


def _pids(unit: str) -> list[int]:
    try:
        return [int(line) for line in (CGROUPS / unit / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _main(unit: str) -> int:
    return int(_run("systemctl", "show", "-p", "MainPID", "--value", unit))


def _result(unit: str) -> str:
    return _run("systemctl", "show", "-p", "Result", "--value", unit)


def _workers() -> list[int]:
    found = []
    for pid in _pids(SERVE):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _call(unit: str, address: str) -> str:
    """How a connection to an address ends for a process that stands in a unit: "connected", or an error."""
    code = f"import socket; socket.create_connection(('{address}', {PORT}), 5); print('connected')"
    enter = f"echo $$ >{CGROUPS / unit}/cgroup.procs; " if unit else ""
    done = subprocess.run(
        ["sh", "-ec", f'{enter}exec {sys.executable} -c "{code}"'], capture_output=True, text=True, check=False
    )
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def _writable(unit: str) -> list[str]:
    """Folders where a process may write that sees the files as the first process of a unit does."""
    found = []
    for place in PLACES:
        try_it = f"touch {place}/.tried && rm {place}/.tried"
        command = ["nsenter", "-t", str(_pids(unit)[0]), "-m", "sh", "-c", try_it]
        if Path(place).is_dir() and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            found.append(place)
    return [place for place in found if not any(place.startswith(f"{other}/") for other in found)]


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.5)
    return False


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def _say(what: str, holds: bool, seen: object = "") -> None:
    print(f"{'held  ' if holds else 'FAILED'} {what}{f': {seen}' if seen != '' else ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
