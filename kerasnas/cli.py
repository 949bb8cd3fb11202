"""The command line: `kerasnas search | export | devices | measure | spaces`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import kerasnas
from kerasnas.cli_devices import add_devices, add_measure
from kerasnas.cli_export import add_export
from kerasnas.cli_search import add_search
from kerasnas.cli_spaces import add_spaces

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the command's name; `None` takes it from the process.

    Returns:
        The exit status: 0, or 2 for input that cannot be used, which is explained in a
        sentence on standard error, or 130 if interrupted before anything was found.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        print(f"kerasnas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"kerasnas: interrupted{options.resumes}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerasnas", description="Neural architecture search that ends in a device file."
    )
    parser.add_argument("--version", action="version", version=kerasnas.__version__)
    parser.set_defaults(resumes="")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (add_search, add_export, add_devices, add_measure, add_spaces):
        add(commands)
    return parser
