"""The journey of a reader in a real browser: search, filter, compare, keep, take away, without a script."""

from __future__ import annotations

import re
from pathlib import Path

import pypdfium2
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


class Keyboard:
    """Tab, Enter and letters, nothing else; wherever the focus goes it must be seen."""

    focused = """(() => { const e = document.activeElement, s = getComputedStyle(e);
        const box = e.getBoundingClientRect(), name = e.getAttribute('aria-label') || e.labels?.[0]?.textContent;
        return [name || e.textContent.trim(), s.outlineStyle, e.outerHTML.slice(0, 90),
                box.bottom > 0 && box.top < innerHeight] })()"""

    def __init__(self, page: Page) -> None:
        self.page = page

    def tab_to(self, name: str, at_most: int) -> None:
        """Press Tab until the focus is on what begins with `name`."""
        seen = []
        for _ in range(at_most):
            self.page.keyboard.press("Tab")
            told, outline, element, in_sight = self.page.evaluate(self.focused)
            assert outline != "none", element
            assert in_sight, element
            if told.replace("\u00a0", " ").startswith(name):
                return
            seen.append(told)
        raise AssertionError(f"{name} is not among {seen}")

    def enter(self) -> None:
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def follow(self, name: str, at_most: int = 12) -> None:
        self.tab_to(name, at_most)
        self.enter()


def test_the_whole_journey_works_by_keyboard_alone(window: Open) -> None:
    page = window().new_page()
    keys = Keyboard(page)
    heading = page.get_by_role("heading", level=1)
    page.goto("/")
    keys.follow("Aller au contenu", 1)
    keys.tab_to("Que cherchez-vous", 3)
    page.keyboard.type("budget participatif")
    keys.enter()
    expect(heading).to_have_text("« budget participatif »")
    everything = total(page)
    # Filter, and take the filter back.
    keys.tab_to("Aller au contenu", 1)
    keys.enter()
    keys.follow("Démocratie locale", 25)
    expect(page.get_by_role("list", name="Filtres actifs")).to_contain_text("Démocratie locale")
    assert total(page) < everything
    keys.follow("Enlever le filtre : Démocratie locale", 12)
    assert total(page) == everything
    # Keep two results; the second skip link passes over the filters.
    basket = page.get_by_role("region", name="Résultats retenus")
    for count in (1, 2):
        page.goto(page.url.partition("#")[0])
        keys.follow("Aller aux résultats", 2)
        keys.follow("Retenir", 40)
        expect(basket).to_contain_text(f"{count} résultat")
    page.goto(page.url.partition("#")[0])
    keys.follow("Aller à ce que vous avez retenu", 3)
    keys.follow("Note de conseil", 1)
    expect(heading).to_contain_text("Note de conseil")
    with page.expect_download() as download:
        keys.tab_to("tableur ODS", 15)
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "elunum-selection.ods"
    keys.follow("Revenir à la recherche", 5)
    # Why, what is comparable, and communes like mine.
    keys.follow("Aller aux résultats", 2)
    keys.tab_to("pourquoi", 8)
    page.keyboard.press("Enter")
    expect(page.locator(".tag details[open]").first).to_contain_text("Sûr à")
    keys.follow("Initiatives comparables")
    expect(heading).to_have_text("Initiatives comparables")
    page.goto("/recherche?q=budget")
    keys.follow("Aller au contenu", 1)
    keys.tab_to("Chez les communes comme", 5)
    page.keyboard.type("rixheim")
    keys.enter()
    expect(page).to_have_url(re.compile("like=68278"))


def test_a_printed_page_holds_what_is_read_and_nothing_to_click(window: Open) -> None:
    page = window(color_scheme="dark").new_page()
    for path, words in (
        ("/recherche?q=budget+participatif", ["budget participatif", "rixheim.example", "vu le"]),
        ("/collectivites/68278", ["La mosaïque", "Démocratie locale", "Solidarités"]),
    ):
        page.goto(path)
        document = pypdfium2.PdfDocument(page.pdf(format="A4", prefer_css_page_size=True))
        text = " ".join(" ".join(sheet.get_textpage().get_text_bounded() for sheet in document).split())
        assert [word for word in words if word not in text] == [], path
        shown = [word for word in ("Rechercher", "Retenir", "Mentions légales", "Filtrer", "Emporter") if word in text]
        assert shown == [], path
    # Dark ink on white paper, whatever the screen: the tiles of a place are light on dark when they are looked at.
    page.emulate_media(media="print")
    ink = page.locator("a.tuile").first.evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )
    assert ink == ["rgb(0, 0, 0)", "rgba(0, 0, 0, 0)"]
    assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(0, 0, 0)"


def test_what_is_kept_is_kept_from_one_page_to_the_next(page: Page) -> None:
    page.goto("/recherche?q=budget+participatif")
    basket = page.get_by_role("region", name="Résultats retenus")
    page.get_by_role("link", name="Retenir : ").first.click()
    page.get_by_role("link", name="Initiatives comparables").first.click()
    page.get_by_role("link", name="Retenir : ").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Initiatives comparables")
    expect(basket).to_contain_text("2 résultats retenus")
    page.get_by_role("link", name="Revenir aux résultats").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("« budget participatif »")
    expect(basket).to_contain_text("2 résultats retenus")
    page.goto("/collectivites/68278?" + page.url.partition("?")[2].partition("&")[2])
    page.get_by_role("link", name="Retenir : ").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rixheim")
    expect(basket).to_contain_text("3 résultats retenus")


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
