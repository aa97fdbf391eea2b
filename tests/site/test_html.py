"""Every page is valid HTML and the style sheet valid CSS, says the validator of the W3C (vnu, needs Java)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from elunum.settings import CHECKOUT
from tests.site.test_pages import PAGES

VNU = Path(os.environ.get("ELUNUM_VNU", CHECKOUT / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"))


def test_every_page_is_valid_html_and_css(client: httpx.Client, tmp_path: Path) -> None:
    if shutil.which("java") is None or not VNU.is_file():
        pytest.skip("the validator is absent: `make validator` installs it (Java and npm), or set ELUNUM_VNU")
    for number, path in enumerate([*PAGES, "/nulle-part", "/recherche?size=0"]):
        (tmp_path / f"{number:02}.html").write_text(client.get(path).text, encoding="utf-8")
    (tmp_path / "discret.html").write_text(client.post("/recherche", data={"q": "eau"}).text, encoding="utf-8")
    style = CHECKOUT / "web" / "static" / "elunum.css"
    shutil.copy(style, tmp_path)
    files = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(
        ["java", "-jar", str(VNU), "--also-check-css", *files], capture_output=True, text=True, timeout=200
    )
    assert done.stderr == ""
    assert done.returncode == 0
