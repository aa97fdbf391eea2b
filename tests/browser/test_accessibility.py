"""axe-core finds nothing on any kind of page, light and dark, at phone and desk width; nothing scrolls sideways."""

from __future__ import annotations

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Open
from tests.site.conftest import Server
from tests.site.test_pages import PAGES
from tests.site.test_register import crawled as crawled
from tests.site.test_register import register as register

pytestmark = pytest.mark.browser

SAME_AS_OTHERS = {
    "/recherche", "/recherche?q=budjet+particpatif", "/recherche?like=68278&q=eau", "/carte", "/communes",
    "/sources?q=ville", "/collectivites/200066009", "/discret",
}  # fmt: skip
EACH_KIND = [path for path in PAGES if path not in SAME_AS_OTHERS]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""All that the colour scheme can change."""


def problems(page: Page, name: str) -> list[str]:
    """What axe finds on the page that is open, in both colour schemes, at desk and phone width."""
    found = []
    # What is folded counts too.
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, rules in (("light", RULES), ("dark", COLOURS)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two it accepts
            found += [
                f"{name} {width} {scheme} {v['id']}: {v['nodes'][0]['html'][:150]} "
                f"{v['nodes'][0].get('failureSummary', '')[:300]}"
                for v in Axe().run(page, options=rules).response["violations"]
            ]
    return found


def test_axe_reports_nothing_on_any_page_in_either_colour_scheme_at_either_width(window: Open) -> None:
    page = window().new_page()
    found = []
    for path in [*EACH_KIND, "/nulle-part", "/recherche?size=0"]:
        page.goto(path)
        found += problems(page, path)
    page.goto("/discret")
    page.get_by_label("Que cherchez-vous ?").fill("budget participatif")
    page.get_by_role("button", name="Rechercher").click()
    found += problems(page, "discreet results")
    assert found == []


def test_axe_sees_what_is_wrong(window: Open) -> None:
    page = window().new_page()
    page.goto("/accessibilite")
    page.evaluate("document.querySelector('main p').style.color = 'color-mix(in srgb, currentcolor 40%, transparent)'")
    assert {"light", "dark"} <= {word for problem in problems(page, "page") for word in problem.split()}


def test_a_reader_refused_for_asking_too_much_gets_a_page_with_a_way_out(window: Open, server: Server) -> None:
    network = {"x-real-ip": "192.0.2.77"}  # as our nginx tells it (RFC 5737)
    page = window(extra_http_headers=network).new_page()
    page.goto("/robot")
    with server.client(headers=network) as client:
        while client.get("/healthz").status_code == 200:
            pass
    answer = page.goto("/recherche?q=eau")
    assert answer is not None
    assert answer.status == 429
    assert page.get_by_role("heading", level=1).inner_text() == "Trop de demandes à la fois"
    assert page.get_by_role("link", name="Réessayer la même adresse").get_attribute("href") == ""
    assert page.get_by_role("link", name="Reprendre depuis l’accueil").get_attribute("href") == "/"
    # The style sheet, refused as well, is the one the browser has kept.
    assert page.evaluate("getComputedStyle(document.querySelector('.tete')).backgroundColor") == "rgb(14, 85, 70)"
    assert problems(page, "429") == []


def test_no_page_scrolls_sideways_from_320_to_1600_pixels_nor_with_text_twice_as_big(window: Open) -> None:
    page = window().new_page()
    wide = []
    for path in [*EACH_KIND, "/recherche"]:
        page.goto(path)
        # 640: a desk window zoomed to 200 %.
        for width, text in ((320, "100%"), (390, "100%"), (640, "100%"), (768, "100%"), (1600, "100%"), (1280, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => document.documentElement.style.fontSize = size", text)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((path, width, text))
    assert wide == []


def test_what_a_finger_aims_at_is_large_enough(window: Open) -> None:
    """24 pixels each way (WCAG 2.2, 2.5.8), but for links inside sentences, which it leaves out."""
    page = window(width=390).new_page()
    small = []
    for path in ("/", "/recherche?q=budget+participatif", "/communes?nom=saint-martin", "/collectivites/68278"):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        small += page.evaluate(
            """path => [...document.querySelectorAll(
                   '.actes a, .puces a, .pages a, .filtres a, .panier a, .tete a, .pied li a, button, input, summary')]
               .filter(e => e.checkVisibility() && !e.closest('svg, p'))
               .map(e => [path, e.outerHTML.slice(0, 80), (e.closest('li, summary, button, input') || e)
                   .getBoundingClientRect().height])
               .filter(([, , height]) => height < 24)""",
            path,
        )
    assert small == []


def test_the_register_and_the_state_after_a_crawl_are_accessible_and_narrow(
    browser: Browser, register: httpx.Client
) -> None:
    told = register.get("/api/v1/sources").json()["sources"]
    most = max(told, key=lambda source: len(source["refusals"]))
    page = browser.new_page(base_url=str(register.base_url), viewport={"width": 320, "height": 900})
    for path in ("/sources?size=100", f"/sources/{most['key']}", "/etat"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        assert Axe().run(page, options=RULES).response["violations"] == [], path
    page.close()
