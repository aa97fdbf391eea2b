"""`python -m elunum` is the command `elunum`."""

from elunum.cli import main

if __name__ == "__main__":
    main()
