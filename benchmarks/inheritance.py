"""What inherited weights are worth: children of small mutations, against training afresh.

Parents are drawn from a space and trained on part of Fashion-MNIST; each child is a parent
after one random change. It is trained three times, always with Adam at one learning rate, so
that an accuracy after `k` epochs is that of a training of `k` epochs: from its parent's
weights, from scratch, and from scratch again with other seeds. The last is the reference: how
well its accuracies order the children is what a search wants to know early.

With `--falling` the learning rate falls to 0 by a cosine over the epochs of each training, as
in a search. Then only the last epoch is that of a whole training: the lines before it say how
things stand on the way, and what they "save" is no saving of whole trainings.

Writes one JSON line a child to `--output`; those already there are kept, so the run can be
continued; then prints accuracies by epoch, and Spearman's rank correlations with the reference
after its last epoch. What parents cost is not counted: in a search they are trials.

    python -m benchmarks.inheritance --space graph --children 20 --output graph.jsonl
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranks import resampled
from benchmarks.small_networks import Split, each_seed

Array = NDArray[Any]
Record = Mapping[str, Any]

SPACES = ("graph", "mobilenet")
KINDS = ("inherited", "scratch", "reference")

_CLASSES = 10
_BATCH = 64
_LEARNING_RATE = 2e-3
_MACS = (100_000, 1_000_000)  # of parents and children


class Child(NamedTuple):
    """A network, and the one it was made from by one change."""

    parent: Any
    child: Any


def load(examples: int, judged_on: int) -> Split:
    """Fashion-MNIST: so many training images, and as many others to judge by."""
    with np.load(Path(os.environ["KERASNAS_DATA"]) / "fashion_mnist.npz") as file:
        x, y = file["x_train"], file["y_train"]
    chosen = np.random.default_rng(0).permutation(len(x))[: examples + judged_on]
    x, y = (x[chosen, ..., None] / 255).astype(np.float32), y[chosen].astype(np.int32)
    return Split(x[:examples], y[:examples], x[examples:], y[examples:])


def draw(name: str, shape: tuple[int, ...], seed: int, parents: int) -> Child:
    """Child number `seed`, whose parent is number `seed % parents`."""
    import search_spaces
    from search_spaces import members
    from search_spaces.costs import macs

    def fits(network: Any) -> bool:
        return _MACS[0] <= macs(network) <= _MACS[1]

    space = getattr(search_spaces, search_spaces.SPACES[name])(shape, _CLASSES)
    rng = np.random.default_rng([0, seed % parents])
    parent = members.draw(space, rng)
    while not fits(parent.network):
        parent = members.draw(space, rng)
    rng = np.random.default_rng([1, seed])
    while True:
        child = _changed(space, parent, rng)
        if child != parent.network and fits(child):
            return Child(parent.network, child)


def _changed(space: Any, parent: Any, rng: np.random.Generator) -> Any:
    """The network after one edit of its graph, or with one decision taken otherwise."""
    from search_spaces import edits, members
    from search_spaces.graph import GraphNetwork

    if isinstance(space, GraphNetwork):
        graph = space.graph_of(parent.values)
        changed = edits.apply(graph, edits.random_edit(graph, rng))
        return space.network(space.values_of(changed))
    names = list(parent.values)
    only = names[int(rng.integers(len(names)))]
    options = list(members.neighbours(space, parent.values, only))
    return options[int(rng.integers(len(options)))].network if options else parent.network


class Training:
    """Trains one network again and again, each time from other weights.

    One model does for all trainings, because to trace a step takes longer than an epoch.

    Args:
        network: The network.
        falls_over: Steps over which the learning rate falls to 0; `None` if it stays.
    """

    def __init__(self, network: Any, falls_over: int | None = None) -> None:
        import keras

        keras.backend.clear_session()
        self.model = realised(network, 0)
        decay = keras.optimizers.schedules.CosineDecay
        rate = decay(_LEARNING_RATE, falls_over) if falls_over else _LEARNING_RATE
        self.model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self.model.optimizer.build(self.model.trainable_variables)

    def curve(self, weights: Any, data: Split, epochs: int, seed: int) -> list[float]:
        """Accuracy on the other images after each epoch from these weights on."""
        import keras

        from search_spaces.inheritance import load

        load(self.model, weights)
        for variable in self.model.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape))
        keras.utils.set_random_seed(seed)
        history = self.model.fit(
            data.x_train,
            data.y_train,
            batch_size=_BATCH,
            epochs=epochs,
            validation_data=(data.x_test, data.y_test),
            validation_batch_size=500,
            verbose=0,
        )
        return [float(accuracy) for accuracy in history.history["val_accuracy"]]


def measure(
    data: Split,
    space: str,
    seed: int,
    *,
    parents: int,
    epochs: int,
    parent_epochs: int,
    falling: bool = False,
) -> dict[str, Any]:
    """Train a child in the three ways; `seed` says which."""
    from search_spaces.inheritance import inherited, weights_of

    parent, child = draw(space, data.x_train.shape[1:], seed, parents)
    weights, before = _trained_parent(
        space,
        seed % parents,
        parents,
        parent_epochs,
        falling,
        len(data.x_train),
        len(data.x_test),
    )
    record: dict[str, Any] = {"seed": seed, "parent": seed % parents, "before": before}
    training = Training(child, _steps(data, epochs) if falling else None)
    for number, kind in enumerate(KINDS):
        start = weights_of(realised(child, seed + 1_000 * number))
        if kind == "inherited":
            start, found = inherited(start, weights, network=child, parent_network=parent)
            record["share"] = found.share
        record[kind] = training.curve(start, data, epochs, seed + 1_000 * number)
    return record


@functools.cache
def _trained_parent(
    space: str,
    number: int,
    parents: int,
    epochs: int,
    falling: bool,
    examples: int,
    judged_on: int,
) -> tuple[Any, list[float]]:
    from search_spaces.inheritance import weights_of

    data = load(examples, judged_on)
    parent = draw(space, data.x_train.shape[1:], number, parents).parent
    training = Training(parent, _steps(data, epochs) if falling else None)
    start = weights_of(realised(parent, number))
    accuracies = training.curve(start, data, epochs, number)
    return weights_of(training.model), accuracies


def _steps(data: Split, epochs: int) -> int:
    return epochs * -(-len(data.x_train) // _BATCH)


def realised(network: Any, seed: int) -> Any:
    """A model of a network, with the seed's weights."""
    from kerasnas.normalization import FusedBatchNormalization
    from search_spaces.realise import realise

    return realise(network, seed=seed, normalization=FusedBatchNormalization)


