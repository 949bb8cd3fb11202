"""`kerasnas spaces`: the families of networks, and the decisions of one."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

import kerasnas
from edge_devices.spelling import did_you_mean

__all__ = ["add_spaces"]

# An input that suits a family, where none is given.
_USUAL = {
    "images": (32, 32, 3),
    "audio": (49, 40, 1),
    "series": (128, 6),
    "table": (16,),
    "tokens": (64,),
}
_VOCABULARY = 1000  # tokens


def add_spaces(commands: Any) -> None:
    """Add the command that lists spaces to the command line."""
    spaces = commands.add_parser(
        "spaces",
        help="list the search spaces, or tell all of one",
        description="List the families of networks that --space takes, or tell what one of "
        "them decides, and how large it is for an input.",
    )
    spaces.set_defaults(run=_spaces)
    spaces.add_argument("name", nargs="?", metavar="NAME", help="a space")
    spaces.add_argument(
        "--input-shape",
        type=_shape,
        metavar="AxBxC",
        help="shape of one example, e.g. 28x28x1 for images, 29x12 for series, 64 for tokens",
    )
    spaces.add_argument(
        "--vocabulary",
        type=int,
        metavar="N",
        help=f"number of different tokens, of spaces that read them (default: {_VOCABULARY})",
    )


def _shape(text: str) -> tuple[int, ...]:
    sides = text.lower().split("x")
    if not all(side.isdigit() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"not a shape such as 28x28x1: {text!r}")
    return tuple(map(int, sides))


def _spaces(options: argparse.Namespace) -> None:
    spaces = kerasnas.search_spaces  # loads TensorFlow, quietly, before anything else does
    names = spaces.SPACES
    if options.name is None:
        for name, title in names.items():
            family = getattr(spaces, title)
            summary = (inspect.getdoc(family) or "").partition("\n")[0]
            print(f"{name:<14} {', '.join(family.layouts):<24} {summary}")
        print("\nkerasnas spaces NAME tells the decisions of one.")
        return
    if options.name not in names:
        raise ValueError(
            f"No space is called {options.name!r}. {did_you_mean(options.name, names)}Known: "
            f"{', '.join(names)}."
        )
    family = getattr(spaces, names[options.name])
    shape = options.input_shape or _USUAL[family.layouts[0]]
    size = "x".join(map(str, shape))
    more = {}
    if "tokens" in family.layouts and len(shape) == 1:
        vocabulary = _VOCABULARY if options.vocabulary is None else options.vocabulary
        size, more = f"{size} of {vocabulary:,} tokens", {"vocabulary": vocabulary}
    elif options.vocabulary is not None:
        raise ValueError(
            f"Only tokens have a vocabulary. Received: --vocabulary {options.vocabulary} with "
            f"{options.name} for examples of {size}. Leave it out, or pass e.g. "
            "--input-shape 64 to a space that reads tokens."
        )
    space = family(shape, 10, **more)
    print(inspect.getdoc(family))
    print(
        f"\nFor examples of {size} and 10 classes that is {space.size():,} sets of decisions."
    )
    costs = space.costs(space.default())
    print(
        f"Its default network has {costs['params']:,.0f} parameters and "
        f"{costs['macs']:,.0f} multiply-accumulates, and makes a file of "
        f"{costs['flash']:,.0f} bytes that needs {costs['ram']:,.0f} bytes of RAM."
    )
