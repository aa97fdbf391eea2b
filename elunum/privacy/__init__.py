"""`elunum privacy-check`: the promise that nothing is recorded about readers, as something that can be run.

The real service is started as it is deployed, visited by readers of every kind whose every word was drawn at random,
and then everything it wrote, said, counted, sent or left behind is searched for those words.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from elunum.privacy import readers, trace
from elunum.privacy.canaries import Canaries
from elunum.privacy.report import Leak, Played, PrivacyReport, Read
from elunum.privacy.service import NGINX_CONF, Faults, Process, elunum, nginx, nginx_refusal, scratch
from elunum.settings import Settings

__all__ = ["Leak", "PrivacyReport", "check"]

WORKERS = 2
_SYSTEM_LOGS = ("/dev/log", "/run/systemd/journal")
_OTHERS_WRITE = (Path("/var/log"), Path("/run/log"), Path("/var/lib/systemd/coredump"), Path("/var/crash"))
_NAME_SERVICE = ("/var/run/nscd", "/run/nscd", "/var/run/setrans")  # where the C library asks for names of users


def check(settings: Settings, proxy: bool = True, nginx_conf: Path = NGINX_CONF) -> PrivacyReport:
    """Start the service, visit it, search all it left. Takes about a minute.

    proxy: through nginx too, where it is installed, with `nginx_conf`. The operator's index is served when there is
    one, a tiny one made for the occasion otherwise. Raises SettingsError when the service does not start.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    findings = _Findings(Canaries())
    canaries = findings.canaries
    faults = Faults(*(canaries.word("mot d’une panne provoquée") for _ in range(3)))
    visits: list[readers.Visit] = []
    with scratch() as folder:
        settings, index = _with_index(settings, folder)
        with ExitStack() as running:
            service = running.enter_context(elunum(settings, folder, faults, WORKERS))
            programs = [service]
            if proxy and not (refusal := nginx_refusal()):
                programs.append(running.enter_context(nginx(service.port, folder, nginx_conf)))
            elif proxy:
                findings.reservations.append(f"Le serveur frontal n’a pas été contrôlé : {refusal}.")
            visited_at = time.time()
            for program in programs:
                visits.append(readers.visit(program, canaries, faults))
                findings.answers(program, visits[-1])
            findings.memory(service)
            findings.held(programs)
            findings.files(_left_behind(folder, settings, visited_at), "fichiers changés pendant le service")
            last = _shutdown(service, canaries, faults)
        visits[0].scenes.append(last())
        findings.said(programs)
        findings.traced(programs, visited_at)
        findings.files(_left_behind(folder, settings, visited_at), "fichiers changés, lus après l’arrêt")
    played = tuple(
        Played(this.process.name, scene.name, tuple(sorted(scene.answers.items())))
        for this in visits
        for scene in this.scenes
    )
    return PrivacyReport(
        started, time.monotonic() - began, index, len(canaries), trace.available(), played, tuple(findings.read),
        tuple(sorted(set(findings.leaks))), tuple(findings.reservations),
    )  # fmt: skip


def _with_index(settings: Settings, folder: Path) -> tuple[Settings, str]:
    """Settings that have an index to serve, and what to call it in the report."""
    if (settings.index_dir / "current").exists():
        return settings, f"celui de l’exploitant ({settings.index_dir})"
    from elunum.privacy.specimen import make

    return make(settings, folder / "data"), "un index d’essai de quelques pages (l’exploitant n’en a pas encore)"


def _shutdown(service: Process, canaries: Canaries, faults: Faults) -> Callable[[], readers.Scene]:
    """Readers in the middle of whose search the service is about to be stopped; call the result for their answers."""
    scene = readers.Scene("arrêt du service pendant des recherches")
    payloads = [
        readers.request(canaries, f"/recherche?q={faults.slow}+{canaries.word('requête pendant l’arrêt')}")
        for _ in range(4)
    ]
    sources = [canaries.address("adresse du lecteur") for _ in payloads]

    def ask(payload: bytes, source: str) -> None:
        scene.answers[readers.exchange(service.port, payload, source).status] += 1

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(payloads, sources, strict=True)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # the searches have begun and last two seconds

    def ended() -> readers.Scene:
        for thread in threads:
            thread.join()
        return scene

    return ended


