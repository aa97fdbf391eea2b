"""What several rooms' tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.installation import Installation, after_a_night, serving

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared"))
"""Real archives, queries and judgments: read where present, never needed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Rewrite tests/golden/*.json; review the diff")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, saying so, what needs data or programs that this machine does not have."""
    if not (SHARED / "data" / "web").is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason=f"the real archives are not at {SHARED}; set ELUNUM_SHARED"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; use it in tests marked `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """After one night over the demo web; only tests/test_whole.py, which comes last, changes that web or this data."""
    with after_a_night(tmp_path_factory.mktemp("whole")) as made:
        yield made


@pytest.fixture(scope="session")
def site(installation: Installation) -> Iterator[httpx.Client]:
    """The real server, answering from that installation."""
    with serving(installation) as client:
        yield client
