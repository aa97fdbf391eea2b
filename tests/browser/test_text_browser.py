"""The whole journey in w3m, a browser of text: what it shows, and only links and forms that it can follow."""

from __future__ import annotations

import gzip
import html
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.site.conftest import Server

W3M = shutil.which("w3m")


class TextBrowser:
    """w3m on a page: `text` as a reader sees it, `links` by their words, all from w3m's own reading of the page."""

    def __init__(self, server: Server, home: Path) -> None:
        self.base, self.home = server.base, home
        self.text = self.source = ""

    def open(self, address: str) -> None:
        self.address = address if address.startswith("http") else self.base + address
        self.text, self.source = self._run("-dump"), self._run("-dump_source")

    def follow(self, words: str) -> None:
        """Follow the link of these words, or else the first that holds them; they must be among the words shown."""
        found = sorted((pair for pair in self.links if words in pair[1]), key=lambda pair: pair[1] != words)
        assert found, f"no link « {words} »"
        assert words in " ".join(self.text.split())
        self.open(found[0][0])

    @property
    def links(self) -> list[tuple[str, str]]:
        pairs = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', self.source, re.DOTALL)
        return [(html.unescape(href), html.unescape(re.sub(r"<[^>]*>", "", text)).strip()) for href, text in pairs]

    def submit(self, label: str, value: str) -> None:
        """Fill the field with this label and send its form (GET), as w3m would."""
        assert label in " ".join(self.text.split())
        for form in re.findall(r"<form.*?</form>", self.source, re.DOTALL):
            field = re.search(r'<label[^>]*for="([^"]*)"[^>]*>' + re.escape(label), form)
            if field:
                name = re.search(rf'<input id="{field[1]}"[^>]*? name="([^"]*)"', form)
                action = re.search(r'action="([^"]*)"', form)
                assert name
                assert action
                assert 'method="post"' not in form
                hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
                pairs = [*((n, html.unescape(v)) for n, v in hidden), (name[1], value)]
                self.open(f"{action[1]}?{urlencode(pairs)}")
                return
        raise AssertionError(f"no field « {label} »")

    def _run(self, how: str) -> str:
        # So wide that no link is cut by the end of a line.
        done = subprocess.run(
            [str(W3M), how, "-I", "UTF-8", "-O", "UTF-8", "-cols", "200", "-no-cookie", self.address],
            capture_output=True, timeout=30, env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"}, check=True,
        )  # fmt: skip
        # The source comes as it was sent.
        sent = gzip.decompress(done.stdout) if done.stdout.startswith(b"\x1f\x8b") else done.stdout
        return sent.decode("utf-8-sig")


@pytest.fixture
def w3m(server: Server, tmp_path: Path) -> TextBrowser:
    if W3M is None:
        pytest.skip("w3m is not installed; `make browser` installs it")
    return TextBrowser(server, tmp_path)


def total(text: str) -> int:
    found = re.search(r"(\d[\d\u202f]*) résultats?", text)
    assert found, text[:400]
    return int(found[1].replace("\u202f", ""))


def test_the_whole_journey_works_in_a_text_browser(w3m: TextBrowser) -> None:
    w3m.open("/")
    w3m.submit("Que cherchez-vous", "budget participatif")
    everything = total(w3m.text)
    assert everything > 10
    w3m.follow("Suivants →")
    assert "page 2" in w3m.text
    assert total(w3m.text) == everything
    w3m.follow("← Précédents")
    w3m.follow("Démocratie locale")
    fewer = total(w3m.text)
    assert 0 < fewer < everything
    w3m.submit("Chez les communes comme", "rixheim")
    w3m.follow("comparables à Rixheim ×")
    assert total(w3m.text) == fewer
    w3m.follow("Retenir")
    assert "1 résultat retenu" in w3m.text
    w3m.follow("Initiatives comparables")
    w3m.follow("Retenir")
    assert "2 résultats retenus" in w3m.text
    w3m.follow("Note de conseil")
    assert "Établie le" in w3m.text
    assert len(re.findall(r"Source\s:", w3m.text)) == 2
    w3m.follow("CSV")
    assert len(w3m.source.splitlines()) == 3
    w3m.open("/recherche?q=budget")
    w3m.follow("flux Atom")
    assert "<feed" in w3m.source
    w3m.open("/recherche?q=budget")
    w3m.follow("Rixheim")
    assert "La mosaïque de ses enjeux" in w3m.text
    w3m.open("/carte?q=budget")
    assert "Bretagne" in w3m.text
    w3m.open("/nulle-part")
    w3m.follow("Reprendre depuis l’accueil")
    assert "Que cherchez-vous" in w3m.text
