"""`python -m elunum`, and the command `elunum`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run a command and end the process with its exit code; Ctrl-C ends it without a traceback, even while it loads."""
    try:
        from elunum.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
