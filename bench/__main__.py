"""Every bench in turn: `python -m bench`. Exits with 1 when one falls below its floor."""

from __future__ import annotations

import subprocess
import sys

BENCHES = ("relevance", "spelling", "enjeux", "extract", "sources", "search", "build", "site", "crawl", "replica")


def main() -> int:
    """Run them all, each as a process of its own; what one leaves in memory is no concern of the next."""
    failed = []
    for name in BENCHES:
        print(f"\n== bench.{name}", flush=True)
        if subprocess.call([sys.executable, "-m", f"bench.{name}"]) != 0:
            failed.append(name)
    print(f"\nbelow a floor, or without its data: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
