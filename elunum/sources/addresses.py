"""From what lists hold in place of an address to the address of a site, or the reason why there is none.

Every rule answers something met in the official lists: see docs/decisions/sources-and-joining.md for the counts.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Literal

from elunum.urls import canonical, host_of

Reason = Literal[
    "empty",
    "e-mail address",
    "not an address",
    "not a public host",
    "infrastructure host",
    "parked host",
    "social network",
    "platform without a page",
]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a value is no source. It never holds the value: an e-mail address is somebody's."""

    reason: Reason


PLATFORMS = {
    # Host without www. -> path segments that make one site of it. One host, thousands of publishers.
    "intramuros.org": 1,
    "appli-intramuros.com": 1,
    "lapagelocale.fr": 1,
    "lapagelocale.com": 1,
    "sites.google.com": 2,
    "station.illiwap.com": 3,
    "app.panneaupocket.com": 2,
    "maelis.info": 3,
    "la-mairie.com": 1,
    "ma-mairie.com": 1,
    "commune-mairie.fr": 1,
    "collectivite.fr": 1,
    "campagnol.fr": 1,
    "pagesperso-orange.fr": 1,
    "perso.wanadoo.fr": 1,
    "monsite-orange.fr": 1,
    "perso.orange.fr": 1,
    "mairie.com": 1,
    "mairie.biz": 1,
    "annuaire-mairie.fr": 1,
    "communes.com": 1,
}

_USER_PLATFORM = re.compile(r"^[a-z0-9-]+\.wixsite\.com$", re.ASCII)
"""A host per person, a path per site."""

_SOCIAL = re.compile(
    r"(?:^|\.)(?:facebook\.com|fb\.com|twitter\.com|x\.com|instagram\.com|linkedin\.com|youtube\.com|youtu\.be|tiktok\.com|"
    r"pinterest\.[a-z.]+|google\.(?:com|fr)|goo\.gl|bit\.ly|whatsapp\.com|t\.me|helloasso\.com|canva\.com)$"
)

_PARKED = re.compile(
    # ww16. and the like is where parking companies move the name of a domain that has lapsed.
    r"^ww\d{2,3}\.|(?:^|\.)(?:sedoparking\.com|parkingcrew\.net|bodis\.com|hugedomains\.com|dan\.com|afternic\.com|"
    r"godaddy\.com|domainmarket\.com|above\.com|parklogic\.com|1and1-domains?\.[a-z]+)$"
)

_LABELS = (
    "webmail mail mails mail1 mail2 mail3 smtp smtp1 smtp2 imap pop pop3 mx mx1 mx2 mx3 relay autodiscover "
    "autoconfig owa exchange zimbra roundcube horde lyncdiscover sip meet visio webconf vpn vpn1 vpn2 sslvpn "
    "ssl-vpn extranet intranet rdp rds remote citrix tse bastion proxy gateway firewall ns ns0 ns1 ns2 ns3 dns "
    "dns1 dns2 ntp ldap adfs sso idp auth oauth keycloak saml login connexion preprod pre-prod prepro pprod "
    "ppd ppr pp recette rec re7 qualif qualification qlf qua uat staging stage stagging integration int dev "
    "devel develop development test tests testing bac-a-sable sandbox demo formation-test validation valid "
    "homologation homol isoprod maintenance old metabase grafana kibana prometheus sentry jenkins gitlab git "
    "sonar nexus jira glpi ocs zabbix nagios centreon monitoring supervision portainer traefik rancher minio "
    "s3 matomo piwik stats analytics phpmyadmin pma cpanel whm webdisk plesk admin administration backoffice "
    "back-office backend ftp ftps sftp nas nextcloud owncloud cloud webdav api apis ws webservice webservices "
    "cdn static assets img images media-server enqueteur limesurvey crl ocsp pki rie localhost mobileiron "
    "enterpriseregistration enterpriseenrollment sharepoint "
)
_INFRASTRUCTURE = frozenset(_LABELS.split())
"""Labels of hosts that machines and agents use, never readers."""

_INFRASTRUCTURE_PART = re.compile(
    r"^(?:review|preprod|recette|dev|test|qualif|integration|staging|webmail|vpn|extranet|intranet|smtp|mail|api|auth)-|"
    r"-(?:preprod|pprod|ppd|pp|recette|rec|qualif|dev|test|tests|integration|int|staging|uat|api|auth|sso|vpn|webmail|"
    r"intranet|extranet|admin|backend|static|cdn)\d*$"
)

_SECOND_LEVEL = frozenset(["gouv.fr", "asso.fr", "com.fr", "free.fr", "co.uk"])

_PLAIN = re.compile(r"https?://(?!w{1,2}\.|w{4,})[a-z0-9-]+(?:\.[a-z0-9-]+)+/?", re.ASCII)
_COMMENT = re.compile(r"\s+#.*$|\s+\((?:redirection|ancien|en construction)[^)]*\)?\s*$", re.IGNORECASE)
_SCHEME = re.compile(
    r"^(?:h?t{1,2}p{1,2}s?|hhtps?|htps?|htpp?s?|hpps?|hpts?|ttps?)\s*[:;.]?\s*[/\\]{1,4}\s*", re.IGNORECASE
)
_SCHEME_ALONE = re.compile(r"^https?:(?=www\.)", re.IGNORECASE)
_NEXT = re.compile(r"(?:(?<=[a-z0-9])|(?<=[a-z0-9]/))(?=https?://)", re.IGNORECASE)
_SEPARATOR = re.compile(
    r"\s*[;|]\s*|\s*,\s+|\s+(?:ou|et|or|and|-|/|,)\s+|[\r\n\t]+|\s+(?=https?://|www\.)", re.IGNORECASE
)
_MAIL = re.compile(r"^(?:mailto:)?[^\s/@]+@[^\s/@]+$", re.IGNORECASE)
_HOSTLIKE = re.compile(r"^[^\s/@?#]+\.[^\s/@?#.]{2,}", re.UNICODE)
_DOTTED = re.compile(r"\.[a-z][a-z0-9-]{1,}$", re.ASCII)
_PRIVATE = re.compile(
    r"\.(?:local|localhost|lan|home|intra|internal|invalid|test|example)$|^\d+(?:\.\d+){3}$", re.ASCII
)


