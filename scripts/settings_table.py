"""The table of settings in docs/operating.md, from elunum/settings.py. `python -m scripts.settings_table` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from elunum.settings import CHECKOUT, Settings

MANUAL = CHECKOUT / "docs" / "operating.md"
START, END = "<!-- settings -->\n", "<!-- end of settings -->"


def rows(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """One Markdown row a setting: name, variable, default, help."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from rows(kind, f"{prefix}{name}.")
            continue
        default = field.default
        if isinstance(default, Path):
            default = default.relative_to(CHECKOUT) if default.is_absolute() else default
        dotted = prefix + name
        variable = "ELUNUM_" + dotted.upper().replace(".", "_")
        yield f"| `{dotted}` | `{variable}` | `{default if default != '' else '(empty)'}` | {field.description} |"


def table() -> str:
    """The whole table, in Markdown."""
    return "\n".join(["| setting | variable | default | what it is |", "| --- | --- | --- | --- |", *rows()]) + "\n"


def with_table(manual: str) -> str:
    """The manual with its table up to date."""
    before, _, rest = manual.partition(START)
    _, _, after = rest.partition(END)
    return before + START + table() + END + after


if __name__ == "__main__":
    MANUAL.write_text(with_table(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
