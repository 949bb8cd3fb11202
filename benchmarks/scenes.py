"""Scenes of several objects, composed of small pictures: data for segmentation and detection.

A scene has 1 to 4 pictures on a background, each at a place and a size of its own. What the
pictures show is known by pixel, so masks and boxes are exact and nothing is drawn by hand.
Scenes to train on and scenes to test on come from different pictures, those of the two parts
of their data set.

    KERASNAS_DATA=... python -m benchmarks.scenes --count 12 --output scenes.png
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 4
"""Objects in a scene at most."""

KINDS = (0, 1, 0, 2, 0, 3, 0, 3, 4, 3)
"""Top, trousers, dress, shoe or bag: what each of Fashion-MNIST's ten classes is."""

CLOTHES = (0, 1, 0, 0, 0, 2, 0, 2, 3, 2)
"""The same, with dresses and tops in one class."""

_FAINT = 20  # of 255: what is darker belongs to no object
_SHARED = 0.15  # of an object may lie behind another one
_TRIES = 12  # places for an object, before it is left out
_LEVELS = (10.0, 120.0)  # mean of a background
_SLOPE = 50.0  # from the middle of a background to its brightest edge, at most
_TEXTURE = 25.0  # deviation of its spots, at most
_NOISE = 12.0  # deviation of single pixels, at most
_SPOTS = 6  # along each side


class Scenes(NamedTuple):
    """Pictures of several objects, and what is where.

    Attributes:
        images: `(n, height, width, 1)`, uint8.
        masks: `(n, height, width)`, int32: 0 where the background is seen, else 1 + the class.
        boxes: `(n, 4, 5)`, float32: top, left, bottom and right as fractions of the image,
            around the visible pixels of an object, then its class. Rows of class -1 fill up.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.int32]
    boxes: NDArray[np.float32]


def compose(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    count: int,
    size: tuple[int, int] = (64, 64),
    *,
    scale: tuple[float, float] = (0.7, 1.3),
    seed: int = 0,
) -> Scenes:
    """Compose scenes of pictures on a dark ground.

    Each is to have 1 to 4 objects, all numbers alike likely, and an object is of each class
    alike likely. It is drawn from the pictures of its class, resized, and put where it is
    inside the scene; it may hide up to 15 % of another one, and is left out where no such
    place is found in 12 tries. It is what is brighter than 20 of
    255 in its picture, with holes filled, and has soft edges. Backgrounds are graded, spotted
    and noisy, of any brightness up to about the middle.

    Args:
        images: `(n, side, side)` pictures, uint8. Large `n` makes scenes more different.
        labels: `(n,)` class of each, whole numbers from 0.
        count: Number of scenes.
        size: Their height and width in pixels.
        scale: Least and largest side of an object / that of its picture. Larger objects are
            easier to recognise, and fewer of them fit into a scene.
        seed: Seeds everything that is drawn.

    Raises:
        ValueError: If the largest object does not fit into a scene.
    """
    side = images.shape[1]
    sides = np.arange(max(4, round(scale[0] * side)), round(scale[1] * side) + 1)
    if sides[-1] > min(size):
        raise ValueError(
            f"Objects must fit into a scene. Received: size={size} for pictures of {side} "
            f"pixels scaled by up to {scale[1]}. Use larger scenes or a smaller scale."
        )
    rng = np.random.default_rng(seed)
    wanted = rng.integers(1, MOST + 1, count)
    drawn = _drawn(labels, int(wanted.sum()), rng)
    shades, covers = _resized(images[drawn], rng.choice(sides, len(drawn)))
    canvas = _backgrounds(count, size, rng)
    owner = np.full((count, *size), -1, np.int32)  # number of the object that is seen
    boxes = np.full((count, MOST, 5), -1.0, np.float32)
    ends = np.cumsum(wanted)
    for scene in range(count):
        areas: dict[int, int] = {}
        for index in range(ends[scene] - wanted[scene], ends[scene]):
            _place(
                canvas[scene], owner[scene], areas, index, shades[index], covers[index], rng
            )
        for row, index in enumerate(areas):
            boxes[scene, row, :4] = _box(owner[scene] == index)
            boxes[scene, row, 4] = labels[drawn[index]]
    masks = np.where(owner < 0, 0, 1 + labels[drawn[owner]]).astype(np.int32)
    noise = rng.uniform(0, _NOISE, (count, 1, 1)).astype(np.float32)
    canvas += noise * rng.standard_normal(canvas.shape, np.float32)
    pixels = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return Scenes(pixels[..., None], masks, boxes)


def fashion(
    train: int = 6000,
    test: int = 1000,
    size: tuple[int, int] = (64, 64),
    *,
    kinds: tuple[int, ...] | None = KINDS,
    seed: int = 0,
) -> tuple[Scenes, Scenes]:
    """Scenes of garments: Fashion-MNIST, from `KERASNAS_DATA`.

    The data set's ten classes tell shirts from T-shirts and coats from pullovers: people are
    right in 83.5 % of cases, says its repository. What a scene is to show is where things
    are, so by default classes are `KINDS`.

    Args:
        train: Number of scenes, of garments of the training part.
        test: Number of scenes, of garments of the test part.
        size: As in `compose`.
        kinds: Class of a garment by its class in the data set; `None` leaves the ten.
        seed: As in `compose`.

    Raises:
        KeyError: If `KERASNAS_DATA` is not set.

    References:
        Xiao et al., "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
        Algorithms", 2017, https://arxiv.org/abs/1708.07747.
        https://github.com/zalandoresearch/fashion-mnist (human performance, in its README).
    """
    table = np.arange(10) if kinds is None else np.array(kinds)
    with np.load(Path(os.environ["KERASNAS_DATA"], "fashion_mnist.npz")) as data:
        return (
            compose(data["x_train"], table[data["y_train"]], train, size, seed=seed),
            compose(data["x_test"], table[data["y_test"]], test, size, seed=seed + 1),
        )


def digits(
    train: int = 500, test: int = 200, size: tuple[int, int] = (32, 32), seed: int = 0
) -> tuple[Scenes, Scenes]:
    """Scenes of scikit-learn's handwritten digits, which need no file.

    The first 1,200 digits are for training and the others for testing.

    Args:
        train: Number of scenes to train on.
        test: Number of scenes to test on.
        size: As in `compose`.
        seed: As in `compose`.
    """
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    scale = (1.25, 2.0)
    return (
        compose(pictures[:1200], labels[:1200], train, size, scale=scale, seed=seed),
        compose(pictures[1200:], labels[1200:], test, size, scale=scale, seed=seed + 1),
    )


def _drawn(
    labels: NDArray[np.integer], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of so many pictures, as many of each class as chance has it."""
    _, sizes = np.unique(labels, return_counts=True)
    classes = rng.integers(0, len(sizes), count)
    places = (np.cumsum(sizes) - sizes)[classes] + rng.integers(0, sizes[classes])
    rows: NDArray[np.int64] = np.argsort(labels, kind="stable")[places]
    return rows


