"""What is special to GradientNoiseNet: its starts, and that noise leaves a start of zeros, from which gradients alone never do."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import GradientNoiseNet
from zoo.optimizers import GradientNoise


def kernels(model):
    return [ops.convert_to_numpy(layer.kernel) for layer in model.network.layers if isinstance(layer, keras.layers.Dense)]


def test_the_papers_network():
    model = GradientNoiseNet()
    assert [kernel.shape for kernel in kernels(model)] == [(784, 50)] + [(50, 50)] * 19 + [(50, 10)]
    np.testing.assert_allclose([kernel.std() for kernel in kernels(model)], 0.1, rtol=0.15)
    assert isinstance(model.optimizer, GradientNoise) and (model.optimizer.eta, model.optimizer.gamma) == (0.3, 0.55)


def test_a_random_walk_keeps_the_size_of_gradients():
    """The mean logarithm of the gradient's size is the same in front of and behind the layers (Sussillo and Abbott's condition)."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(30):
        x = rng.normal(size=50)
        for kernel in kernels(GradientNoiseNet(start="random_walk"))[1:-1]:
            x = np.maximum(x, 0) @ kernel
        changes.append(np.log(np.linalg.norm(x) / np.sqrt(50)) / 19)
    # without the factor for finite width, and for N(0, 0.1^2), it falls by 0.02 and 0.7 a layer
    assert abs(np.mean(changes)) < 0.02


def test_the_default_noise_lets_gradients_through_and_does_not_explode():
    """After some epochs of MNIST in batches of 64 the weights, start and noise, must neither shrink nor blow up what twenty layers pass on.

    At a rate of 0.1 noise alone would multiply it by more than 1e11 in 25 epochs.
    """
    model = GradientNoiseNet()
    optimizer, steps = model.optimizer, np.arange(25 * 938)
    noise = float(ops.convert_to_numpy(optimizer.learning_rate)) ** 2 * np.cumsum(optimizer.eta / (1 + steps) ** optimizer.gamma)
    passed = (model.units * (0.1**2 + noise) / 2) ** (model.depth / 2)
    assert passed[0] < 1e-5 and passed[8 * 938] > 1 and passed[-1] < 1e3


def test_noise_leaves_zeros():
    x, y = np.random.default_rng(0).normal(size=(32, 4)).astype("float32"), np.arange(32) % 3
    for eta, moved in ((0.0, False), (0.01, True)):
        model = GradientNoiseNet((4,), 3, depth=3, units=5, start="zeros", eta=eta)
        model.fit(x, y, epochs=2, verbose=0)
        assert all(np.any(kernel) == moved for kernel in kernels(model))


@pytest.mark.parametrize("wrong", [{"start": "glorot"}, {"depth": 0}, {"units": 0}, {"num_classes": 1}, {"eta": -1}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GradientNoiseNet(**wrong)
