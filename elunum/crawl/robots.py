"""What a site lets us fetch, and how often: robots.txt as RFC 9309 reads it, and tdmrep.json.

Matching is protego's (longest match, wildcards); what the status of the answer means, and what is read of it, is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import msgspec
from protego import Protego

MAX_BYTES = 500 * 1024
"""Read of a robots.txt, RFC 9309 section 2.5; a body of one megabyte takes a second and a half to parse."""

MAX_DELAY_S = 3_600.0
"""A Crawl-delay beyond an hour is honoured as an hour: one page a night needs no rule of its own."""

MAX_LINES = 20_000

_VERSION = re.compile(r"^(\s*user-?agent\s*:\s*[a-z_-]+)/\S*", re.IGNORECASE)


class Permission(Enum):
    """What the status of robots.txt says before its body is read."""

    READ_RULES = "rules"
    ALLOW_ALL = "allow"
    FORBID_ALL = "forbid"  # and ask again


def permission(status: int) -> Permission:
    """status: the final one, redirects already followed; 0 when the network failed.

    Source: RFC 9309, sections 2.3.1.1 (2xx), 2.3.1.2 (3xx), 2.3.1.3 (4xx), 2.3.1.4 (5xx and network errors).
    """
    # A 4xx says "no such file"; a 5xx may hide rules we must not break, and a 429 says that we are too many already.
    if 200 <= status < 300:
        return Permission.READ_RULES
    if 300 <= status < 500 and status != 429:
        return Permission.ALLOW_ALL
    return Permission.FORBID_ALL


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one host for one crawler."""

    _parsed: Protego | None  # None: everything is allowed
    agent: str
    crawl_delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()  # as written, absolute or not

    def allows(self, url: str) -> bool:
        """Whether this canonical address may be fetched. robots.txt itself always may."""
        return self._parsed is None or bool(self._parsed.can_fetch(url, self.agent))


def read(body: bytes, agent: str) -> Rules:
    """The rules for `agent` in the body of a robots.txt; never raises, whatever the bytes."""
    text = body[:MAX_BYTES].decode("utf-8-sig", "replace").replace("\x00", "")
    if len(body) > MAX_BYTES:
        text = text.rpartition("\n")[0]  # half a rule may say the contrary of the whole
    # A product token ends where its letters do: "Elunum/1.0" is for us too (section 2.2.1).
    lines = [_VERSION.sub(r"\1", line) for line in text.splitlines()[:MAX_LINES]]
    if not any(":" in line for line in lines):
        return Rules(None, agent)
    try:
        parsed = Protego.parse("\n".join(line[:2_000] for line in lines))
        delay = parsed.crawl_delay(agent)
        sitemaps = tuple(parsed.sitemaps)[:50]
    except (ValueError, RecursionError, IndexError):
        return Rules(None, agent)
    delay = min(max(float(delay), 0.0), MAX_DELAY_S) if delay is not None and delay == delay else 0.0
    return Rules(parsed, agent, delay, sitemaps)


ALLOW_ALL = Rules(None, "")


# --- text and data mining ------------------------------------------------------------------------------------------

RESERVED_PATH = "/.well-known/tdmrep.json"
MAX_RESERVED_BYTES = 100_000
MAX_RESERVED_RULES = 1_000


@dataclass(frozen=True, slots=True)
class Reserved:
    """The parts of a site of which text and data mining is reserved."""

    _rules: tuple[tuple[Protego, bool], ...] = ()  # what a rule forbids is what it speaks of; whether it reserves it

    def holds(self, url: str) -> bool:
        """Whether this canonical address is reserved: the first rule that speaks of it decides."""
        return next((reserves for rule, reserves in self._rules if not rule.can_fetch(url, "*")), False)


NOTHING_RESERVED = Reserved()


def is_reservations(body: bytes) -> bool:
    """Whether a body is a tdmrep.json, and not the page that a site answers with to everything."""
    if len(body) > MAX_RESERVED_BYTES or body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"[", b"{"):
        return False
    try:
        return isinstance(msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf")), list | dict)
    except (ValueError, RecursionError):
        return False


def reserved(body: bytes) -> Reserved:
    """The rules of a tdmrep.json; never raises, whatever the bytes. What makes no sense reserves nothing.

    Source: TDM Reservation Protocol, W3C community group report, 2024: an array of {location, tdm-reservation},
    locations written as in robots.txt. The file of one rule alone, without its array, is a usual mistake.
    """
    if not is_reservations(body):
        return NOTHING_RESERVED
    found = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    rules: list[tuple[Protego, bool]] = []
    for one in (found if isinstance(found, list) else [found])[:MAX_RESERVED_RULES]:
        if not isinstance(one, dict):
            continue
        location = one.get("location")
        if not isinstance(location, str) or not location.startswith(("/", "*")) or len(location) > 2_000:
            continue
        if location.isprintable():
            rule = Protego.parse(f"User-agent: *\nDisallow: {location.replace('#', '%23')}\n")
            rules.append((rule, str(one.get("tdm-reservation")).strip() == "1"))
    return Reserved(tuple(rules))
