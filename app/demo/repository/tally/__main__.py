"""The command line: ``python -m tally LEDGER``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tally.ledger import LedgerError, read_ledger
from tally.report import render_report


def main() -> int:
    """Print the report of a ledger; the exit code is 1 when it cannot be read."""
    parser = argparse.ArgumentParser(prog="tally", description="Who paid what, and who owes whom.")
    parser.add_argument("ledger", type=Path, help="a CSV file: date, person, purpose, amount")
    arguments = parser.parse_args()
    try:
        payments = read_ledger(arguments.ledger.read_text(encoding="utf-8").splitlines())
    except (OSError, LedgerError) as error:
        print(f"tally: {error}", file=sys.stderr)
        return 1
    print(render_report(payments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