def clean(text: str) -> list[str | Rejected]:
    """The canonical addresses of sites in a cell (a cell may hold several), or why each part of it is none.

    The path is kept only where it makes the site: see `home`.
    """
    if _PLAIN.fullmatch(text) and (url := canonical(text)) is not None:  # nine lines in ten
        return [home(url)]
    text = mended(text).strip()
    if not text or text.lower() in (
        "-",
        "n/a",
        "na",
        "nc",
        "neant",
        "néant",
        "aucun",
        "none",
        "null",
        "nan",
        "\\n",
        "0",
    ):
        return [Rejected("empty")]
    text = _COMMENT.sub("", text).strip("<>\"'«»()[] \u00a0")
    parts = [part for piece in _SEPARATOR.split(text) for part in _NEXT.split(piece) if part.strip()]
    return [_clean_one(part) for part in parts] or [Rejected("empty")]


def _clean_one(text: str) -> str | Rejected:
    text = text.strip().strip("<>\"'«»()[]").strip().rstrip(".,;:")
    if _MAIL.match(text):
        return Rejected("e-mail address")
    scheme = "https"
    while match := (_SCHEME.match(text) or _SCHEME_ALONE.match(text)):
        # "http://https://a.fr", "htpp://a.fr", "http:/a.fr", "https//a.fr": the innermost is the one meant.
        scheme = "https" if "s" in match.group().lower() else "http"
        text = text[match.end() :]
    host, slash, path = text.partition("/")
    # "www,mairie.fr", "www .mairie.fr", "www.mairie..fr": slips of the hand inside a host.
    host = re.sub(r"\s*[,.]\s*", ".", re.sub(r"\.{2,}", ".", host.replace("\\", ""))).strip(". ")
    host = re.sub(r"\s+", "", host) if host.lower().startswith("www") else host
    host = re.sub(r"^w{2,4}\.(?=[^.]+\.)|^w{4,}\.", "www.", host, flags=re.IGNORECASE)
    if "@" in host:
        return Rejected("e-mail address")
    if not _HOSTLIKE.match(host):
        return Rejected("not an address")
    url = canonical(f"{scheme}://{host}{slash}{path}")
    if url is None:
        return Rejected("not an address")
    return home(url)


def home(url: str) -> str | Rejected:
    """The address of the site that a page is on, its path cut to what names the publisher; or why it is no source."""
    host = host_of(url).partition(":")[0]
    if (reason := unfit(host)) is not None:
        return Rejected(reason)
    start = "/".join(url.split("/", 3)[:3])
    bare = host.removeprefix("www.")
    segments = platform_segments(bare)
    if segments is None:
        return start + "/"
    path = [part for part in url.split("/", 3)[3].partition("?")[0].split("/") if part]
    if not path:
        return start + "/" if _USER_PLATFORM.match(bare) else Rejected("platform without a page")
    return f"{start}/{'/'.join(path[:segments])}"


def platform_segments(host: str) -> int | None:
    """How many path segments make a site on this shared host; None when the host is one site."""
    if (segments := PLATFORMS.get(host)) is not None:
        return segments
    return 1 if _USER_PLATFORM.match(host) else None


def unfit(host: str) -> Reason | None:
    """Why a host is never a source; None when it may be one. host: lower case, punycode, no port."""
    if not _DOTTED.search(host) or _PRIVATE.search(host):
        return "not a public host"
    if _PARKED.search(host):
        return "parked host"
    if host not in PLATFORMS and _SOCIAL.search(host):
        return "social network"
    labels = host.split(".")
    own = labels[: -3 if ".".join(labels[-2:]) in _SECOND_LEVEL else -2]
    if any(label in _INFRASTRUCTURE or _INFRASTRUCTURE_PART.search(label) for label in own):
        return "infrastructure host"
    return None


def mended(text: str) -> str:
    """Text with its mojibake undone: « MÃ©riel » is « Mériel », and U+0092 is the apostrophe cp1252 meant.

    Text that was right stays as it is: the repair must be exact both ways, else nothing is touched.
    """
    while True:  # each turn shortens the text or takes control characters out of it
        before = text
        if any("\x80" <= character <= "\x9f" for character in text):
            text = "".join(_cp1252(c) if "\x80" <= c <= "\x9f" else c for c in text)
        if _MOJIBAKE.search(text):
            with contextlib.suppress(UnicodeError):
                text = text.encode("cp1252").decode("utf-8")
        if text == before:
            return text


_MOJIBAKE = re.compile(
    "[\u00c2-\u00c5\u00e2][\u0080-\u00bf\u0152\u0153\u0160\u0161\u017d\u017e\u0178\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)


def _cp1252(character: str) -> str:
    return character.encode("latin-1").decode("cp1252", "ignore")
