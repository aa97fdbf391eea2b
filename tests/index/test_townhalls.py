"""Pages of town halls as their systems serve them: text, title, date and language, alone and on a small site."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from urllib.parse import urljoin

import pytest

from bench.extract import f1
from elunum.index.extract import extract
from elunum.index.update import update
from elunum.model import Document, Page
from elunum.sources import SourceList
from tests.index.townhalls import TownHall, filled, townhalls
from tests.index.web import PROSE, archived, stored

CASES = list(townhalls())


def read(case: TownHall) -> Document:
    found = extract(case.page)
    assert isinstance(found, Document), found
    return found


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_town_halls_page_gives_its_title_date_language_and_whole_text(case: TownHall) -> None:
    found = read(case)
    assert (found.title, str(found.date or ""), found.lang) == (case.title, case.date, case.lang)
    assert not words(case.text) - words(found.text)
    assert f1(found.text, case.text) >= 0.85


def test_what_stands_around_town_halls_texts_stays_out_of_nearly_all_of_them() -> None:
    assert fmean(f1(read(case).text, case.text) for case in CASES) >= 0.955


def test_what_a_small_site_repeats_around_its_texts_stays_out_though_nothing_says_what_it_is(tmp_path: Path) -> None:
    texts = {
        "Le marché": PROSE,
        "La bibliothèque": "La bibliothèque prête aussi des outils et des graines, cinq à la fois et pour un mois. "
        * 3,
        "Les jardins": "Douze parcelles attendent des jardiniers ; l'eau vient du toit de l'école voisine. " * 4,
    }
    pages: list[Page] = []
    for case in CASES:
        for n, (title, text) in enumerate(texts.items()):
            pages.append(replace(case.page, url=urljoin(case.page.url, f"/p{n}"), body=filled(case, title, text)))
    settings = archived(tmp_path, pages)
    update(settings, SourceList([]))
    found = stored(settings)
    assert len(found) == len(pages)
    for page in pages:
        title, text = list(texts.items())[int(page.url[-1])]
        document = found[page.url]
        assert document.title == title, page.url
        assert set(document.text.split("\n")) <= {title, " ".join(text.split())}, page.url
