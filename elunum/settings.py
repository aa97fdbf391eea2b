"""Every knob, with its unit, its default and one line of help. Read once at start, then passed as an argument.

Order: the defaults below, then `elunum.toml` in the current folder (or the file named by ELUNUM_CONFIG), then
variables of the environment: `crawl.delay_s` is ELUNUM_CRAWL_DELAY_S, `data` is ELUNUM_DATA.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from elunum import __version__
from elunum.errors import SettingsError

CHECKOUT = Path(__file__).resolve().parents[1]
"""Where README.md, sources.csv, demo/ and web/ are in a checkout."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CrawlSettings(_Section):
    """How the crawler behaves towards the sites it visits."""

    connect_to: str = Field("", description="Send every connection to this loopback host:port, keeping the Host header")
    delay_s: float = Field(2.0, ge=0, le=3600, description="Pause between two requests to a host, seconds")
    agent_name: str = Field("Elunum", pattern=r"^[A-Za-z_-]+$", description="The name matched in robots.txt")
    max_page_bytes: int = Field(5_000_000, ge=1000, description="Larger bodies are dropped, bytes after decompression")
    timeout_s: float = Field(30.0, gt=0, description="A response must be complete within, seconds")
    active_hosts: int = Field(400, ge=1, description="Hosts crawled side by side; the others wait their turn")
    pages_per_host: int = Field(
        5_000, ge=1, description="Addresses visited of one host at most in its first night; grows with what was useful"
    )
    revisit_min_days: float = Field(1.0, ge=0, description="A page that keeps changing is visited again after, days")
    revisit_max_days: float = Field(30.0, gt=0, description="A page that never changes is visited again after, days")
    robots_max_age_h: float = Field(24.0, gt=0, description="robots.txt is asked again after, hours")

    @field_validator("connect_to")
    @classmethod
    def _only_loopback(cls, value: str) -> str:
        if not value:
            return value
        host, _, port = value.rpartition(":")
        try:
            loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("only a loopback address and port is accepted, such as 127.0.0.1:8091")
        return value


class ArchiveSettings(_Section):
    """Fetched pages on disk."""

    file_bytes: int = Field(200_000_000, ge=10_000, description="A WARC file is closed at this size, bytes")
    gone_days: float = Field(60.0, ge=1, description="Compaction keeps the word that a page is gone for, days")
    keep_days: float = Field(
        0.0, ge=0, description="Compaction drops pages not seen for so long, living ones too, days; 0 keeps them"
    )
    keep_bytes: int = Field(
        0, ge=0, description="Compaction drops the pages seen least recently beyond this size, bytes; 0 for no limit"
    )


