"""Links that keep the search, the same everywhere: an address, or in « mode discret » a button of the form `aller`.

Written here and not as macros: a page of results holds two hundred, and a macro takes ten times as long as a function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from markupsafe import Markup

from elunum.site.context import Asked
from elunum.site.replies import environ, escaped, nombre


class Choice(Protocol):
    """A value that a reader can choose: a row of a facet, or a filter that is set."""

    @property
    def label(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def query(self) -> str: ...
    @property
    def active(self) -> bool: ...
    @property
    def exact(self) -> bool: ...
    @property
    def services(self) -> Sequence[Choice]: ...


def go(asked: Asked, query: str, text: str, to: str = "/recherche", cls: str = "", label: str = "") -> Markup:
    """A link that keeps the search. `query`: as `Asked.to` makes it. `label`: its name for those who see only it."""
    return Markup(_go(asked.discreet, query, escaped(text), to, cls, label))  # noqa: S704  # escaped below


def rows(asked: Asked, found: Iterable[Choice], to: str = "/recherche") -> Markup:
    """Items of a list: what each value leads to, and how many results it has; a value already chosen is taken back."""
    return Markup("".join([_row(asked.discreet, row, to) for row in found]))  # noqa: S704  # escaped below


def _row(discreet: bool, row: Choice, to: str) -> str:
    label = escaped(row.label)
    if row.active:
        link = _go(discreet, row.query, f"✓ {label}", to, "", f"Enlever\u00a0: {row.label}")
    else:
        link = _go(discreet, row.query, label, to)
    inside = "".join([_row(discreet, service, to) for service in row.services])
    if inside:
        inside = f'<li><ul aria-label="Services de l’enjeu {label}">{inside}</ul></li>\n'
    count = nombre(row.count) if row.exact else environ(row.count, "env. ")
    return f"<li>{link} <span>{count}</span></li>\n{inside}"


def _go(discreet: bool, query: str, html: str, to: str, cls: str = "", label: str = "") -> str:
    told = f' aria-label="{escaped(label)}"' if label else ""
    query = query.replace("&", "&amp;")  # the rest is quoted already
    if discreet:
        return (
            f'<button class="lien{" " if cls else ""}{cls}" form="aller" name="aller" value="{query}" '
            f'formaction="{to}"{told}>{html}</button>'
        )
    of_class = f' class="{cls}"' if cls else ""
    return f'<a{of_class} href="{to}{"?" if query else ""}{query}"{told}>{html}</a>'
