"""Recurrent networks: for series, for texts, and for language models."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces.blocks import conv, dropout, embedding, global_average_pool, recurrent
from search_spaces.network import Node
from search_spaces.sequences import along_time, check_sequences, vocabulary_of
from search_spaces.space import SearchSpace, choose
from search_spaces.task import NextToken, Regression, Task

__all__ = ["Recurrent", "bidirectional_lstm_imdb"]

_SHORTEST = 4  # steps
_LONG = 64  # steps; from here on the default shortens a sequence before it is read
_STRIDES = (1, 2, 4, 8, 16, 32)


class Recurrent(SearchSpace):
    """GRU and LSTM networks over series `(length, channels)` or tokens `(length,)`.

    A vector a token, if there are tokens; a convolution along time that may shorten the
    sequence; recurrent layers; and what they know at the end, or on average. With
    `task=NextToken(vocabulary)` the network is a language model: it answers at each position
    and never reads ahead, so there is no stride, no second direction and no pooling, and the
    convolution is padded in front only.

    | decision           | values                    | what it sets                           |
    |--------------------|---------------------------|----------------------------------------|
    | `embedding`        | 16, 32, 64, 128           | channels of a token's vector           |
    | `front/filters`    | 0, 16, 32, 64             | channels of the convolution; 0 for none|
    | `front/kernel`     | 3, 5, 9                   | its length, steps                      |
    | `front/stride`     | 1, 2, 4, 8, 16, 32        | its step; those that leave 4 steps     |
    | `cell`             | gru, lstm                 | kind of all recurrent layers           |
    | `layers`           | 1, 2, 3                   | their number                           |
    | `layer{i}/units`   | 8, 16, 32, 64, 128        | width of a layer's state               |
    | `dropout`          | 0.0, 0.2, 0.4             | rate between layers                    |
    | `bidirectional`    | False, True               | a second set of layers reads backwards |
    | `pooling`          | last, mean                | last states, or mean over time         |

    `embedding` is for tokens. `front/kernel` and `front/stride` are conditional on a front,
    `layer{i}/units` on the number of layers, `dropout` on a second one. A kernel is no longer
    than the sequence, and at least as long as its stride, so that no step is overlooked. The
    default has a front from 65 steps on. That is `3640 * (1 + 9 * strides)` sets of decisions
    for series of 9 steps or more, by the number of strides: 134,680 for 29 steps. Tokens have
    4 times as many, a language model `4 * 910 * 10`, 36,400.

    A file of integers has no loops: each step of each layer becomes some 20 operators, 1.6 to
    2.1 KB. Files are small where sequences are short or the front shortens them: one GRU of 32
    units over 29 steps makes 58 KB, of which 5 KB are weights. All members run on
    microcontrollers; the NPU of the Ethos-U55 has no operator for tokens, and neither it nor
    the U85 for a second direction that another layer or a mean reads.

    Args:
        input_shape: `(length, channels)` of a series or `(length,)` of tokens, at least 4
            steps.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`; not for tokens.
        vocabulary: Number of different tokens. A language model has that of its task.

    Raises:
        ValueError: If the input is neither, shorter than 4 steps, or tokens without a
            vocabulary.

    References:
        Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
        Machine Translation", EMNLP 2014, https://arxiv.org/abs/1406.1078. Keras' variant
        resets the state after its product, with a bias of its own.
        Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997.
        Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017,
        https://arxiv.org/abs/1711.07128 (a convolution in front of a GRU).
    """

    layouts: ClassVar[tuple[str, ...]] = ("series", "tokens")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        vocabulary: int | None = None,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        self.vocabulary = vocabulary_of("Recurrent", self.input_shape, self.task, vocabulary)
        check_sequences("Recurrent", self.input_shape, self.vocabulary, rescaling, _SHORTEST)
        if self.vocabulary is not None:
            self.input_dtype = "int32"
        self._causal = isinstance(self.task, NextToken)
        length = self.input_shape[0]
        # With a single step left there would be no state to come back to.
        strides = [1] if self._causal else _STRIDES
        self._strides = [stride for stride in strides if -(-length // stride) >= _SHORTEST]
        self._kernels = [kernel for kernel in (3, 5, 9) if kernel <= length]
        fitting = [stride for stride in self._strides if -(-length // stride) <= _LONG]
        self._stride = fitting[0] if fitting else self._strides[-1]

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        if self.vocabulary is not None:
            width = hp.Choice("embedding", [16, 32, 64, 128], default=32)
            x = embedding(x, self.vocabulary, width)
        x = self._front(hp, x)
        depth = hp.Choice("layers", [1, 2, 3])
        units = []
        for i in range(3):
            with hp.conditional_scope("layers", list(range(i + 1, 4))):
                units.append(hp.Choice(f"layer{i}/units", [8, 16, 32, 64, 128], default=32))
        with hp.conditional_scope("layers", [2, 3]):
            rate = hp.Choice("dropout", [0.0, 0.2, 0.4])
        both, pooling = False, "none"
        if not self._causal:
            both = hp.Boolean("bidirectional")
            pooling = hp.Choice("pooling", ["last", "mean"])
        stack = functools.partial(
            _stack, units=units[:depth], rate=rate or 0.0, bidirectional=both, pooling=pooling
        )
        cells = {cell: functools.partial(stack, cell=cell) for cell in ("gru", "lstm")}
        return choose(hp, "cell", x, cells)

    def _front(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        long = self._stride > 1
        filters = hp.Choice("front/filters", [0, 16, 32, 64], default=32 if long else 0)
        with hp.conditional_scope("front/filters", [16, 32, 64]):
            kernel = hp.Choice("front/kernel", self._kernels)
            stride = 1
            if not self._causal:
                stride = hp.Choice("front/stride", self._strides, default=self._stride)
        if not filters:
            return x
        return along_time(conv, x, max(kernel, stride), stride, self._causal, filters=filters)


def _stack(
    x: Node, units: Sequence[int], rate: float, bidirectional: bool, pooling: str, cell: str
) -> Node:
    """Recurrent layers, and what is kept of their states."""
    for i, width in enumerate(units):
        last = i + 1 == len(units)
        sequences = not last or pooling != "last"
        x = recurrent(x, width, cell, sequences, bidirectional)
        if not last:
            x = dropout(x, rate)
    return global_average_pool(x) if pooling == "mean" else x


def bidirectional_lstm_imdb(length: int = 200) -> tuple[Recurrent, dict[str, Any]]:
    """The bidirectional LSTM of Keras' example on film reviews: its space and decisions.

    20,000 words, vectors of 128 channels, two bidirectional LSTMs of 64 units and one logit
    (the example ends in its sigmoid): 2,757,761 parameters, as the example's summary says
    (https://keras.io/examples/nlp/bidirectional_lstm_imdb/). The number does not depend on
    the length.

    Args:
        length: Words of a review.
    """
    space = Recurrent((length,), task=Regression(), vocabulary=20_000)
    values: dict[str, Any] = {
        "embedding": 128,
        "front/filters": 0,
        "cell": "lstm",
        "layers": 2,
        "layer0/units": 64,
        "layer1/units": 64,
        "dropout": 0.0,
        "bidirectional": True,
        "pooling": "last",
    }
    return space, values
