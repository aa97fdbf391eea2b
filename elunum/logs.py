"""How events are written, and what may never be in them.

An event is a constant name plus numbers: `log.info("search", extra={"words": 2, "total": 41})`. Never a query, an
address, a user agent or a request line: the formatter prints numbers, booleans and the few names listed in `NAMES`,
and a traceback without the values that its exceptions hold.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

NAMES = frozenset({"host", "reason", "stage", "version", "route", "file", "signal"})
"""Fields that may be text: they name our own things (a crawled host, a reason, a route), never a reader's."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class EventFormatter(logging.Formatter):
    """`2026-11-22T20:00:00 INFO crawl page_fetched host=a.fr ms=12`."""

    def format(self, record: logging.LogRecord) -> str:
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        fields = [f"{name}={value}" for name, value in vars(record).items() if _may_be_written(name, value)]
        line = " ".join([when, record.levelname, record.name.removeprefix("elunum."), str(record.msg), *fields])
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + bare_traceback(record.exc_info[1])
        return line.replace("\r", "\\r")


def _may_be_written(name: str, value: Any) -> bool:
    if name in _STANDARD or name.startswith("_"):
        return False
    return isinstance(value, int | float) or name in NAMES


def bare_traceback(error: BaseException) -> str:
    """Type of the error and the lines of our code it went through; no message, for messages hold what readers typed."""
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join([*(f"  {f.filename}:{f.lineno} {f.name}" for f in frames), f"  {type(error).__name__}"])


def configure(level: int = logging.INFO) -> None:
    """Send our events to stderr. Libraries keep quiet below ERROR: what they would say is not ours to vouch for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    logging.getLogger("elunum").setLevel(level)