class OfficialSettings(_Section):
    """Official lists of sites, for `elunum sources update`."""

    lists: tuple[str, ...] = Field(
        (
            # DINUM, Licence Ouverte 2.0: addresses of public bodies that answer.
            "https://gitlab.adullact.net/dinum/noms-de-domaine-organismes-secteur-public/-/raw/master/urls.txt",
            # DILA, Licence Ouverte 2.0: the national directory. Only these columns: the others hold people.
            "https://api-lannuaire.service-public.gouv.fr/api/explore/v2.1/catalog/datasets/"
            "api-lannuaire-administration/exports/json?select=nom,pivot,site_internet,code_insee_commune",
        ),
        description="Addresses of the lists, in https; in the environment, separated by spaces",
    )
    max_bytes: int = Field(300_000_000, ge=1000, description="A list is refused beyond this size, bytes")
    timeout_s: float = Field(300.0, gt=0, description="A list must have arrived within, seconds")

    @field_validator("lists", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value


class ExtractSettings(_Section):
    """Bytes to documents."""

    workers: int = Field(0, ge=0, description="Extraction processes; 0 means one per core")
    timeout_s: float = Field(5.0, gt=0, description="A page is given up after, seconds of processor")
    memory_mb: int = Field(1_000, ge=100, description="Address space a worker may add, megabytes")
    max_html_bytes: int = Field(2_000_000, ge=1000, description="HTML is cut at, bytes")
    recycle_pages: int = Field(1_000, ge=1, description="A worker is replaced after this many pages")


class IndexSettings(_Section):
    """Building index versions."""

    keep: int = Field(2, ge=1, description="Index versions kept on disk, for rolling back")
    memory_mb: int = Field(100, ge=15, description="Memory of the index writer, megabytes")
    judged: Path | None = Field(
        None, description="Questions with the pages that answer them (CSV: query, url, relevance), asked before a swap"
    )
    floor: float = Field(
        0.75, ge=0, le=1, description="Share of known questions that a version must answer to be served; 0 serves any"
    )
    enjeux_weights: Path | None = Field(
        None, description="Weights of enjeux learned from labelled pages; none: the expressions decide alone"
    )


class SearchSettings(_Section):
    """Answering."""

    max_query_chars: int = Field(1_000, ge=1, description="Longer queries are refused, characters")
    max_page: int = Field(100, ge=1, description="Last page of results that can be asked for")
    count_up_to: int = Field(
        5_000,
        ge=0,
        description="Results up to which facets are counted one by one; beyond, on some, and said so; 0 for all",
    )


class SiteSettings(_Section):
    """The web site."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on")
    workers: int = Field(1, ge=1, description="Serving processes")
    requests_per_minute: int = Field(
        600, ge=0, description="Requests of one network that a serving process answers in a minute; 0 for no limit"
    )
    in_hand: int = Field(
        100, ge=1, description="Requests that wait in a serving process; beyond, who asked most gets 503"
    )
    base_url: str = Field(
        "http://127.0.0.1:8000", description="Public address, used in feeds and the API documentation"
    )
    operator: str = Field("", description="Who runs this service, shown in the legal notice")
    hosting: str = Field("", description="Who hosts this service, name and address, shown in the legal notice")
    contact: str = Field("", description="Address shown to webmasters and to people who ask for removal")
    demo: bool = Field(False, description="Say on every page that the content is an example")


class Settings(_Section):
    """All of them."""

    data: Path = Field(Path("var"), description="Folder of everything Elunum writes")
    sources: Path = Field(CHECKOUT / "sources.csv", description="The list of trusted sources")
    crawl: CrawlSettings = CrawlSettings()
    official: OfficialSettings = OfficialSettings()
    archive: ArchiveSettings = ArchiveSettings()
    extract: ExtractSettings = ExtractSettings()
    index: IndexSettings = IndexSettings()
    search: SearchSettings = SearchSettings()
    site: SiteSettings = SiteSettings()

    @property
    def user_agent(self) -> str:
        """What webmasters see: our name, our version and the page that explains who we are and how to refuse us."""
        return f"{self.crawl.agent_name}/{__version__} (+{self.site.base_url}/robot)"

    @property
    def archive_dir(self) -> Path:
        """WARC files, oldest first by name."""
        return self.data / "archive"

    @property
    def frontier_path(self) -> Path:
        """What is due and what was learned of each URL and host."""
        return self.data / "frontier.sqlite"

    @property
    def documents_path(self) -> Path:
        """The documents store."""
        return self.data / "documents.sqlite"

    @property
    def index_dir(self) -> Path:
        """Index versions and the link `current`."""
        return self.data / "index"


Variables = Annotated[dict[str, str], "variables of the environment"]


def load(environment: Variables | None = None, file: Path | None = None) -> Settings:
    """The settings of this process. Raises SettingsError naming the setting, where it was read and what it accepts."""
    environment = dict(os.environ) if environment is None else environment
    file = file or Path(environment.get("ELUNUM_CONFIG", "elunum.toml"))
    values: dict[str, Any] = {}
    if file.exists():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{file}: {error}; write TOML, see docs/operating.md") from None
    elif "ELUNUM_CONFIG" in environment:
        raise SettingsError(f"ELUNUM_CONFIG: {file} does not exist; correct it or unset it")
    _overlay(values, environment)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        variable = "ELUNUM_" + name.upper().replace(".", "_")
        place = variable if variable in environment else str(file)
        raise SettingsError(f"{place}: {name}: {first['msg']}; see docs/operating.md") from None


def _overlay(values: dict[str, Any], environment: Variables) -> None:
    """Put the ELUNUM_* variables over what the file said."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            for key in field.annotation.model_fields:
                if (value := environment.get(f"ELUNUM_{name}_{key}".upper())) is not None:
                    values.setdefault(name, {})[key] = value
        elif (value := environment.get(f"ELUNUM_{name}".upper())) is not None:
            values[name] = value
