"""Readers of every kind, polite and not, each with canaries in all that a browser sends."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from elunum.privacy.canaries import Canaries
from elunum.privacy.service import Faults, Process

WAIT_S = 20.0
CROWD = 48
"""Readers at once in the scene of overload: more than two serving processes take in hand (service.IN_HAND)."""

PROTECTIONS = (
    ("cache-control", ("no-store", "private, no-cache")),  # the second: feeds, that readers' programs compare
    ("referrer-policy", ("no-referrer",)),
    ("content-security-policy", ("default-src 'none'",)),
    ("x-robots-tag", ("noindex",)),
)
"""What the headers of every answer that quotes a reader must say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """The values of a header, joined by commas."""
        lines = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return ", ".join(v.strip().decode("latin-1") for n, _, v in lines if n.strip().lower() == name.lower().encode())


@dataclass
class Scene:
    """One kind of visit: how many requests, and what they were answered."""

    name: str  # in French
    answers: Counter[int] = field(default_factory=Counter)  # by status; 0 for none


@dataclass
class Visit:
    """All the scenes played against one program."""

    process: Process
    canaries: Canaries
    scenes: list[Scene] = field(default_factory=list)
    cookies: bool = False  # an answer held Set-Cookie
    unprotected: set[tuple[str, str]] = field(default_factory=set)  # (path, header missing beside a reader's words)
    echoed: int = 0  # answers that held the reader's own words, as they should: the canaries did arrive

    def ask(self, scene: Scene, payload: bytes, source: str = "", leave_after: float = WAIT_S) -> Answer:
        """Send bytes from an address of 127.0.0.0/8 and read the answer, hanging up after `leave_after` seconds."""
        answer = exchange(
            self.process.port, payload, source or self.canaries.address("adresse du lecteur"), leave_after
        )
        self.note(scene, answer, payload)
        return answer

    def note(self, scene: Scene, answer: Answer, payload: bytes) -> None:
        """Count an answer, and check what every answer must and must not hold."""
        scene.answers[answer.status] += 1
        self.cookies |= bool(answer.header("set-cookie"))
        if answer.status == 200 and self.canaries.among(answer.body):
            self.echoed += 1
            for name, words in PROTECTIONS:
                if not any(word in answer.header(name) for word in words):
                    path = payload.partition(b" ")[2].partition(b"?")[0].partition(b" ")[0].decode("latin-1")
                    self.unprotected.add((path, name))


def exchange(port: int, payload: bytes, source: str, leave_after: float = WAIT_S) -> Answer:
    """One request, as bytes, from an address; the whole answer, until the server closes or the reader leaves."""
    received = bytearray()
    try:
        with socket.create_connection(("127.0.0.1", port), leave_after, source_address=(source, 0)) as connection:
            connection.sendall(payload)
            while block := connection.recv(65_536):
                received += block
    except OSError:
        pass
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    words = head[:12].split(b" ")
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Answer(status, head, body)


def visit(process: Process, canaries: Canaries, faults: Faults) -> Visit:
    """Play every scene against a program; its shutdown is played by the caller."""
    this = Visit(process, canaries)
    for name, play in _scenes(this, faults):
        scene = Scene(name)
        this.scenes.append(scene)
        play(scene)
    return this


