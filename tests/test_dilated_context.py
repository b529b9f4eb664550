"""The context module: identity, table 1, the Kronecker product of the review, translation."""

import itertools
from functools import reduce

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.initializers import IdentityConvolution
from zoo.layers import DilatedContext

RNG = np.random.default_rng(0)


def built(*args, **kwargs):
    keras.utils.set_random_seed(0)
    layer = DilatedContext(*args, **kwargs)
    layer.build((None, None, None, layer.num_classes))
    return layer


def run(layer, x):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(x, "float32")))


# --- identity ---


@pytest.mark.parametrize(("incoming", "outgoing"), [(4, 4), (4, 8), (8, 16), (128, 4), (12, 8)])
def test_kernel_is_equation_5(incoming, outgoing):
    kernel = ops.convert_to_numpy(IdentityConvolution(4)((3, 5, incoming, outgoing)))
    for a, b in itertools.product(range(incoming), range(outgoing)):
        expected = 4 / outgoing if a * 4 // incoming == b * 4 // outgoing else 0
        assert kernel[1, 2, a, b] == np.float32(expected)
    kernel[1, 2] = 0
    assert not kernel.any()


def test_noise_is_everywhere_but_at_the_identity():
    kernel = ops.convert_to_numpy(IdentityConvolution(2, stddev=0.01, seed=1)((3, 3, 8, 32)))
    clean = ops.convert_to_numpy(IdentityConvolution(2)((3, 3, 8, 32)))
    assert (kernel[clean > 0] == clean[clean > 0]).all()
    noise = kernel[clean == 0]
    assert abs(noise.std() / 0.01 - 1) < 0.05 and abs(noise.mean()) < 1e-3
    again = keras.initializers.get(keras.initializers.serialize(IdentityConvolution(2, stddev=0.01, seed=1)))
    np.testing.assert_array_equal(ops.convert_to_numpy(again((3, 3, 8, 32))), kernel)


def test_initializer_refuses():
    for shape in ((3, 2, 4, 4), (3, 3, 6, 4), (3, 3, 4, 6), (4, 4)):
        with pytest.raises(ValueError, match="`shape`"):
            IdentityConvolution(4)(shape)
    for arguments, name in (({"groups": 0}, "groups"), ({"stddev": -1}, "stddev")):
        with pytest.raises(ValueError, match=name):
            IdentityConvolution(**arguments)


@pytest.mark.parametrize("size", ["basic", "large"])
def test_starts_as_the_identity_of_what_is_positive(size):
    x = RNG.normal(size=(2, 40, 37, 5))
    np.testing.assert_allclose(run(built(5, size, noise=0.0), x), np.maximum(x, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(built(5, size, noise=0.0, activation=None), x), x, rtol=1e-5, atol=1e-6)
    assert np.abs(run(built(5, size), x) - np.maximum(x, 0)).max() < 0.2


# --- table 1 ---


def test_table_1():
    basic, large = built(3), built(3, "large")
    assert [c.filters for c in basic.convolutions] == [3] * 8
    assert [c.filters for c in large.convolutions] == [3 * n for n in (2, 2, 4, 8, 16, 32, 32, 1)]
    for layer in (basic, large):
        assert [c.kernel_size[0] for c in layer.convolutions] == [3] * 7 + [1]
        assert [c.dilation_rate[0] for c in layer.convolutions] == [1, 1, 2, 4, 8, 16, 1, 1]
        assert [c.activation is keras.activations.relu for c in layer.convolutions] == [True] * 7 + [False]
    assert basic.receptive_field() == 67 and basic.count_params() == 7 * (9 * 9 + 3) + 9 + 3
    fields = [DilatedContext(3, dilations=(*basic.dilations[:n], 1)).receptive_field() for n in range(1, 8)]
    assert fields == [3, 5, 9, 17, 33, 65, 67]


def test_receptive_field_is_where_the_gradient_is():
    layer = built(2, dilations=(1, 2, 3, 1), kernel_initializer="ones")
    x = ops.ones((1, 25, 25, 2))
    reached = ops.convert_to_numpy(autodiff.grad(lambda x: ops.sum(layer(x)[0, 12, 12]), x))[0].any(-1)
    side = layer.receptive_field()
    assert side == 13
    assert np.flatnonzero(reached.any(0)).tolist() == np.flatnonzero(reached.any(1)).tolist() == list(range(12 - 6, 12 + 7))


# --- the review's two observations ---


@pytest.mark.parametrize("levels", [2, 3])
def test_dilation_by_powers_of_the_kernel_is_a_kronecker_product(levels):
    """A cascade with dilations 1, 3, 9 is one convolution with the Kronecker product of the kernels, the last one outermost."""
    layer = built(1, dilations=(*(3**n for n in range(levels)), 1), activation=None, padding="valid")
    kernels = [RNG.normal(size=(3, 3)) for _ in range(levels)]
    for convolution, kernel in zip(layer.convolutions, kernels):
        convolution.kernel.assign(kernel[..., None, None])
    whole = reduce(lambda inner, outer: np.kron(outer, inner), kernels)
    assert whole.shape == (3**levels, 3**levels) == (layer.receptive_field(),) * 2
    x = RNG.normal(size=(2, 30, 33, 1))
    windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], whole.shape, (1, 2))
    np.testing.assert_allclose(run(layer, x)[..., 0], np.einsum("bijyx,yx->bij", windows, whole), rtol=1e-4, atol=1e-4)


def test_translation_of_the_input_translates_the_output():
    layer = built(3, "large", dilations=(1, 2, 4, 1), kernel_initializer="glorot_uniform", padding="valid")
    x = RNG.normal(size=(1, 32, 32, 3))
    whole = run(layer, x)
    for down, right in ((1, 0), (0, 3), (5, 2)):
        np.testing.assert_allclose(run(layer, x[:, down:, right:]), whole[:, down:, right:], rtol=1e-4, atol=1e-5)
    pooled = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.MaxPooling2D(2), keras.layers.UpSampling2D(2)])
    shifted = ops.convert_to_numpy(pooled(np.roll(x, 1, 1)))
    assert np.abs(shifted[:, 2:] - np.roll(ops.convert_to_numpy(pooled(x)), 1, 1)[:, 2:]).max() > 0.1, "pooling is not equivariant"


def test_config_and_refusals():
    layer = built(3, "large", (1, 2, 1), "he_normal", "elu", "valid", 0.01)
    again = DilatedContext.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.compute_output_shape((None, 20, None, 3)) == (None, 14, None, 3) == again.compute_output_shape((None, 20, None, 3))
    assert run(layer, np.zeros((1, 20, 9, 3))).shape == (1, 14, 3, 3)
    for arguments, name in (
        ({"size": "huge"}, "size"),
        ({"padding": "full"}, "padding"),
        ({"dilations": ()}, "dilations"),
        ({"dilations": (1, 0, 1)}, "dilations"),
        ({"dilations": (1, 2)}, "dilations"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            DilatedContext(3, **arguments)
    with pytest.raises(ValueError, match="3 channels"):
        DilatedContext(3)(np.zeros((1, 8, 8, 4)))
