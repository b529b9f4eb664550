"""Random small networks, of layers that LRP has rules for, without biases."""

import keras
import numpy as np
from keras import layers, ops

PLAIN = {"padding": "same", "use_bias": False}

# kind -> layers that it may be, each a function of a tensor x, another y of its shape, a number of channels n, and the layers `again` that
# were used before; these map a positive multiple of the input to the same multiple of the output
LINEAR_BY_PIECES = {
    "linear": [
        lambda x, y, n, again: layers.Conv2D(n, 3, **PLAIN)(x),
        lambda x, y, n, again: layers.DepthwiseConv2D(2, **PLAIN)(x),
        lambda x, y, n, again: layers.SeparableConv2D(n, 2, **PLAIN)(x),
        lambda x, y, n, again: layers.Conv2DTranspose(n, 2, **PLAIN)(x),
        lambda x, y, n, again: layers.Dense(n, use_bias=False)(x),
    ],
    "shared": [
        lambda x, y, n, again: again.setdefault(x.shape[-1], layers.Conv2D(x.shape[-1], 2, **PLAIN))(x),
    ],
    "relu": [
        lambda x, y, n, again: ops.relu(x),
        lambda x, y, n, again: layers.ReLU()(x),
        lambda x, y, n, again: layers.LeakyReLU(0.2)(x),
        lambda x, y, n, again: layers.Activation("relu")(x),
    ],
    "pool": [
        lambda x, y, n, again: layers.MaxPooling2D(2, strides=1, padding="same")(x),
        lambda x, y, n, again: layers.AveragePooling2D(2, strides=1, padding="same")(x),
    ],
    "merge": [
        lambda x, y, n, again: layers.Add()([x, layers.Dropout(0.5)(x), y]),
        lambda x, y, n, again: layers.Average()([x, y]),
        lambda x, y, n, again: layers.Maximum()([x, y]),
        lambda x, y, n, again: layers.Minimum()([x, y]),
        lambda x, y, n, again: layers.Subtract()([x, y]),
        lambda x, y, n, again: ops.maximum(x, y),
    ],
    "again": [
        lambda x, y, n, again: x + x,
        lambda x, y, n, again: x - 3.0 * x,
        lambda x, y, n, again: layers.Concatenate()([x, x, y]),
        lambda x, y, n, again: layers.Maximum()([x, x]),
    ],
    "move": [
        lambda x, y, n, again: layers.Permute((2, 1, 3))(x),
        lambda x, y, n, again: ops.flip(x, axis=1),
        lambda x, y, n, again: layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)),
        lambda x, y, n, again: ops.concatenate([x[:, :2], y[:, 2:]], axis=1),
        lambda x, y, n, again: layers.Reshape(x.shape[1:])(layers.Flatten()(x)),
    ],
    "scale": [
        lambda x, y, n, again: -x,
        lambda x, y, n, again: 2.0 * x,
        lambda x, y, n, again: x / 3.0,
        lambda x, y, n, again: layers.Rescaling(-0.5)(x),
        lambda x, y, n, again: layers.BatchNormalization(center=False)(x),
    ],
}
OTHERS = {
    "smooth": [
        lambda x, y, n, again: layers.Activation("tanh")(x),
        lambda x, y, n, again: ops.gelu(x),
        lambda x, y, n, again: layers.Activation("silu")(x),
    ],
    "normalise": [
        lambda x, y, n, again: layers.LayerNormalization(center=False)(x),
        lambda x, y, n, again: layers.RMSNormalization()(x),
    ],
    "gate": [
        lambda x, y, n, again: layers.Multiply()([x, squeezed(y)]),
        lambda x, y, n, again: squeezed(y) * x,
        lambda x, y, n, again: x * ops.sigmoid(y),
        lambda x, y, n, again: x * (layers.ReLU(6.0)(x + 3.0) * (1 / 6)),
    ],
    "product": [
        lambda x, y, n, again: x * y,
        lambda x, y, n, again: layers.Multiply()([x, y, x]),
        lambda x, y, n, again: x * layers.Dense(1, use_bias=False)(y),
    ],
}


def squeezed(x):
    """A number between 0 and 1 for each channel."""
    return layers.Reshape((1, 1, x.shape[-1]))(layers.Dense(x.shape[-1], "sigmoid")(layers.GlobalAveragePooling2D()(x)))


def random_network(seed, kinds, size=7):
    """A functional model from `(batch, 4, 4, 3)` to `(batch, 3)`: up to `size` layers of some kinds, which read any earlier tensors."""
    rng, again = np.random.default_rng(seed), {}
    keras.utils.set_random_seed(seed)
    image = keras.Input((4, 4, 3))
    tensors, names = [image], list(kinds)
    for _ in range(rng.integers(2, size + 1)):
        x = tensors[rng.integers(len(tensors))]
        alike = [t for t in tensors if t.shape == x.shape]
        made = kinds[names[rng.integers(len(names))]]
        tensors.append(made[rng.integers(len(made))](x, alike[rng.integers(len(alike))], int(rng.integers(2, 5)), again))
    last = layers.Flatten()(tensors[-1]) if rng.random() < 0.5 else layers.GlobalAveragePooling2D()(tensors[-1])
    model = keras.Model(image, layers.Dense(3, use_bias=False)(last))
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return model


def randomized(model, scale=0.7, seed=1):
    """`model` with random floats for weights, also for those that start at zero."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(scale * rng.normal(size=weight.shape).astype("float32"))
    return model
