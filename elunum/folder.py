"""The data folder: made, checked, and held by one command of each kind at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elunum.errors import SettingsError
from elunum.settings import Settings


def prepare(settings: Settings) -> Path:
    """The data folder, made if needed. Raises SettingsError with the remedy when it cannot be written."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data):
            pass
    except OSError as error:
        raise SettingsError(
            f"data folder {settings.data}: {error.strerror}; correct ELUNUM_DATA or the folder's owner and rights"
        ) from None
    return settings.data


@contextmanager
def only_one(settings: Settings, name: str) -> Iterator[None]:
    """Hold the data folder for one `name` ("crawl", "index"). Raises SettingsError when another process holds it.

    The kernel drops the lock with the process, however it ends: nothing is left to clean after a kill.
    """
    path = prepare(settings) / f"{name}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"{path}: another {name} is running; wait for its end or stop it") from None
        yield


def write_whole(path: Path, content: bytes) -> None:
    """Replace a small file in one step: a reader sees the old content or the new one, even after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
