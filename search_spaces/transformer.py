"""Transformers: for texts and language models, series, and images, mixed with convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import (
    add,
    attention,
    conv,
    dense,
    depthwise,
    dropout,
    embedding,
    fitted,
    inverted_residual,
    layer_norm,
    make_divisible,
    position_embedding,
    rescale,
    reshape,
    sinusoid,
)
from search_spaces.network import Node
from search_spaces.operations import pair
from search_spaces.sequences import along_time, check_sequences, vocabulary_of
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import NextToken, Task

__all__ = ["Transformer", "vit_tiny"]

_SMALLEST = 8  # pixels
_SHORTEST = 4  # positions
_MOST_PATCHES = 256  # of an image; attention compares all pairs
_MOST_STEPS = 128  # patches of a series
_POWERS = [2**power for power in range(20)]


class Transformer(SearchSpace):
    """Attention over tokens, series and patches of images, there mixed with convolutions.

    Inputs become a grid of vectors: tokens by an embedding, series and images by patches.
    Then come stages. One of attention adds positions, runs blocks of multi-head attention
    and a network of two dense layers, each behind a layer normalisation and with a sum around
    it, and ends in another normalisation. In images a stage may be of inverted residuals
    instead, and each stage after the first halves the grid, or is left out with its halving;
    texts and series have a single stage. The task adds its head.

    With `causal` no position sees those behind it: that is the default for
    `task=NextToken(vocabulary)`.

    | decision              | values                 | what it sets                           |
    |-----------------------|------------------------|----------------------------------------|
    | `patch`               | (powers of 2)          | side of the patches, pixels or steps   |
    | `stem`                | patch, convolution     | how image patches become vectors       |
    | `activation`          | relu, hard_silu        | activation (hard_silu is h-swish)      |
    | `dropout`             | 0.0, 0.1, 0.2          | rate behind attention and dense layers |
    | `stage{i}/depth`      | 0, 1, 2, 3, 4          | blocks in the stage (first: not 0)     |
    | `stage{i}/width`      | 16, 32, 48, 64, 96     | its channels                           |
    | `stage{i}/block`      | attention, convolution | kind of its blocks, in images          |
    | `stage{i}/position`   | learned, sinusoid,     | how attention knows places: vectors    |
    |                       | convolution, none      | added, or a depthwise convolution of 3 |
    | `stage{i}/heads`      | 1, 2, 3, 4             | heads of attention                     |
    | `stage{i}/head_width` | 8, 16, 32, 64          | channels of a head                     |
    | `stage{i}/ratio`      | 1, 2, 4                | middle of the dense layers / width     |
    | `stage{i}/kernel`     | 3, 5                   | side of the depthwise kernels, pixels  |
    | `stage{i}/expansion`  | 2, 4                   | middle of a convolution block / input  |

    Of the finest patches an image has 256 at most, a series 128; of the coarsest at least 3
    lie along the shorter side of an image. That is 1 and 2 pixels for 8x8; 2, 4 and 8 for
    28x28 and 32x32; 8, 16 and 32 for 96x96; 16, 32 and 64 for 224x224; 1, 2 and 4 steps for a
    series of 29. A stem of convolutions halves the image step by step instead (Xiao et al.).
    Decisions of a stage are conditional on its depth, those of its blocks on their kind.

    An attention stage has `5 * 4 * 4 * 4 * 4 * 3`, 3,840 settings, one of convolutions
    `5 * 4 * 2 * 2`, 80. So a text has `6 * 3840`, 23,040 sets of decisions; a series `patches`
    times as many, 69,120 for 29 steps; an image
    `12 * patches * 3920 * 3921**(num_stages - 1)`: 3.7e8 for 8x8, 5.5e8 for 28x28.

    Attention costs the square of the number of patches. Integer files have operators for all
    layers, so there is no GELU: its exact form does not convert, and TensorFlow Lite Micro
    lacks the other one. All members run there. The NPU of the Ethos-U55 has no operator for
    tokens and for causal attention; the U85 has.

    Args:
        input_shape: `(height, width, channels)` of an image of at least 8x8 pixels,
            `(length, channels)` of a series or `(length,)` of tokens, at least 4 of them.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`; not for tokens.
        vocabulary: Number of different tokens. A language model has that of its task.
        causal: Whether positions see only themselves and those before; not for images. By
            default they do where the next token is predicted.
        num_stages: Number of stages; 2 for images, and 1 for all others unless given.
        convolutions: Whether a stage of an image may be of convolutions.
        patches: Sides that patches can have, instead of the three; of images powers of 2.
        depths: Numbers of blocks that a stage can have.
        widths: Channels that a stage can have.

    Raises:
        ValueError: If the input is none of these or too small, tokens have no vocabulary, or
            an argument does not go with the input.

    References:
        Vaswani et al., "Attention Is All You Need", NIPS 2017,
        https://arxiv.org/abs/1706.03762. Normalisation comes before a layer, not after.
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021,
        https://arxiv.org/abs/2010.11929. We average over patches instead of a class token.
        Dai et al., "CoAtNet: Marrying Convolution and Attention for All Data Sizes", NeurIPS
        2021, https://arxiv.org/abs/2106.04803 (stages of either kind).
        Xiao et al., "Early Convolutions Help Transformers See Better", NeurIPS 2021,
        https://arxiv.org/abs/2106.14881 (the stem of convolutions).
        Chu et al., "Conditional Positional Encodings for Vision Transformers", ICLR 2023,
        https://arxiv.org/abs/2102.10882 (positions by a depthwise convolution).
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "series", "tokens", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        vocabulary: int | None = None,
        causal: bool | None = None,
        num_stages: int | None = None,
        convolutions: bool = True,
        patches: Sequence[int] | None = None,
        depths: Sequence[int] = (1, 2, 3, 4),
        widths: Sequence[int] = (16, 32, 48, 64, 96),
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        shape, predicts = self.input_shape, isinstance(self.task, NextToken)
        self._images = len(shape) == 3
        self.vocabulary = vocabulary_of("Transformer", shape, self.task, vocabulary)
        self.causal = predicts if causal is None else causal
        self.num_stages = (2 if self._images else 1) if num_stages is None else num_stages
        self._convolutions = self._images and convolutions
        self.depths, self.widths = list(depths), list(widths)
        # Patches along the shorter side: each stage after the first halves their number.
        self._fewest = max(3, 2 ** (self.num_stages - 1) + 1) if self._images else _SHORTEST
        self._check(rescaling)
        if self.vocabulary is not None:
            self.input_dtype = "int32"
        # What is asked at each position must not be answered once a patch.
        whole = self.vocabulary is not None or predicts
        self.patches = [1] if whole else self._sides(patches)

    def _check(self, rescaling: Any) -> None:
        shape = self.input_shape
        if self.num_stages < 1 or (self.num_stages > 1 and not self._images):
            raise ValueError(
                "There is at least one stage, and only images have several. Received: "
                f"input_shape={shape} with num_stages={self.num_stages}. Use more `depths`."
            )
        if not self._images:
            check_sequences("Transformer", shape, self.vocabulary, rescaling, _SHORTEST)
            return
        check_images("Transformer", shape, max(_SMALLEST, self._fewest))
        if self.causal:
            raise ValueError(
                "Patches of an image have no order in time. Received: "
                f"input_shape={shape} with causal=True or task={self.task}. Leave `causal` "
                "out, and predict tokens from tokens or series."
            )

    def _sides(self, wanted: Sequence[int] | None) -> list[int]:
        """Sides of patches: those wanted, or such as make a fitting number of patches."""
        sides = self.input_shape[:2] if self._images else self.input_shape[:1]
        if wanted is None:
            most = _MOST_PATCHES if self._images else _MOST_STEPS
            possible = [p for p in _POWERS if -(-min(sides) // p) >= self._fewest]
            fitting = [p for p in possible if math.prod(-(-s // p) for s in sides) <= most]
            return (fitting or possible[-1:])[:3]
        allowed = [p for p in wanted if isinstance(p, int) and p >= 1]
        if self._images:  # where a stem of convolutions halves until a patch is a pixel
            allowed = [p for p in allowed if p in _POWERS]
        if not wanted or len(set(allowed)) < len(wanted):
            raise ValueError(
                "Sides of patches are one or more different whole numbers, and of images "
                f"powers of 2. Received: patches={tuple(wanted)} with input_shape="
                f"{self.input_shape}. Leave `patches` out for such as fit the input."
            )
        if -(-min(sides) // max(wanted)) < self._fewest:
            raise ValueError(
                f"At least {self._fewest} patches must lie along each side. Received: "
                f"patches={tuple(wanted)} with input_shape={self.input_shape} and "
                f"num_stages={self.num_stages}. Use smaller patches or fewer stages."
            )
        return list(wanted)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        block = _Block(
            self.causal,
            hp.Choice("activation", ["relu", "hard_silu"]),
            hp.Choice("dropout", [0.0, 0.1, 0.2]),
        )
        width = hp.Choice("stage0/width", self.widths, default=self._width(0))
        x = self._vectors(hp, x, width, block)
        for i in range(self.num_stages):
            x = self._stage(hp, x, i, block)
        return x

    def _width(self, i: int) -> int:
        """The default width of a stage."""
        wanted = 32 if i == 0 else 64
        return min(self.widths, key=lambda width: abs(width - wanted))

    def _vectors(
        self, hp: keras_tuner.HyperParameters, x: Node, width: int, block: _Block
    ) -> Node:
        """Tokens or patches as vectors."""
        if self.vocabulary is not None:
            return embedding(x, self.vocabulary, width)
        # By default a series is read as finely as possible, an image is not.
        default = self.patches[min(int(self._images), len(self.patches) - 1)]
        side = hp.Choice("patch", self.patches, default=default)
        plain: dict[str, Any] = {"filters": width, "activation": "linear", "norm": False}
        if not self._images:
            return along_time(conv, x, side, side, **plain)
        stems = {
            "patch": lambda x: conv(x, kernel=side, stride=side, **plain),
            "convolution": lambda x: conv(_halved(x, side, width, block), kernel=1, **plain),
        }
        return choose(hp, "stem", x, stems)

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, i: int, block: _Block) -> Node:
        depths = self.depths if i == 0 else [0, *self.depths]
        depth = hp.Choice(f"stage{i}/depth", depths, default=self.depths[:2][-1])
        with hp.conditional_scope(f"stage{i}/depth", self.depths):
            if not depth:
                return x
            width = x.channels
            if i > 0:
                width = hp.Choice(f"stage{i}/width", self.widths, default=self._width(i))
            kinds = {
                "attention": lambda x: self._attention(hp, x, i, (depth, width), block),
                "convolution": lambda x: self._residuals(hp, x, i, (depth, width), block),
            }
            if not self._convolutions:
                return kinds["attention"](x)
            # What is found nearby comes first by default, how it belongs together after it.
            first = "convolution" if i + 1 < self.num_stages else "attention"
            return choose(hp, f"stage{i}/block", x, {first: kinds[first], **kinds})

    def _attention(
        self,
        hp: keras_tuner.HyperParameters,
        x: Node,
        i: int,
        size: tuple[int, int],
        block: _Block,
    ) -> Node:
        depth, width = size
        if i > 0:
            x = conv(
                depthwise(x, stride=2, activation="linear"), width, 1, activation="linear"
            )
        heads = hp.Choice(f"stage{i}/heads", [1, 2, 3, 4], default=2)
        inner = heads * hp.Choice(f"stage{i}/head_width", [8, 16, 32, 64], default=16)
        middle = width * hp.Choice(f"stage{i}/ratio", [1, 2, 4], default=2)
        grid = x.shape
        positions = {
            "learned": lambda x: position_embedding(_in_a_row(x)),
            "sinusoid": lambda x: sinusoid(_in_a_row(_loud(x, self.vocabulary))),
            "convolution": lambda x: _in_a_row(add(x, _neighbours(x, block.causal))),
            "none": _in_a_row,
        }
        x = choose(hp, f"stage{i}/position", x, positions)
        for _ in range(depth):
            y = attention(layer_norm(x), heads, inner, block.causal)
            x = add(x, dropout(y, block.dropout))
            y = dense(dense(layer_norm(x), middle, block.activation), width)
            x = add(x, dropout(y, block.dropout))
        x = layer_norm(x)
        return x if x.shape == grid else reshape(x, grid)

    def _residuals(
        self,
        hp: keras_tuner.HyperParameters,
        x: Node,
        i: int,
        size: tuple[int, int],
        block: _Block,
    ) -> Node:
        depth, width = size
        kernel = hp.Choice(f"stage{i}/kernel", [3, 5])
        expansion = hp.Choice(f"stage{i}/expansion", [2, 4])
        for number in range(depth):
            stride = 2 if i > 0 and number == 0 else 1
            x = inverted_residual(
                x,
                width,
                # Of a grid of 2 rows a kernel of 5 would see no more than one of 3.
                kernel=min(pair(fitted(x, kernel, stride))),
                stride=stride,
                expansion=expansion,
                activation=block.activation,
            )
        return x


class _Block(NamedTuple):
    """What all blocks have in common."""

    causal: bool
    activation: str
    dropout: float


def _halved(x: Node, side: int, width: int, block: _Block) -> Node:
    """Convolutions that make a pixel of each patch, halving the image as they widen."""
    halvings = side.bit_length() - 1
    if not halvings:
        return conv(x, width, activation=block.activation)
    for i in reversed(range(halvings)):
        x = conv(x, make_divisible(width / 2**i), stride=2, activation=block.activation)
    return x


def _in_a_row(x: Node) -> Node:
    """The vectors of a grid one after another, row by row."""
    return x if len(x.shape) == 2 else reshape(x, (math.prod(x.shape[:-1]), x.channels))


def _loud(x: Node, vocabulary: int | None) -> Node:
    # Vectors of tokens start within 0.05 around 0. Beside sines they would not be heard.
    return x if vocabulary is None else rescale(x, 20.0)


def _neighbours(x: Node, causal: bool) -> Node:
    """What a depthwise convolution makes of each vector and those around it."""
    if len(x.shape) == 3:
        return depthwise(x, activation="linear", norm=False)
    return along_time(depthwise, x, 3, causal=causal, activation="linear", norm=False)


def vit_tiny(num_classes: int = 1000) -> tuple[Transformer, dict[str, Any]]:
    """ViT-Tiny with patches of 16 pixels, for images of 224x224: its space and decisions.

    12 blocks of 192 channels and 3 heads (Touvron et al., "Training data-efficient image
    transformers & distillation through attention", ICML 2021,
    https://arxiv.org/abs/2012.12877). timm's `vit_tiny_patch16_224` has 5,717,416 parameters.
    Ours has 384 less, because it averages over the patches: there is neither a class token nor
    a position of it, 192 each; and 1 more, by which Keras' layer multiplies what it adds the
    positions to. Its activation is ReLU, and not GELU.
    """
    space = Transformer(
        (224, 224, 3),
        num_classes,
        num_stages=1,
        convolutions=False,
        depths=(12,),
        widths=(192,),
    )
    values: dict[str, Any] = {
        "patch": 16,
        "stem": "patch",
        "activation": "relu",
        "dropout": 0.0,
        "stage0/width": 192,
        "stage0/depth": 12,
        "stage0/position": "learned",
        "stage0/heads": 3,
        "stage0/head_width": 64,
        "stage0/ratio": 4,
    }
    return space, values
