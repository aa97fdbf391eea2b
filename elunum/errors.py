"""Every way Elunum says no.

An exception stops a command or a request; it names the place and the remedy. Pages that go wrong are data, not
exceptions: see `elunum.model.Skipped`.
"""


class ElunumError(Exception):
    """One sentence for the person who can mend it. The command line prints it and exits with 2."""


class SettingsError(ElunumError):
    """The operator's settings or machine: a bad value, a folder that cannot be written, a port in use."""


class SourceError(ElunumError):
    """A line of sources.csv, with its number and what to write instead."""


class ArchiveError(ElunumError):
    """A web archive that cannot be opened at all. A corrupt record is counted and skipped instead."""


class IndexVersionError(ElunumError):
    """No index yet, or one written by another version of Elunum; the message holds the command to run."""


class QueryError(ElunumError):
    """A reader's parameter. Never holds what the reader typed: only the parameter's name and what it accepts.

    parameter: its name in the contract. accepts: in French, ends a sentence such as « accepte … ».
    """

    def __init__(self, parameter: str, accepts: str) -> None:
        super().__init__(f"Le paramètre « {parameter} » accepte {accepts}.")
        self.parameter = parameter
        self.accepts = accepts
