"""Pages whose subject is a private person: kept out of the index by rule, and counted under the name of the rule.

The rules are data (personal.csv): a name, where to look (title, url), a regular expression on text without accents or
capitals, and the reason in French. They stop what town halls publish because they must, and what nobody should find by
typing a neighbour's name: civil-status notices, individual orders, lists of applicants. Elected officials acting as
such, and guides about the same procedures, are not private life and stay.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from elunum.errors import SettingsError
from elunum.model import Document
from elunum.text import fold

RULES = Path(__file__).with_name("personal.csv")
_COLUMNS = ["rule", "where", "pattern", "why"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of personal.csv."""

    rule: str
    where: str  # "title" or "url"
    pattern: re.Pattern[str]
    why: str  # in French


@cache
def rules(path: Path = RULES) -> tuple[Rule, ...]:
    """The rules of a file. Raises SettingsError naming the line."""
    found: list[Rule] = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != _COLUMNS:
            raise SettingsError(f"{path} line 1: the columns are {', '.join(_COLUMNS)}")
        for row in rows:
            try:
                if row["where"] not in ("title", "url"):
                    raise ValueError("where is title or url")
                found.append(Rule(row["rule"], row["where"], re.compile(row["pattern"]), row["why"]))
            except (re.error, ValueError) as error:
                raise SettingsError(f"{path} line {rows.line_num}: {error}") from None
    return tuple(found)


@cache
def version(path: Path = RULES) -> str:
    """Changes with the rules: every page is then judged again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def rule_of(document: Document) -> str:
    """The name of the rule that keeps a document out; empty when none does."""
    texts = {"title": fold(document.title).replace("’", "'"), "url": fold(document.url)}
    return next((rule.rule for rule in rules() if rule.pattern.search(texts[rule.where])), "")
