"""Pages whose subject is a private person: kept out of the index by rule, and counted under the name of the rule.

The rules are data (personal.csv): a name, where to look, a regular expression on text without accents or capitals, and
the reason in French. They stop what town halls publish because they must, and what nobody should find by typing a
neighbour's name: civil-status notices, individual orders, lists of applicants. Elected officials acting as such, and
guides about the same procedures, are not private life and stay. A page is judged by what it says it is about (title,
first heading, first lines, address): a bulletin of forty pages is not kept out for the births on its last one.

An operator adds rules in `personal.local.csv` beside sources.csv, with the same columns, and takes one of ours away by
writing its name after a minus sign. No command writes that file.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from elunum.errors import SettingsError
from elunum.model import Document
from elunum.settings import Settings
from elunum.text import fold

RULES = Path(__file__).with_name("personal.csv")
START_CHARS = 300
REASON = "personal data: "
"""What a page kept out is skipped for, followed by the name of the rule."""

_COLUMNS = ["rule", "where", "pattern", "why"]
_PLACES = ("title", "heading", "start", "url")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a file of rules."""

    rule: str
    where: tuple[str, ...]  # among "title", "heading" (the first), "start" (of the text) and "url"
    pattern: re.Pattern[str]
    why: str  # in French


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The rules of this installation: ours, but for those the operator took away, then the operator's own.

    Raises SettingsError naming the file and the line.
    """
    local = settings.sources.with_name("personal.local.csv")
    if not local.exists():
        return rules()
    own = tuple(_read(local))
    known = {rule.rule for rule in rules()}
    away = {rule.rule[1:] for rule in own if rule.rule.startswith("-")}
    if unknown := away - known:
        raise SettingsError(
            f"{local}: -{min(unknown)}: no rule of ours has this name; ours are {', '.join(sorted(known))}"
        )
    return (*(r for r in rules() if r.rule not in away), *(r for r in own if not r.rule.startswith("-")))


@cache
def rules(path: Path = RULES) -> tuple[Rule, ...]:
    """The rules of a file. Raises SettingsError naming the line."""
    return tuple(_read(path))


def _read(path: Path) -> Iterator[Rule]:
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}; save it as CSV in UTF-8") from None
    if rows.fieldnames != _COLUMNS:
        raise SettingsError(f"{path} line 1: the columns are {', '.join(_COLUMNS)}")
    for row in rows:
        try:
            where = tuple((row["where"] or "").split())
            if row["rule"].startswith("-"):
                yield Rule(row["rule"], (), re.compile("(?!)"), "")
                continue
            if not where or not set(where) <= set(_PLACES):
                raise ValueError(f"where is one or several of {', '.join(_PLACES)}, separated by spaces")
            if not row["pattern"] or re.search(row["pattern"], ""):
                raise ValueError("this pattern matches anything")
            yield Rule(row["rule"], where, re.compile(row["pattern"]), row["why"] or "")
        except (re.error, ValueError) as error:
            raise SettingsError(f"{path} line {rows.line_num}: {error}") from None


def version(rules: tuple[Rule, ...]) -> str:
    """Changes with the rules: every page is then judged again."""
    told = "\n".join(f"{rule.rule} {' '.join(rule.where)} {rule.pattern.pattern}" for rule in rules)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def rule_of(document: Document, rules: tuple[Rule, ...]) -> str:
    """The name of the rule that keeps a document out; empty when none does."""
    texts = {
        "title": _plain(document.title),
        "heading": _plain(document.headings[0] if document.headings else ""),
        "start": _plain(document.text[:START_CHARS]),
        "url": fold(document.url),
    }
    return next((rule.rule for rule in rules if any(rule.pattern.search(texts[place]) for place in rule.where)), "")


def kept_out(settings: Settings) -> dict[str, int]:
    """Pages that each rule keeps out at present, by the name of the rule; empty before the first index."""
    if not settings.documents_path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{settings.documents_path}?mode=ro", uri=True)) as db:
        try:
            rows = db.execute(
                "select skipped, count(*) from pages where skipped like ? group by skipped order by 2 desc",
                (REASON + "%",),
            ).fetchall()
        except sqlite3.OperationalError:  # nothing was read yet
            return {}
    return {reason.removeprefix(REASON): count for reason, count in rows}


def _plain(text: str) -> str:
    return " ".join(fold(text).replace("’", "'").split())
