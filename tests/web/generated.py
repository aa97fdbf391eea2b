"""A web of any number of hosts, made of numbers: the same every time, a little different every night.

python -m tests.web.generated --hosts 35000 --pages 5      serves it and prints its port; POST /night advances it
"""

from __future__ import annotations

import argparse
import random
import re
import zlib
from functools import lru_cache

from tests.web.server import LISTS, Answer, Asked, Reply, Web

_WORDS = re.findall(
    r"\w+",
    "commune conseil budget projet école mairie habitants eau transport énergie forêt culture jeunesse marché public "
    "travaux réunion place jardin vélo atelier service accueil enquête avis délibération sport fête",
)
_HTML = {"Content-Type": "text/html; charset=utf-8"}


def name(number: int) -> str:
    """The host of a number."""
    return f"h{number:05}.exemple.fr"


class Generated:
    """Hosts 0 to `hosts`, each with `pages` pages that link to one another; a share of them changes every night."""

    def __init__(self, hosts: int, pages: int, changing: float = 0.1) -> None:
        self.hosts, self.pages, self.changing, self.night = hosts, pages, changing, 0
        self._paragraphs = [f"<p>{self._words(n, 60)}.</p>" for n in range(997)]

    def __call__(self, asked: Asked) -> Reply | None:
        """The answer, with an ETag that holds until the page changes."""
        if asked.target == "/__night":
            self.night += 1
            return Reply(body=b"ok")
        if asked.target == "/robots.txt":
            return Reply(body=b"User-agent: *\nDisallow: /prive\n", headers={"Content-Type": "text/plain"})
        if asked.target in LISTS:
            return None
        number = asked.target.removeprefix("/p")
        page = 0 if asked.target == "/" else int(number) if number.isdecimal() else self.pages
        if page >= self.pages:
            return None
        version = self.version(asked.host, page)
        tag = f'"{version}-{page}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(304, headers={"ETag": tag})
        return Reply(body=self._page(asked.host, page, version), headers={**_HTML, "ETag": tag})

    def version(self, host: str, page: int) -> int:
        """How many times a page has changed by now."""
        key = f"{host}/{page}"
        return sum(
            zlib.crc32(f"{key}@{night}".encode()) % 1000 < self.changing * 1000 for night in range(1, self.night + 1)
        )

    def _page(self, host: str, page: int, version: int) -> bytes:
        menu = "".join(f'<li><a href="/{f"p{n}" if n else ""}">Rubrique {n}</a></li>' for n in range(self.pages))
        seed = zlib.crc32(f"{host}/{page}#{version}".encode())
        # Eight of a thousand: pages are made of the same sentences and yet no two are alike.
        text = "".join(self._paragraphs[(seed >> (4 * n)) * 31 % 997] for n in range(8))
        return (
            f"<!DOCTYPE html><html lang=fr><head><meta charset=utf-8><title>Page {page} de {host}</title></head><body>"
            f"<nav><ul>{menu}</ul></nav><main><h1>{self._words(seed, 6)}</h1><p>{self._words(seed, 80)}</p>"
            f"{text}</main></body></html>"
        ).encode()

    @staticmethod
    @lru_cache(maxsize=1000)
    def _words(seed: int, count: int) -> str:
        draw = random.Random(seed)
        return " ".join(draw.choices(_WORDS, k=count))


def serve(answer: Answer) -> None:
    """Serve until killed; the port goes to stdout."""
    with Web(answer, record=False) as web:
        print(web.port, flush=True)
        input()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=35_000)
    parser.add_argument("--pages", type=int, default=5)
    options = parser.parse_args()
    serve(Generated(options.hosts, options.pages))