@dataclass
class _Findings:
    """What is gathered while the places are searched, one method each."""

    canaries: Canaries
    leaks: list[Leak] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    reservations: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)  # files that were read

    def _search(self, data: bytes, where: str) -> None:
        self.leaks += [Leak(found.what, found.form, where) for found in self.canaries.within(data)]

    def answers(self, program: Process, visit: readers.Visit) -> None:
        """What readers were answered, and what another reader is answered afterwards."""
        if visit.cookies:
            self.leaks.append(Leak("cookie", "déposé chez le lecteur", f"réponses : {program.name}"))
        for path, header in sorted(visit.unprotected):
            self.leaks.append(
                Leak("réponse qui cite la requête", f"sans l’en-tête {header}", f"{path}, {program.name}")
            )
        if visit.echoed < 5:
            # A service that refuses everything leaks nothing, and proves nothing.
            self.leaks.append(Leak("contrôle", "les recherches d’essai n’ont pas abouti", f"réponses : {program.name}"))
        others = readers.afterwards(program)
        for path, answer in others:
            self._search(answer.head + answer.body, f"réponse à un autre lecteur : {path}")
        size = sum(len(answer.head) + len(answer.body) for _, answer in others)
        self.read.append(Read(f"réponses aux lecteurs suivants et métriques, {program.name}", len(others), size))

    def memory(self, service: Process) -> None:
        """Whether the memory of the service could reach a disk."""
        for pid in service.pids():
            try:
                limits = Path(f"/proc/{pid}/limits").read_text()
            except OSError:
                continue
            core = next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size"))
            if core != "0":
                self.leaks.append(Leak("mémoire du service", "vidage permis (core dump)", f"processus {service.name}"))
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.read.append(Read(f"réglage des vidages mémoire (core_pattern = {pattern})", 1, len(pattern)))
        areas = Path("/proc/swaps").read_text().splitlines()[1:]
        self.read.append(Read("zones d’échange (swap)", len(areas), 0))
        if areas:
            names = ", ".join(area.split()[0] for area in areas)
            self.reservations.append(
                f"La mémoire du service peut être copiée sur disque par l’échange ({names}) s’il n’est pas lancé "
                "par l’unité systemd fournie, qui l’interdit (MemorySwapMax=0) ; sinon, chiffrer ou retirer cette zone."
            )

    def held(self, programs: Iterable[Process]) -> None:
        """The files that the processes hold open or share in memory, and those they have opened so far."""
        count = size = 0
        for program in programs:
            places = dict(trace.held(program.pids()))
            if program.log is not None:
                places |= {path: str(path) for path in _opened(program)}
            for path, name in places.items():
                with suppress(OSError):
                    found, length = self.canaries.in_file(path)
                    count, size = count + 1, size + length
                    self.leaks += [Leak(one.what, one.form, name) for one in found]
                    self._seen.add(name)
        self.read.append(Read("fichiers tenus ouverts ou partagés en mémoire par les processus", count, size))

    def said(self, programs: Iterable[Process]) -> None:
        """Standard output and error, which is what the journal would keep."""
        for program in programs:
            self._search(bytes(program.said), f"sortie standard ou d’erreur : {program.name}")
            lines = program.said.count(b"\n")
            self.read.append(Read(f"lignes de journal, {program.name}", lines, len(program.said)))

    def traced(self, programs: Iterable[Process], since: float) -> None:
        """Every byte that left the processes other than towards readers, and every connection they opened."""
        programs = list(programs)
        if not trace.available():
            self.reservations.append(
                "Les appels système n’ont pas été suivis (strace absent ou interdit) : un fichier écrit puis effacé, "
                "ou une connexion sortante, n’auraient pas été vus. Refaire le contrôle là où strace est permis."
            )
            return
        ports = {str(program.port) for program in programs}
        for program in programs:
            assert program.log is not None
            seen = trace.read(program.log, lambda socket: _is_reader(socket, ports))
            written: dict[str, bytearray] = {}
            for write in seen.writes:
                written.setdefault(write.into, bytearray()).extend(write.data)
                if write.is_file and write.at >= since and write.data:
                    self.leaks.append(Leak("contenu inconnu", "écriture pendant les visites", write.into))
            for into, data in written.items():
                self._search(bytes(data), f"écrit par {program.name} : {into}")
            calls = [call.to for call in seen.calls if _whom(call.to, ports)]
            self.leaks += [
                Leak("le service appelle ailleurs", _whom(to, ports), f"{program.name} : {to}") for to in calls
            ]
            if seen.unseen:
                self.reservations.append(
                    f"{program.name} a employé {', '.join(sorted(seen.unseen))} : ces écritures échappent au suivi."
                )
            size = sum(len(write.data) for write in seen.writes)
            self.read.append(Read(f"écritures hors réponses aux lecteurs, {program.name}", len(seen.writes), size))
            self.read.append(Read(f"connexions ouvertes vers l’extérieur, {program.name}", len(calls), 0))
            self.files(seen.opened, f"fichiers ouverts en écriture, {program.name}", hashes=True)
            # Each serving process maps its own files of counts, named by its number: those of some are read for all.
            known = {_without_numbers(name) for name in self._seen}
            self.leaks += [
                Leak("contenu inconnu", "fichier effacé avant d’avoir pu être lu", str(path))
                for path, at in seen.opened.items()
                if at >= since and not path.exists() and _without_numbers(str(path)) not in known
            ]

    def files(self, paths: Iterable[Path], place: str, hashes: bool = False) -> None:
        """The content of files."""
        count = size = 0
        for path in sorted(paths):
            try:
                if not path.is_file():
                    continue
                found, length = self.canaries.in_file(path, hashes)
                self._seen.add(str(path))
            except OSError:
                continue  # gone meanwhile: what was written to it is in the trace
            count, size = count + 1, size + length
            self.leaks += [Leak(one.what, one.form, str(path)) for one in found]
        self.read.append(Read(place, count, size))


