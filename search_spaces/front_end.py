"""From waveforms to features: log-mel spectra or cepstral coefficients.

One front end, three times: in NumPy (`FrontEnd.features`, what code on a device is checked
against), as a Keras model of stock operations (`FrontEnd.model`), and as a file's operators
(`spectral_program.py`). `FrontEnd.settings` is what a program in C needs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import keras

__all__ = ["KINDS", "FrontEnd"]

KINDS = ("log_mel", "mfcc")
LOWEST_HZ = 20.0
"""Where the mel bands begin; they end at half the sample rate."""
FLOOR = 1e-8
"""Added to the power in a band before the logarithm: 80 dB below a full-scale tone."""
# Logarithms are between -18.4 and about 1. So changed they are of the size of what is
# standardised, whatever the recording, and one scale of an int8 tensor serves all bands.
LOG_SCALE = 0.2
LOG_OFFSET = 2.0
LIFTER = 22


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """How features are computed from the samples of one recording.

    The recording is cut into overlapping frames, from the first sample on; what does not fill
    a frame at the end is left out. Each frame is weighed by a periodic Hann window whose sum
    is 2, so that a sine of amplitude 1 has a power of 1 at its frequency. Triangular filters,
    evenly spaced on the mel scale of HTK (1127 ln(1 + f / 700)), sum the power spectrum into
    bands. The feature of a band is `0.2 * ln(power + 1e-8) + 2`. For `"mfcc"` the orthonormal
    DCT-II of these, over the root of the number of bands, is kept up to a number of
    coefficients, and coefficient `k` is multiplied by `1 + 11 sin(pi k / 22)`, HTK's lifter:
    higher ones are smaller, and would have few of the 256 steps of an int8 tensor.

    Args:
        kind: `"log_mel"` or `"mfcc"`.
        sample_rate: Samples a second.
        samples: Samples of one recording.
        frame: Samples of a frame; longer ones tell frequencies better and times worse.
        hop: Samples from one frame to the next; at most `frame`, so that none is overlooked.
        bands: Mel bands.
        coefficients: Of `"mfcc"`, how many are kept, `bands` at most; 0 of `"log_mel"`.
        scale: Factor that brings samples to [-1, 1], e.g. `1 / 32768` of int16.
        offset: Added behind it.

    Raises:
        ValueError: If they contradict each other, a recording is shorter than a frame, or
            bands are narrower than the spectrum is fine.

    References:
        Young et al., "The HTK Book", section 5.6: mel scale, filters and lifter.
        Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
        Recognition", 1980, https://doi.org/10.1109/TASSP.1980.1163420.
        Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017,
        https://arxiv.org/abs/1711.07128.
    """

    kind: str
    sample_rate: int
    samples: int
    frame: int
    hop: int
    bands: int
    coefficients: int = 0
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"A front end is one of {', '.join(map(repr, KINDS))}. Received: "
                f"kind={self.kind!r}. Use one of them."
            )
        kept = range(1, self.bands + 1) if self.kind == "mfcc" else (0,)
        if self.coefficients not in kept or self.coefficients > LIFTER:
            raise ValueError(
                "There are 1 to 22 MFCCs, no more than bands, and none of log-mel spectra. "
                f"Received: kind={self.kind!r}, coefficients={self.coefficients}, "
                f"bands={self.bands}. Change one of them."
            )
        if not 0 < self.hop <= self.frame <= self.samples:
            raise ValueError(
                "Frames must follow each other without gaps, within the recording. Received: "
                f"frame={self.frame}, hop={self.hop}, samples={self.samples}. Use shorter "
                "frames and steps, or longer recordings."
            )
        if not self.mel_weights().any(axis=0).all():
            raise ValueError(
                "Each mel band must hold a line of the spectrum. Received: "
                f"bands={self.bands} of frames of {self.frame} samples at "
                f"{self.sample_rate} Hz. Use fewer bands, or longer frames."
            )

    @property
    def frames(self) -> int:
        """How many frames a recording has."""
        return 1 + (self.samples - self.frame) // self.hop

    @property
    def fft_length(self) -> int:
        """Samples of a Fourier transform: frames are filled up to the next power of 2."""
        return 1 << (self.frame - 1).bit_length()

    @property
    def bins(self) -> int:
        """Lines of the spectrum."""
        return self.fft_length // 2 + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the features of one recording: `(frames, bands or coefficients)`."""
        return self.frames, self.coefficients or self.bands

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the products of matrices; Fourier transforms are none."""
        return self.frames * self.bands * (self.bins + self.coefficients)

    def window(self) -> NDArray[np.float32]:
        """What the samples of a frame are multiplied by."""
        return _window(self.frame)

    def mel_weights(self) -> NDArray[np.float32]:
        """The share of each line of the spectrum in each band: `(bins, bands)`."""
        return _mel_weights(self.bins, self.bands, self.sample_rate)

    def dct_weights(self) -> NDArray[np.float32]:
        """What takes features of bands to coefficients: `(bands, coefficients)`."""
        return _dct_weights(self.bands, self.coefficients)

    def features(self, waveforms: ArrayLike) -> NDArray[np.float32]:
        """The features of recordings, in NumPy: what code on a device has to compute.

        Args:
            waveforms: `(n, samples)` or `(n, samples, 1)`; numbers such that `scale` and
                `offset` bring them to [-1, 1].

        Returns:
            `(n, frames, bands or coefficients)`: what the network behind takes.

        Raises:
            ValueError: If recordings are of another length.
        """
        x = np.asarray(waveforms)
        if x.ndim == 3 and x.shape[2] == 1:
            x = x[..., 0]
        if x.ndim != 2 or x.shape[1] != self.samples:
            raise ValueError(
                f"Recordings have {self.samples} samples. Received: an array of shape "
                f"{np.shape(waveforms)}. Cut them, or fill them up with zeros."
            )
        x = x.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        # One recording after the other: frames overlap and would fill the memory.
        found = [self._features(one) for one in x]
        return np.stack(found) if found else np.zeros((0, *self.shape), np.float32)

    def _features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.frame)[:: self.hop]
        spectrum = np.fft.rfft(frames * self.window(), self.fft_length)
        power = spectrum.real**2 + spectrum.imag**2
        bands = LOG_SCALE * np.log(power @ self.mel_weights() + FLOOR) + LOG_OFFSET
        if self.coefficients:
            bands = bands @ self.dct_weights()
        return bands.astype(np.float32)

    def model(
        self, input_shape: tuple[int, ...] | None = None, name: str = "front_end"
    ) -> keras.Model:
        """The front end as a Keras model of stock operations, with no weights.

        Args:
            input_shape: `(samples,)`, as it is by default, or `(samples, 1)`.
            name: Name of the model.

        Returns:
            A functional model from recordings to features, in float32 whatever the policy.
        """
        import keras
        from keras import ops

        waveforms = keras.Input(input_shape or (self.samples,), name="waveform")
        x = waveforms
        if len(x.shape) > 2:
            x = keras.layers.Reshape((self.samples,), dtype="float32", name="mono")(x)
        if (self.scale, self.offset) != (1.0, 0.0):
            x = keras.layers.Rescaling(self.scale, self.offset, dtype="float32")(x)
        x = ops.extract_sequences(x, self.frame, self.hop)
        real, imaginary = ops.rfft(ops.multiply(x, self.window()), self.fft_length)
        power = ops.add(ops.multiply(real, real), ops.multiply(imaginary, imaginary))
        x = ops.log(ops.add(ops.matmul(power, self.mel_weights()), np.float32(FLOOR)))
        x = ops.add(ops.multiply(x, np.float32(LOG_SCALE)), np.float32(LOG_OFFSET))
        if self.coefficients:
            x = ops.matmul(x, self.dct_weights())
        return keras.Model(waveforms, x, name=name)

    def arguments(self) -> dict[str, Any]:
        """The arguments of the front end by name, but for the length of recordings."""
        arguments = dataclasses.asdict(self)
        del arguments["samples"]
        return arguments

    def settings(self) -> dict[str, Any]:
        """All of it as values that JSON has, for a program on a device.

        Filters are written as the first line of the spectrum that they weigh, and their
        weights from there on.

        Returns:
            The arguments of the front end by their names (`FrontEnd.of` reads them), and what
            follows from them.
        """
        dct = {"dct": self.dct_weights().T.tolist()} if self.coefficients else {}
        return {
            **dataclasses.asdict(self),
            "frames": self.frames,
            "fft_length": self.fft_length,
            "window": self.window().tolist(),
            "filters": [_filter(weights) for weights in self.mel_weights().T],
            "floor": FLOOR,
            "log_scale": LOG_SCALE,
            "log_offset": LOG_OFFSET,
            **dct,
        }

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> FrontEnd:
        """The front end of what `settings` returned."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: settings[name] for name in names if name in settings})


