"""docs/screenshot.png: a page of results of the demo web, for the README.

`python -m elunum demo` in one terminal, then `python -m scripts.screenshot http://127.0.0.1:8000` in another.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

INTO = Path(__file__).resolve().parents[1] / "docs" / "screenshot.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main(base: str) -> int:
    """Write the picture; 0 when done, 2 when Chromium is absent."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed; `make browser` installs it", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 850}, locale="fr-FR")
        page.goto(f"{base}/recherche?q=budget+participatif")
        page.locator(".tag").first.locator("summary").click()
        page.screenshot(path=INTO)
        browser.close()
    print(f"{INTO}: {INTO.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
