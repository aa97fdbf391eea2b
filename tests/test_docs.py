"""Every command, setting and enjeu is documented, and every link of the documentation leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from elunum.cli import app
from elunum.index.tags import load_referentiel
from scripts.settings_table import MANUAL, with_table
from tests.conftest import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])


def commands(command: object, words: str = "elunum") -> Iterator[str]:
    """The words of every command under a group; a command that has no others under it is one."""
    inner = getattr(command, "commands", {})
    if not inner:
        yield words
    for name, one in inner.items():
        yield from commands(one, f"{words} {name}")


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))))
def test_every_command_stands_in_the_manual(words: str) -> None:
    assert f"`{words}" in MANUAL.read_text(encoding="utf-8")


def test_the_table_of_settings_is_up_to_date() -> None:
    manual = MANUAL.read_text(encoding="utf-8")
    assert manual == with_table(manual), "run: python -m scripts.settings_table"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_enjeu_of_the_data_has_a_name_and_a_description_for_readers() -> None:
    for enjeu in load_referentiel().enjeux.values():
        assert enjeu.nom
        assert enjeu.description
