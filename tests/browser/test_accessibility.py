"""axe-core finds nothing, on any page, light or dark, at phone or desk width."""

from __future__ import annotations

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.conftest import Open
from tests.site.test_pages import PAGES
from tests.site.test_register import crawled as crawled
from tests.site.test_register import register as register

pytestmark = pytest.mark.browser

SAME_AS_OTHERS = {"/recherche", "/carte", "/communes", "/sources?nom=ville", "/collectivites/200066009", "/discret"}
EACH_KIND = [path for path in PAGES if path not in SAME_AS_OTHERS]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_reports_nothing_on_any_page(window: Open, width: int, scheme: str) -> None:
    page = window(width=width, color_scheme=scheme).new_page()
    problems = []
    for path in [*EACH_KIND, "/nulle-part", "/recherche?size=0"]:
        page.goto(path)
        # What is folded counts too.
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        report = Axe().run(page, options=RULES)
        problems += [
            f"{path} {v['id']}: {v['nodes'][0]['html'][:150]} {v['nodes'][0].get('failureSummary', '')[:300]}"
            for v in report.response["violations"]
        ]
    assert problems == []


def test_no_page_scrolls_sideways_from_320_to_1600_pixels_nor_with_text_twice_as_big(window: Open) -> None:
    page = window().new_page()
    wide = []
    for path in [*EACH_KIND, "/recherche"]:
        page.goto(path)
        for width, text in ((320, "100%"), (390, "100%"), (768, "100%"), (1600, "100%"), (1280, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => document.documentElement.style.fontSize = size", text)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((path, width, text))
    assert wide == []


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
