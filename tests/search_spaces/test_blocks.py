import numpy as np
import pytest
import tensorflow as tf

from search_spaces.blocks import fitted, inverted_residual
from search_spaces.network import input_node


def read(length, taps, stride, dilation):
    """Which weights of a kernel get a gradient of TensorFlow's own convolution."""
    kernel = tf.Variable(np.zeros((taps, 1, 1), "float32"))
    pixels = np.ones((1, length, 1), "float32")
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.nn.convolution(pixels, kernel, stride, "SAME", None, dilation))
    return np.asarray(tape.gradient(y, kernel)).ravel() > 0


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("length", range(1, 8))
def test_of_a_fitted_kernel_every_weight_reads_a_pixel(length, stride, dilation):
    for kernel in (1, 2, 3, 5, 7):
        size = fitted(input_node((length, 99, 1)), (kernel, 1), stride, (dilation, 1))
        (taps, _) = size if isinstance(size, tuple) else (size, size)
        assert read(length, taps, stride, dilation).all()
        larger = range(taps + 1, kernel + 1)
        assert not any(read(length, more, stride, dilation).all() for more in larger)


def test_a_kernel_that_fits_stays_as_it_is():
    x = input_node((3, 2, 4))
    assert fitted(x, 3) == 3
    assert fitted(x, (1, 3)) == (1, 3)
    assert fitted(x, 5) == (5, 3)
    assert fitted(x, 5, stride=2) == (5, 2)
    assert fitted(input_node((4, 4, 1)), 5, dilation=2) == 4


def test_an_inverted_residual_takes_an_oblong_kernel():
    y = inverted_residual(input_node((3, 2, 4)), 4, kernel=(5, 3))
    assert y.shape == (3, 2, 4)