def _without_numbers(path: str) -> str:
    return re.sub(r"\d+", "", path)


def _opened(program: Process) -> list[Path]:
    """Files that a running program has opened for writing so far and that are still there."""
    assert program.log is not None
    return [path for path in trace.read(program.log, lambda socket: True).opened if path.is_file()]


def _is_reader(socket: str, ports: set[str]) -> bool:
    """Whether a socket, as strace describes it, is a reader's connection to us (or nginx's to the service)."""
    kind, _, ends = socket.partition(":[")
    if not kind.startswith("TCP"):
        return False
    local, arrow, remote = ends.rstrip("]").partition("->")
    # Without a peer the reader has gone: nothing sent there arrives anywhere.
    return not arrow or local.rpartition(":")[2] in ports or remote.rpartition(":")[2] in ports


def _whom(to: str, ports: set[str]) -> str:
    """What a connection towards `to` is, in French; empty when it is nginx asking the service, or names of users."""
    if to.startswith(_NAME_SERVICE):
        return ""
    if to.startswith(_SYSTEM_LOGS):
        return "journal du système"
    if to.startswith("/"):
        return "autre programme de la machine"
    return "" if to.startswith("127.0.0.1:") and to.rpartition(":")[2] in ports else "connexion sortante"


def _left_behind(folder: Path, settings: Settings, since: float) -> Iterator[Path]:
    """Files changed since then where another program may have written on the service's behalf: the system's journal,
    its collector of core dumps; and where the service itself may write, when its system calls are not seen."""
    roots = [settings.data, folder / "nginx", *_OTHERS_WRITE]
    if not trace.available():
        shared = (Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - read, never written
        roots += [Path(tempfile.gettempdir()), *shared, Path.home() / ".cache"]
    for root in roots:
        yield from _changed(root, since, skip=folder if root != folder / "nginx" else None)
    pattern = Path(Path("/proc/sys/kernel/core_pattern").read_text().strip())
    for place in {Path.cwd(), folder / "nginx", *([pattern.parent] if pattern.is_absolute() else [])}:
        yield from (path for path in place.glob("*core*") if _is_new(path, since))


def _changed(root: Path, since: float, skip: Path | None) -> Iterator[Path]:
    try:
        entries = list(root.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry == skip or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _changed(entry, since, skip)
        elif _is_new(entry, since):
            yield entry


def _is_new(path: Path, since: float) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return max(status.st_mtime, status.st_ctime) >= since - 2 and path.is_file()
