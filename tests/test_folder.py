"""One command of each kind holds the data folder; small files are replaced whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from elunum import folder
from elunum.errors import SettingsError
from elunum.settings import Settings


def test_a_second_command_of_the_same_kind_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with folder.only_one(settings, "index"):
        with pytest.raises(SettingsError, match="another index is running"), folder.only_one(settings, "index"):
            pass
        with folder.only_one(settings, "crawl"):
            pass
    with folder.only_one(settings, "index"):
        pass


def test_a_data_folder_that_cannot_be_made_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SettingsError, match="ELUNUM_DATA"):
        folder.prepare(Settings(data=tmp_path / "file" / "data"))


def test_a_small_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    folder.write_whole(path, b"one")
    folder.write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]