def _resized(
    images: NDArray[np.uint8], sides: NDArray[np.int64]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Pictures with so many pixels a side: their light, and how much of a pixel they cover."""
    from scipy import ndimage

    solid = np.stack([ndimage.binary_fill_holes(image > _FAINT) for image in images])
    solid = solid.astype(np.float32)
    light = images * solid
    shades: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)
    covers = list(shades)
    for side in np.unique(sides):
        (rows,) = np.nonzero(sides == side)
        weights = _interpolation(images.shape[1], int(side))
        for found, pixels in ((shades, light), (covers, solid)):
            resized = np.matmul(np.matmul(weights, pixels[rows]), weights.T)
            for row, image in zip(rows, resized, strict=True):
                found[row] = image
    return shades, covers


def _interpolation(old: int, new: int) -> NDArray[np.float32]:
    """`(new, old)` weights: linear between pixels, and over all of them where it shrinks."""
    places = (np.arange(new)[:, None] + 0.5) * old / new - 0.5
    distance = np.abs(places - np.arange(old)) / max(1.0, old / new)
    weights = np.maximum(0.0, 1.0 - distance)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _backgrounds(
    count: int, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """`(count, height, width)`: a level, a slope in some direction, and soft spots."""
    height, width = size
    level, angle, slope, depth = (
        rng.uniform(
            (_LEVELS[0], 0, 0, 0), (_LEVELS[1], 2 * np.pi, _SLOPE, _TEXTURE), (count, 4)
        )
        .astype(np.float32)
        .T[:, :, None, None]
    )
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    right = np.linspace(-1, 1, width, dtype=np.float32)
    spots = rng.standard_normal((count, _SPOTS, _SPOTS), np.float32)
    spots = _interpolation(_SPOTS, height) @ spots @ _interpolation(_SPOTS, width).T
    return level + slope * (np.sin(angle) * down + np.cos(angle) * right) + depth * spots


def _place(
    canvas: NDArray[np.float32],
    owner: NDArray[np.int32],
    areas: dict[int, int],
    index: int,
    shade: NDArray[np.float32],
    cover: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Put an object in front of the others, where it leaves enough of them to be seen."""
    solid = cover >= 0.5
    side = len(solid)
    rows, columns = (np.array(canvas.shape) - side + 1).tolist()
    for top, left in rng.integers(0, (rows, columns), (_TRIES, 2)):
        part = (slice(top, top + side), slice(left, left + side))
        hidden = owner[part][solid]
        if all(
            np.count_nonzero(owner == other) - np.count_nonzero(hidden == other)
            >= (1 - _SHARED) * area
            for other, area in areas.items()
        ):
            owner[part][solid] = index
            areas[index] = int(np.count_nonzero(solid))
            canvas[part] += shade - cover * canvas[part]
            return


def _box(seen: NDArray[np.bool_]) -> list[float]:
    """Top, left, bottom and right of what is seen, as fractions."""
    height, width = seen.shape
    (rows,), (columns,) = np.nonzero(seen.any(axis=1)), np.nonzero(seen.any(axis=0))
    return [
        rows[0] / height,
        columns[0] / width,
        (rows[-1] + 1) / height,
        (columns[-1] + 1) / width,
    ]


def main() -> None:
    """Draw some scenes and their masks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--output", type=Path, required=True, help="a picture of some scenes")
    arguments = parser.parse_args()
    import keras

    scenes, _ = fashion(arguments.count, 1)
    shown = np.stack([scenes.images[..., 0], scenes.masks * 25], axis=1)
    picture = shown.transpose(1, 2, 0, 3).reshape(2 * shown.shape[2], -1, 1)
    keras.utils.save_img(arguments.output, picture, scale=False)


if __name__ == "__main__":
    main()
