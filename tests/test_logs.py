"""An event is a name and numbers; what a reader typed has no way into a line."""

from __future__ import annotations

import logging

from elunum.logs import EventFormatter, bare_traceback


def line(**extra: object) -> str:
    record = logging.LogRecord("elunum.site", logging.INFO, __file__, 1, "search", None, None)
    vars(record).update(extra)
    return EventFormatter().format(record)


def test_numbers_and_names_of_our_own_things_are_written() -> None:
    assert line(total=41, took_ms=2.5, route="/recherche").endswith(
        "INFO site search total=41 took_ms=2.5 route=/recherche"
    )


def test_any_other_text_is_left_out() -> None:
    assert "canari" not in line(query="canari", agent="canari", client="canari")


def test_a_traceback_holds_places_and_types_and_no_message() -> None:
    try:
        raise ValueError("canari")
    except ValueError as error:
        text = bare_traceback(error)
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert "canari" not in text
