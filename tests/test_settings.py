"""Settings come from defaults, then the file, then the environment; a bad one is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from elunum.errors import SettingsError
from elunum.settings import load


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "elunum.toml"
    file.write_text("[crawl]\ndelay_s = 5\ntimeout_s = 7\n")
    settings = load({"ELUNUM_CRAWL_DELAY_S": "0.5"}, file)
    assert settings.crawl.delay_s == 0.5
    assert settings.crawl.timeout_s == 7
    assert settings.crawl.max_page_bytes == 5_000_000


@pytest.mark.parametrize("address", ["10.0.0.1:80", "example.org:80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x"])
def test_connect_to_accepts_a_loopback_address_with_a_port_only(address: str) -> None:
    with pytest.raises(SettingsError, match=r"ELUNUM_CRAWL_CONNECT_TO.*loopback"):
        load({"ELUNUM_CRAWL_CONNECT_TO": address})


def test_a_misspelt_setting_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "elunum.toml"
    file.write_text("[crawl]\ndelais = 5\n")
    with pytest.raises(SettingsError, match=r"elunum\.toml: crawl\.delais"):
        load({}, file)


def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "elunum.toml"
    file.write_bytes(b"\xff\xfe[")
    with pytest.raises(SettingsError, match=r"elunum\.toml"):
        load({}, file)


def test_a_named_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ELUNUM_CONFIG"):
        load({"ELUNUM_CONFIG": str(tmp_path / "none.toml")})
