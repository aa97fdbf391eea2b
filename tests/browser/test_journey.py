"""The journey of a reader in a real browser: search, filter, compare, keep, take away, without a script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


@pytest.fixture
def page(window: Open) -> Page:
    """A desk window where scripts are off: the site must not need any."""
    return window(java_script_enabled=False, locale="fr-FR").new_page()


def total(page: Page) -> int:
    found = re.match(r"\D*([\d\u202f]+)", page.get_by_role("status").first.inner_text())
    assert found
    return int(found[1].replace("\u202f", ""))


def test_a_reader_searches_filters_and_goes_back(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Que cherchez-vous ?").fill("budget participatif")
    page.get_by_role("button", name="Rechercher").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("« budget participatif »")
    everything = total(page)
    row = page.locator(".filtres li", has_text="Démocratie locale").first
    promised = int(row.locator("span").last.inner_text())
    row.get_by_role("link").click()
    assert total(page) == promised < everything
    expect(page.get_by_role("list", name="Filtres actifs")).to_contain_text("Démocratie locale")
    page.get_by_role("link", name="Enlever le filtre : Démocratie locale").click()
    assert total(page) == everything
    page.go_back()
    assert total(page) == promised


def test_a_reader_compares_with_communes_like_theirs(page: Page) -> None:
    page.goto("/recherche?q=budget")
    page.get_by_label("Chez les communes comme").fill("rixheim")
    page.get_by_role("button", name="Comparer").click()
    expect(page).to_have_url(re.compile("like=68278"))
    expect(page.get_by_role("list", name="Filtres actifs")).to_contain_text("comparables à Rixheim")


def test_homonyms_are_shown_and_a_postal_code_works(page: Page) -> None:
    page.goto("/communes?nom=Saint-Martin")
    names = page.locator("tbody td:first-child a").all_inner_texts()
    assert names.count("Saint-Martin") > 3
    page.get_by_label("Nom ou code postal").fill("68170")
    page.get_by_role("button", name="Choisir").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rixheim")


def test_a_reader_keeps_results_and_takes_a_council_note_away(page: Page, tmp_path: Path) -> None:
    page.goto("/recherche?q=budget+participatif")
    titles = [page.locator(".carte h2 a").nth(n).inner_text() for n in (0, 1)]
    for title in titles:
        page.get_by_role("link", name=f"Retenir : {title}").click()
    basket = page.get_by_role("region", name="Résultats retenus")
    expect(basket).to_contain_text("2 résultats retenus")
    page.goto(page.url.replace("q=budget+participatif", "q=eau"))  # another search keeps them
    expect(basket).to_contain_text("2 résultats retenus")
    with page.expect_download() as download:
        basket.get_by_role("link", name="ODS").click()
    assert download.value.suggested_filename == "elunum-selection.ods"
    basket.get_by_role("link", name="Note de conseil").click()
    for title in titles:
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    note = tmp_path / "note.pdf"
    page.pdf(path=note)
    assert note.read_bytes().startswith(b"%PDF")


def test_in_discreet_mode_no_word_enters_an_address(page: Page) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.goto("/discret")
    page.get_by_label("Que cherchez-vous ?").fill("budget participatif")
    page.get_by_role("button", name="Rechercher").click()
    everything = total(page)
    assert everything > 3
    page.locator(".filtres").get_by_role("button", name="Démocratie locale").click()
    assert total(page) < everything
    page.get_by_role("button", name="Trier par date").click()
    page.get_by_role("button", name="Retenir : ").first.click()
    expect(page.get_by_role("region", name="Résultats retenus")).to_contain_text("1 résultat retenu")
    page.get_by_role("button", name="Note de conseil").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Note de conseil")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "elunum-selection.csv"
    assert not [address for address in seen if "budget" in address or "democratie" in address or "?q" in address]


def test_the_whole_journey_works_by_keyboard_alone(window: Open) -> None:
    page = window().new_page()
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Aller au contenu")).to_be_focused()
    page.keyboard.press("Enter")
    focused = "document.activeElement.getAttribute('name') || document.activeElement.textContent.trim()"
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "q":
            break
    page.keyboard.type("budget participatif")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("« budget participatif »")
    reached = set()
    for _ in range(2):  # the second link skips the filters
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Aller aux résultats")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') || " + focused))
        look = "[document.activeElement.outerHTML.slice(0, 80), getComputedStyle(document.activeElement).outlineStyle]"
        element, outline = page.evaluate(look)
        assert outline != "none", element
        if any(name.startswith("Pourquoi ce résultat") for name in reached):
            break
    assert "Initiatives comparables" in reached
    assert any(name.startswith("Retenir : ") for name in reached)


def test_on_a_phone_the_filters_are_a_closed_panel_that_opens(window: Open) -> None:
    page = window(width=390, height=844, java_script_enabled=False).new_page()
    page.goto("/recherche?q=budget+participatif")
    link = page.locator(".filtres").get_by_role("link", name="Démocratie locale")
    expect(link).to_be_hidden()
    page.locator(".filtres > summary").click()
    expect(link).to_be_visible()
    first = page.locator(".carte").first.bounding_box()
    assert first


def test_a_page_asks_for_at_most_three_things_all_from_here(window: Open) -> None:
    page = window().new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.goto("/recherche?q=budget+participatif", wait_until="networkidle")
    assert len(seen) <= 3
    assert all(address.startswith(page.url.split("/recherche")[0]) for address in seen)
    assert page.context.cookies() == []


def test_the_picture_of_years_and_the_map_lead_to_results(page: Page) -> None:
    page.goto("/recherche?q=budget+participatif")
    bar = page.locator(".filtres svg a").last
    name = bar.get_attribute("aria-label")
    assert name
    page.goto("/recherche?" + (bar.get_attribute("href") or "").partition("?")[2])
    assert total(page) == int(name.split(" : ")[1].split()[0])
    page.goto("/carte?q=budget+participatif")
    expect(page.get_by_role("group", name="Carte des résultats")).to_be_visible()
    assert page.locator(".carte-fr a").count() > 3


def test_the_tree_of_enjeux_is_walked_by_links(page: Page) -> None:
    page.goto("/arbre")
    page.locator("svg a", has_text="Démocratie locale").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("L’arbre des enjeux : Démocratie locale")
    page.locator("svg a").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("L’arbre des enjeux : ")


def test_zero_results_offer_ways_that_lead_somewhere(page: Page) -> None:
    page.goto("/recherche?q=budget+participatif&population_max=1&kind=epci")
    ways = page.locator("section").filter(has_text="Rien trouvé")
    expect(ways).to_be_visible()
    ways.get_by_role("link").first.click()
    expect(page.get_by_role("main")).to_be_visible()