# --- what comes out of it -----------------------------------------------------------------


def correlations(records: Sequence[Record], kind: str) -> tuple[Array, Array]:
    """Spearman's correlations with the reference by epoch, and their standard errors.

    Accuracies after each epoch are compared with those of the reference after its last. Errors
    are by drawing children with replacement.
    """
    reference = [record["reference"][-1] for record in records]
    drawn = resampled(np.array([record[kind] for record in records]).T, reference)
    return drawn[:, 0], drawn[:, 1:].std(axis=1)


def saved(inherited: Sequence[float], scratch: Sequence[float]) -> list[float | None]:
    """What share of training from scratch each epoch with inherited weights saves.

    Args:
        inherited: How good it is after 1, 2, ... epochs: a correlation, or an accuracy.
        scratch: Likewise from scratch.

    Returns:
        After `k` epochs `1 - k / m`, where `m` is the first number of epochs from scratch that
        is as good; `None` where no number is. Negative where less training would have done.
    """
    shares: list[float | None] = []
    for k, good in enumerate(inherited, start=1):
        as_good = (m for m, other in enumerate(scratch, start=1) if other >= good)
        m = next(as_good, None)
        shares.append(None if m is None else 1 - k / m)
    return shares


def table(records: Sequence[Record]) -> str:
    """Accuracies and correlations by epoch, and what inheritance saves of both."""
    accuracy = {kind: np.array([r[kind] for r in records]) for kind in KINDS}
    ours, theirs = accuracy["inherited"], accuracy["scratch"]
    rank = {kind: correlations(records, kind) for kind in ("inherited", "scratch")}
    better = (ours[:, 0] > theirs[:, 0]).sum()
    share = np.mean([record["share"] for record in records])
    lines = [
        f"{len(records)} children, {share:.0%} of weights inherited on average",
        f"after 1 epoch {better} of {len(records)} are better with inherited weights",
        "epoch  accuracy            difference     rank correlation              saved",
        "       inherited  scratch  (s.e.)         inherited     scratch         "
        "for accuracy  for ranks",
    ]
    savings = zip(
        saved(ours.mean(0).tolist(), theirs.mean(0).tolist()),
        saved(*(rank[kind][0].tolist() for kind in ("inherited", "scratch"))),
        strict=True,
    )
    for k, (for_accuracy, for_ranks) in enumerate(savings):
        difference = ours[:, k] - theirs[:, k]
        standard_error = difference.std(ddof=1) / np.sqrt(len(records))
        ranks = "  ".join(f"{r[k]:5.2f} ({error[k]:.2f})" for r, error in rank.values())
        lines.append(
            f"{k + 1:5d}  {ours[:, k].mean():9.2%}  {theirs[:, k].mean():7.2%}  "
            f"{difference.mean():+7.2%} ({standard_error:.2%})  {ranks}  "
            f"{_said(for_accuracy):>12}  {_said(for_ranks):>9}"
        )
    return "\n".join(lines)


def _said(share: float | None) -> str:
    return "beyond" if share is None else f"{share:.0%}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", choices=SPACES, default="graph")
    parser.add_argument("--children", type=int, default=20)
    parser.add_argument("--parents", type=int, default=5)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--judged-on", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=10, help="of each child")
    parser.add_argument("--parent-epochs", type=int, default=5)
    parser.add_argument("--falling", action="store_true", help="learning rates fall to 0")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    data = load(arguments.examples, arguments.judged_on)
    records = each_seed(
        arguments.output,
        arguments.children,
        lambda seed: measure(
            data,
            arguments.space,
            seed,
            parents=arguments.parents,
            epochs=arguments.epochs,
            parent_epochs=arguments.parent_epochs,
            falling=arguments.falling,
        ),
    )
    print(table(records))


if __name__ == "__main__":
    main()