def _filter(weights: NDArray[np.float32]) -> dict[str, Any]:
    lines = np.flatnonzero(weights)
    first, last = int(lines[0]), int(lines[-1])
    return {"first": first, "weights": weights[first : last + 1].tolist()}


@functools.cache
def _window(length: int) -> NDArray[np.float32]:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return _kept(2 * window / window.sum())


@functools.cache
def _mel_weights(bins: int, bands: int, sample_rate: int) -> NDArray[np.float32]:
    lines = _mel(np.linspace(0, sample_rate / 2, bins))[:, None]
    edges = np.linspace(_mel(np.array(LOWEST_HZ)), _mel(np.array(sample_rate / 2)), bands + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (lines - low) / (centre - low), (high - lines) / (high - centre)
    return _kept(np.maximum(0, np.minimum(rising, falling)))


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127 * np.log1p(hertz / 700)


@functools.cache
def _dct_weights(bands: int, coefficients: int) -> NDArray[np.float32]:
    angles = np.pi * np.outer(np.arange(bands) + 0.5, np.arange(coefficients)) / bands
    orthonormal = np.cos(angles) * np.sqrt(2 / bands)
    orthonormal[:, :1] /= np.sqrt(2)
    lifter = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(coefficients) / LIFTER)
    return _kept(orthonormal * lifter / np.sqrt(bands))


def _kept(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The values as they are handed to many, who must not change them."""
    kept = values.astype(np.float32)
    kept.flags.writeable = False
    return kept
