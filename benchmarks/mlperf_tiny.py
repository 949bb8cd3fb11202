"""The four reference networks of MLPerf Tiny, described.

As in github.com/mlcommons/tiny, `benchmark/training`: keyword spotting (DS-CNN), image
classification (ResNet-8), visual wake words (MobileNetV1 0.25) and anomaly detection (a dense
autoencoder). `PUBLISHED` has the bytes of the int8 files that come with them.
"""

from __future__ import annotations

from search_spaces import blocks
from search_spaces.network import Network, Node, freeze, input_node, layer

__all__ = ["NETWORKS", "PUBLISHED"]


def ds_cnn() -> Network:
    """Twelve keywords, from 49 frames of 10 coefficients."""
    x = blocks.dropout(_conv(input_node((49, 10, 1)), 64, (10, 4), 2), 0.2)
    for _ in range(4):
        x = _conv(_depthwise(x), 64, 1)
    x = blocks.average_pool(blocks.dropout(x, 0.4), (25, 5), padding="valid")
    return freeze(blocks.dense(blocks.flatten(x), 12, "softmax"))


def resnet_8() -> Network:
    """CIFAR-10."""
    x = _conv(input_node((32, 32, 3)), 16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(_conv(x, filters, 3, stride), filters, 3, activation="linear")
        if stride > 1:
            x = layer("conv", x, filters=filters, kernel=1, stride=stride, bias=True)
        x = blocks.activation(blocks.add(x, y), "relu")
    x = blocks.average_pool(x, 8, padding="valid")
    return freeze(blocks.dense(blocks.flatten(x), 10, "softmax"))


def mobilenet() -> Network:
    """Is there a person on a picture of 96x96 pixels?"""
    x = _conv(input_node((96, 96, 3)), 8, 3, 2)
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    filters = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    for stride, count in zip(strides, filters, strict=True):
        x = _conv(_depthwise(x, stride), count, 1)
    x = blocks.average_pool(x, 3, padding="valid")
    return freeze(blocks.dense(blocks.flatten(x), 2, "softmax"))


def autoencoder() -> Network:
    """Five frames of 128 mel bands of a machine's sound, and back."""
    x = input_node((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = blocks.activation(layer("batch_norm", blocks.dense(x, units)), "relu")
    return freeze(blocks.dense(x, 640))


NETWORKS = {
    "ds_cnn": ds_cnn,
    "resnet_8": resnet_8,
    "mobilenet": mobilenet,
    "autoencoder": autoencoder,
}
PUBLISHED = {
    "ds_cnn": 53_936,
    "resnet_8": 98_496,
    "mobilenet": 333_288,
    "autoencoder": 276_976,
}


def _conv(
    x: Node,
    filters: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    activation: str = "relu",
) -> Node:
    # The references leave the biases in, which batch normalisation makes superfluous.
    x = layer("conv", x, filters=filters, kernel=kernel, stride=stride, bias=True)
    return blocks.activation(layer("batch_norm", x), activation)


def _depthwise(x: Node, stride: int = 1) -> Node:
    x = layer("depthwise", x, kernel=3, stride=stride, bias=True)
    return blocks.activation(layer("batch_norm", x), "relu")
