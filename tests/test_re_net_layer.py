"""ReNet's layer against loops over the lines of an image in NumPy; its augmentation against NumPy's roll and flip."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.layers import RandomShiftFlip, ReNetLayer

RNG = np.random.default_rng(0)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru(x, kernel, recurrent, bias):
    """A GRU over `(steps, features)`; Keras's order of gates is update, reset, candidate."""
    n, h, states = len(recurrent), np.zeros(len(recurrent)), []
    for row in x:
        a, b = row @ kernel + bias[0], h @ recurrent + bias[1]
        update, reset = sigmoid(a[:n] + b[:n]), sigmoid(a[n : 2 * n] + b[n : 2 * n])
        h = update * h + (1 - update) * np.tanh(a[2 * n :] + reset * b[2 * n :])
        states.append(h)
    return np.array(states)


def lstm(x, kernel, recurrent, bias):
    """An LSTM over `(steps, features)`; gates in the order input, forget, cell, output."""
    n, h, c, states = len(recurrent), np.zeros(len(recurrent)), np.zeros(len(recurrent)), []
    for row in x:
        i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, [n, 2 * n, 3 * n])
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def rnn(x, kernel, recurrent, bias):
    """A plain network of tanh units."""
    h, states = np.zeros(len(recurrent)), []
    for row in x:
        h = np.tanh(row @ kernel + h @ recurrent + bias)
        states.append(h)
    return np.array(states)


def swept(image, weights, patch, cell):
    """One image by loops: each column of patches downwards and upwards, then each row both ways."""
    p, q = patch
    rows, columns = image.shape[0] // p, image.shape[1] // q
    patches = np.array([[image[p * i : p * i + p, q * j : q * j + q].ravel() for j in range(columns)] for i in range(rows)])
    both = lambda line, w: np.concatenate([cell(line, *w[:3]), cell(line[::-1], *w[3:])[::-1]], axis=-1)  # noqa: E731
    vertical = np.stack([both(patches[:, j], weights[:6]) for j in range(columns)], axis=1)
    return np.stack([both(vertical[i], weights[6:]) for i in range(rows)])


@pytest.mark.parametrize(
    ("name", "cell", "patch"), [("gru", gru, (2, 2)), ("lstm", lstm, (3, 2)), ("rnn", rnn, (1, 4)), ("gru", gru, (1, 1))]
)
def test_equals_the_loops(name, cell, patch):
    layer = ReNetLayer(5, patch, name)
    layer.build((None, None, None, 3))
    layer.set_weights([0.5 * RNG.normal(size=w.shape) for w in layer.get_weights()])
    images = RNG.normal(size=(2, 6, 8, 3)).astype("float32")
    found = ops.convert_to_numpy(layer(images))
    assert found.shape == (2, 6 // patch[0], 8 // patch[1], 10) == layer.compute_output_shape(images.shape)
    for image, features in zip(images, found):
        np.testing.assert_allclose(features, swept(image, layer.get_weights(), patch, cell), atol=1e-5)


def test_every_output_sees_the_whole_image():
    """The gradient of each place reaches each pixel; a convolution with as large a window does not."""
    keras.utils.set_random_seed(0)
    layer, convolution = ReNetLayer(4, 2), keras.layers.Conv2D(4, 5, 2, padding="same")
    image = RNG.normal(size=(1, 12, 16, 1)).astype("float32")
    seen = {layer: [], convolution: []}
    for network in seen:
        network.build((None, 12, 16, 1))
        for i, j in ((0, 0), (5, 7), (2, 3)):
            gradient = ops.convert_to_numpy(autodiff.grad(lambda x, n=network, i=i, j=j: ops.sum(n(x)[0, i, j]), image))
            seen[network].append(np.mean(gradient != 0))
    assert seen[layer] == [1, 1, 1] and max(seen[convolution]) < 0.2


def test_sizes():
    layer = ReNetLayer(2, (2, 3), padding="same")
    image = RNG.normal(size=(1, 5, 7, 1)).astype("float32")
    filled = np.pad(image, [(0, 0), (0, 1), (0, 2), (0, 0)])
    np.testing.assert_allclose(layer(image), layer(filled), atol=1e-6)
    assert layer.compute_output_shape((None, 5, None, 1)) == (None, 3, None, 4)
    assert layer(np.zeros((1, 40, 3, 1))).shape == (1, 20, 1, 4)  # any size, same weights
    free = keras.Input((None, None, 1))
    model = keras.Model(free, layer(free))
    np.testing.assert_allclose(model.predict(image, verbose=0), layer(filled), atol=1e-6)
    strict = ReNetLayer(2, 2)
    for call in (lambda: strict(image), lambda: strict.compute_output_shape((None, 4, 7, 1))):
        with pytest.raises(ValueError, match="`image`.*padding='same'"):
            call()


def test_configuration():
    layer = ReNetLayer(3, [2, 1], "rnn", "same", name="x")
    copy = ReNetLayer.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config() and copy.patch == (2, 1)
    for arguments, name in (
        ({"units": 0}, "units"),
        ({"patch_size": 0}, "patch_size"),
        ({"patch_size": (1, 2, 3)}, "patch_size"),
        ({"cell": "mlp"}, "cell"),
        ({"padding": "full"}, "padding"),
    ):
        with pytest.raises(ValueError, match=name):
            ReNetLayer(**{"units": 2, **arguments})


def rolled(image, down, right):
    """An image moved by whole pixels, zeros behind it."""
    height, width = image.shape[:2]
    result = np.zeros_like(image)
    ys, xs = np.arange(height) - down, np.arange(width) - right
    inside = (ys >= 0) & (ys < height), (xs >= 0) & (xs < width)
    result[np.ix_(*inside)] = image[np.ix_(ys[inside[0]], xs[inside[1]])]
    return result


@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_draws_what_the_paper_says(flip):
    image = RNG.normal(size=(7, 9, 2)).astype("float32")
    layer = RandomShiftFlip(2, flip, seed=1)
    seen = ops.convert_to_numpy(layer(np.stack([image] * 2000), training=True))
    counts = {}
    for name, base in (("as it is", image), ("left-right", image[:, ::-1]), ("upside down", image[::-1])):
        for down in (-2, 0, 2):
            for right in (-2, 0, 2):
                counts[name, down, right] = np.mean(np.all(seen == rolled(base, down, right), axis=(1, 2, 3)))
    assert np.isclose(sum(counts.values()), 1)
    turns = {"as it is": 0.5, "left-right": 0.25, "upside down": 0.25} if flip else {"as it is": 1, "left-right": 0, "upside down": 0}
    for (name, down, right), share in counts.items():
        np.testing.assert_allclose(share, turns[name] * (0.25 if down else 0.5) * (0.25 if right else 0.5), atol=0.035)
    batch = np.stack([image] * 2)
    for still, training in ((layer, False), (RandomShiftFlip(0), True)):
        np.testing.assert_array_equal(still(batch, training=training), batch)
    with pytest.raises(ValueError, match="shift"):
        RandomShiftFlip(-1)
