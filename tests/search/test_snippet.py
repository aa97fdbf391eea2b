"""The lines under a title."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from elunum.search.snippet import Snippets
from elunum.text import nfc, stems

TEXTS = st.text(max_size=400) | st.lists(
    st.sampled_from(["école", "œuvre", "<script>", "&amp;", "travaux", "l’eau", "\n", ". ", "<mark>", "😀", "'\""]),
    max_size=80,
).map(" ".join)
STEMS = st.sets(st.sampled_from(["ecol", "oeuvr", "travail", "eau", "script", "mark"]))


@given(TEXTS, STEMS)
def test_mark_is_the_only_tag_and_the_rest_is_escaped(text: str, wanted: set[str]) -> None:
    html = Snippets(wanted).of(nfc(text))
    bare = html.replace("<mark>", "").replace("</mark>", "")
    assert not re.search(r"[<>\"']", bare)
    assert not re.search(r"&(?!amp;|lt;|gt;|quot;|#x27;)", bare)
    assert html.count("<mark>") == html.count("</mark>")


@settings(deadline=None)
@given(TEXTS, STEMS)
def test_only_words_looked_for_are_marked(text: str, wanted: set[str]) -> None:
    for marked in re.findall(r"<mark>(.*?)</mark>", Snippets(wanted).of(nfc(text))):
        assert set(stems(marked)) <= wanted


def test_accents_plural_and_ligatures_are_marked() -> None:
    snippets = Snippets({"ecol", "oeuvr", "neuf", "19e"})
    html = snippets.of("Les ÉCOLES, l’œuvre et les maisons neuves du XIXe siècle.")
    assert re.findall("<mark>(.*?)</mark>", html) == ["ÉCOLES", "œuvre", "neuves", "XIXe"]


def test_another_way_to_say_it_is_marked_whole_or_not_at_all() -> None:
    text = (
        "Après un accident de travail, la mairie vous aide. " + "Un mot. " * 20 + "Un espace de travail partagé ouvre."
    )
    said = frozenset(stems("espace travail partagé"))
    html = Snippets(set(stems("mairie")), [said], chars=1_000).of(text)
    assert re.findall("<mark>(.*?)</mark>", html) == ["mairie", "espace", "travail", "partagé"]
    assert "<mark>" not in Snippets(set(), [said]).of("Le tiers payant après un accident de travail.")


def test_the_part_with_most_of_the_words_is_shown() -> None:
    text = "Le budget. " + "Autre chose ici. " * 60 + "Le vote du budget participatif est ouvert. " + "Fin. " * 60
    html = Snippets({"budget", "participatif", "vot"}).of(text)
    assert "<mark>participatif</mark>" in html
    assert html.startswith("… ")
    assert html.endswith(" …")


def test_blanks_are_one_space_but_a_number_stays_together() -> None:
    assert Snippets().of("Il  coûte\n \t9\u202f000\u00a0€.\nVoilà ") == "Il coûte 9\u202f000\u00a0€. Voilà"


def test_without_any_word_the_beginning_is_shown() -> None:
    assert Snippets().of("Bonjour. Suite.") == "Bonjour. Suite."
