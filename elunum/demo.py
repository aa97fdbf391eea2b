"""The demonstration: crawl the example web in demo/, index it, serve it. Never mixed with the real sources.

Everything goes through the operator's own commands, as child processes with settings of their own: what the
demonstration shows is what a night does.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from elunum.errors import SettingsError
from elunum.settings import CHECKOUT, Settings

log = logging.getLogger("elunum.demo")

DEMO = CHECKOUT / "demo"


def demo_settings(settings: Settings) -> Settings:
    """The settings of the demonstration: a data folder of its own, the example sources, a banner on every page."""
    return settings.model_copy(
        update={
            "data": settings.data / "demo",
            "sources": DEMO / "sources.csv",
            "site": settings.site.model_copy(update={"demo": True}),
        }
    )


def prepare(settings: Settings) -> None:
    """Crawl and index the example web. Raises SettingsError when demo/ is absent or a step fails."""
    if not (DEMO / "serve.py").exists():
        raise SettingsError(f"{DEMO}: the demonstration needs a checkout of the project, with its folder demo/")
    with _demo_web() as address:
        environment = os.environ | {
            "ELUNUM_DATA": str(settings.data),
            "ELUNUM_SOURCES": str(settings.sources),
            "ELUNUM_INDEX_JUDGED": str(CHECKOUT / "tests" / "judged" / "demo_queries.csv"),
            "ELUNUM_CRAWL_CONNECT_TO": address,
            "ELUNUM_CRAWL_DELAY_S": "0",
            "ELUNUM_CRAWL_REVISIT_MIN_DAYS": "0",  # a demonstration run twice visits everything twice
        }
        for step in ("crawl", "index"):
            log.info("demo", extra={"stage": step})
            done = subprocess.run([sys.executable, "-m", "elunum", step], env=environment, stdout=subprocess.DEVNULL)
            if done.returncode != 0:
                raise SettingsError(f"the demonstration stopped at `elunum {step}`; its message stands above")


@contextmanager
def _demo_web() -> Iterator[str]:
    """The example web on a free loopback port, for as long as the block lasts."""
    server = subprocess.Popen(
        [sys.executable, str(DEMO / "serve.py"), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip().rpartition(" ")[2]
        if not address:
            raise SettingsError(f"{DEMO / 'serve.py'} did not start; its message stands above")
        yield address
    finally:
        server.terminate()
        server.communicate()