def request(
    canaries: Canaries,
    target: str,
    method: str = "GET",
    body: bytes = b"",
    kind: str = "",
    more: bytes = b"",
    length: int = 0,
) -> bytes:
    """A request whose every header that a browser fills holds a canary of its own. length: announced, of the body."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"User-Agent: {canaries.word('agent utilisateur')}/5.0 (X11; {canaries.word('agent utilisateur')})",
        f"Referer: https://{canaries.word('page d’origine')}.fr/?q={canaries.word('page d’origine')}",
        f"Cookie: session={canaries.word('cookie')}",
        f"Authorization: Bearer {canaries.word('en-tête')}",
        f"X-Forwarded-For: {canaries.address('adresse annoncée (X-Forwarded-For)')}",
        f"Forwarded: for={canaries.address('adresse annoncée (X-Forwarded-For)')}",
        f"Accept-Language: {canaries.word('en-tête')}",
        f'If-None-Match: "{canaries.word("en-tête")}"',
        f"X-{canaries.word('en-tête')}: {canaries.word('en-tête')}",
    ]
    if body or method == "POST":
        lines += [
            f"Content-Type: {kind or 'application/x-www-form-urlencoded'}",
            f"Content-Length: {length or len(body)}",
        ]
    return "\r\n".join(lines).encode() + b"\r\n" + more + b"\r\n" + body


def _scenes(visit: Visit, faults: Faults) -> Iterator[tuple[str, Callable[[Scene], None]]]:
    canaries = visit.canaries

    def get(*targets: str) -> Callable[[Scene], None]:
        def play(scene: Scene) -> None:
            for target in targets:
                visit.ask(scene, request(canaries, target))

        return play

    def post(*requests: tuple[str, bytes, str]) -> Callable[[Scene], None]:
        def play(scene: Scene) -> None:
            for target, body, kind in requests:
                visit.ask(scene, request(canaries, target, "POST", body, kind))

        return play

    def raw(*payloads: bytes, leave_after: float = 1.0) -> Callable[[Scene], None]:
        def play(scene: Scene) -> None:
            for payload in payloads:
                visit.ask(scene, payload, leave_after=leave_after)

        return play

    w = canaries.word
    # They last as long as the limits on slow readers: the other scenes are played meanwhile.
    late = [
        request(canaries, "/recherche", "POST", f"q={w('requête inachevée')}".encode(), length=9_000),
        request(canaries, f"/recherche?q={w('requête inachevée')}")[:-2],
        b"",
    ]
    waiting = ThreadPoolExecutor(len(late))
    ended = [waiting.submit(exchange, visit.process.port, one, canaries.address("adresse du lecteur")) for one in late]

    def out_of_time(scene: Scene) -> None:
        for payload, answer in zip(late, ended, strict=True):
            visit.note(scene, answer.result(), payload)
        waiting.shutdown()

    yield (
        "recherche",
        get(
            f"/recherche?q={w('requête (GET)')}",
            f"/recherche?q={w('requête (GET)')}+l%27%C3%A9cole&sort=date",
            f"/recherche?q=%22{w('requête (GET)')}%22+-{w('requête (GET)')}",
            f"/?q={w('requête (GET)')}",
        ),
    )
    form = f"q={w('requête (POST)')}".encode()
    yield (
        "recherche en mode discret (POST)",
        post(
            ("/recherche", form, ""),
            ("/recherche", b"aller=" + f"q%3D{w('requête (POST)')}".encode(), ""),
            ("/recherche.csv", form, ""),
            ("/recherche", form + b"&q=" + b"a" * 12_000, ""),
            ("/recherche", form + b"&q=" + b"a" * 40_000, ""),
            ("/recherche", b'{"q":"' + form + b'"}', "application/json"),
            ("/api/v1/search", form, f"text/{w('requête (POST)')}"),
        ),
    )
    yield (
        "filtres et paramètres",
        get(
            f"/recherche?q=eau&site={w('valeur de filtre')}.fr",
            f"/recherche?q=eau&enjeu={w('valeur de filtre')}",
            f"/recherche?q=eau&commune={w('valeur de filtre')}",
            f"/recherche?q=eau&since={w('valeur de filtre')}",
            f"/recherche?q=eau&{w('nom de paramètre')}={w('valeur de paramètre inconnu')}",
            f"/api/v1/search?q=eau&page={w('valeur de filtre')}",
            f"/api/v1/search?q=eau&size={w('valeur de filtre')}&{w('nom de paramètre')}=1",
        ),
    )
    yield (
        "exports et flux",
        get(*(f"/recherche.{kind}?q={w('requête (export)')}" for kind in ("csv", "ods", "atom", "geojson"))),
    )
    yield (
        "programmes (API)",
        get(
            f"/api/v1/search?q={w('requête (API)')}",
            f"/api/v1/suggest?q={w('suggestion')}",
            f"/api/v1/similar/{w('chemin')}",
            f"/api/v1/sources?q={w('requête (API)')}",
            f"/api/v1/collectivites/{w('chemin')}",
        ),
    )
    yield (
        "autres pages",
        get(
            f"/sources?q={w('requête (GET)')}",
            f"/communes?q={w('requête (GET)')}",
            f"/carte?q={w('requête (GET)')}",
            f"/collectivites/{w('chemin')}",
            f"/{w('chemin')}",
            f"/{w('chemin')}/..%2f{w('chemin')}.html",
            f"/static/{w('chemin')}.css",
        ),
    )
    yield (
        "demandes mal formées",
        raw(
            f"GET /recherche?q={w('requête mal formée')} HTTP/9.9\r\n\r\n".encode(),
            f"{w('requête mal formée').upper()} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
            f"GET /recherche?q={w('requête mal formée')}\r\n\r\n".encode(),
            f"GET /recherche?q=\xff{w('requête mal formée')}%FF%00 HTTP/1.1\r\nHost: {w('en-tête')}\r\n\r\n".encode(
                "latin-1"
            ),
            f"GET / HTTP/1.1\r\n{w('requête mal formée')}\r\n\r\n".encode(),
            b"POST /recherche HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + w("requête mal formée").encode(),
            f"POST /recherche HTTP/1.1\r\nHost: a\r\nContent-Length: x{w('requête mal formée')}\r\n\r\n".encode(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + w("requête mal formée").encode() * 20,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + w("requête mal formée").encode(),
            w("requête mal formée").encode() + b"\x00\r\n\r\n",
        ),
    )
    yield (
        "demandes démesurées",
        raw(
            request(canaries, f"/recherche?q={w('requête démesurée')}{'a' * 5_000}"),
            request(canaries, f"/recherche?q={w('requête démesurée')}{'a' * 70_000}"),
            request(canaries, "/", more=b"X-Long: " + w("en-tête").encode() * 4_000 + b"\r\n"),
            request(canaries, "/recherche", "POST", b"q=" + w("requête démesurée").encode() * 60_000),
            leave_after=5.0,
        ),
    )
    yield (
        "panne au milieu d’une recherche (500)",
        get(f"/recherche?q={faults.crash}+{w('requête d’une panne')}", f"/api/v1/search?q={faults.crash}"),
    )
    yield (
        "lecteur parti avant la réponse",
        raw(request(canaries, f"/recherche?q={faults.slow}+{w('requête abandonnée')}"), leave_after=0.4),
    )
    yield "connexion rompue au milieu de la demande", lambda scene: _broken(visit, scene)
    yield (
        "deux demandes à la suite sur une connexion",
        raw(
            request(canaries, f"/recherche?q={w('requête (GET)')}").replace(
                b"Connection: close", b"Connection: keep-alive"
            )
            + request(canaries, f"/recherche?q={w('requête (GET)')}"),
            leave_after=5.0,
        ),
    )
    yield "surcharge", lambda scene: _crowd(visit, scene, faults)
    yield "demandes qui n’arrivent pas à leur fin (délai dépassé)", out_of_time
    yield (
        "mort brutale d’un processus",
        raw(request(canaries, f"/recherche?q={faults.kill}+{w('requête d’une panne')}"), leave_after=5.0),
    )
    yield "après la mort du processus", get(*(f"/recherche?q={w('requête (GET)')}" for _ in range(4)))


def _broken(visit: Visit, scene: Scene) -> None:
    """A reset in the middle of a request, and another in the middle of an answer."""
    canaries = visit.canaries
    whole = request(canaries, f"/recherche?q={canaries.word('requête abandonnée')}")
    for payload in (whole[: len(whole) // 2], whole):
        with socket.create_connection(
            ("127.0.0.1", visit.process.port), 5, source_address=(canaries.address("adresse du lecteur"), 0)
        ) as connection:
            connection.sendall(payload)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
        scene.answers[0] += 1


def _crowd(visit: Visit, scene: Scene, faults: Faults) -> None:
    """Many readers in the same instant, while each serving process is kept busy by a long search."""
    canaries = visit.canaries
    words = [f"{faults.slow}+" if number < 4 else "" for number in range(CROWD)]
    payloads = [request(canaries, f"/recherche?q={slow}{canaries.word('requête (surcharge)')}") for slow in words]
    sources = [canaries.address("adresse du lecteur") for _ in payloads]
    start = threading.Barrier(CROWD)

    def ask(payload: bytes, source: str, slow: str) -> Answer:
        start.wait()
        if not slow:
            time.sleep(0.2)
        return exchange(visit.process.port, payload, source)

    with ThreadPoolExecutor(CROWD) as pool:
        for answer, payload in zip(pool.map(ask, payloads, sources, words), payloads, strict=True):
            visit.note(scene, answer, payload)


def afterwards(process: Process) -> list[tuple[str, Answer]]:
    """What another reader is answered once all the canaries have passed: (what was asked, answer)."""
    asked = [
        "/",
        "/metrics",
        "/healthz",
        "/etat",
        "/sources",
        "/recherche?q=eau",
        "/api/v1/suggest?q=b",
        "/opensearch.xml",
    ]
    plain = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return [(path, exchange(process.port, plain.format(path).encode(), "127.0.0.1")) for path in asked]
