"""ReNet: recurrent networks sweep the image vertically and horizontally, in both directions, in place of convolution and pooling.

Paper: Visin, Kastner, Cho, Matteucci, Courville, Bengio 2015, "ReNet: A Recurrent Neural Network Based Alternative to Convolutional
Networks", arXiv 1505.00393.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`. Each layer turns a patch of `p x q` pixels into
`2 * units` features, which depend on the whole image.

Differences from the paper:
1. The paper's dropout follows every layer at rates it does not list for each; here `dropout` holds for all, 0.5 by default.
2. Dropout follows a whole layer, not each of its two sweeps.
3. Early stopping on the validation error is the user's (`keras.callbacks.EarlyStopping`).
4. The GRU is Keras's, whose reset gate acts after the recurrent product.
"""

import keras
from keras import layers

from zoo.families.classification import Classification
from zoo.layers.random_shift_flip import RandomShiftFlip
from zoo.layers.re_net_layer import CELLS, ReNetLayer
from zoo.model import Field

# table 1: units of the ReNet layers and of the fully connected ones, flipping
ARCHITECTURES = {
    "mnist": {"units": (256, 256), "dense_units": (4096, 4096), "flip": False, "input_shape": (28, 28, 1)},
    "cifar10": {"units": (320, 320, 320), "dense_units": (4096,), "flip": True, "input_shape": (32, 32, 3)},
    "svhn": {"units": (256, 256, 256), "dense_units": (4096, 4096), "flip": False, "input_shape": (32, 32, 3)},
}


class ReNet(Classification):
    """A classifier of ReNet layers and fully connected ones.

    Args:
        architecture: `"mnist"`, `"cifar10"` or `"svhn"`, the paper's networks; arguments that are `None` take their value from it.
        num_classes: number of classes.
        input_shape: shape of an image.
        units: units of each sweep, a sequence with one number for each ReNet layer.
        patch_size: side of the patches in every layer, or a sequence with one side, or pair (height, width), for each.
        dense_units: units of the fully connected layers, a sequence.
        cell: `"gru"` (the paper's), `"lstm"` or `"rnn"`.
        padding: what to do with images that are not a whole number of patches: `"valid"` refuses them, `"same"` adds zeros.
        dropout: rate after each layer.
        input_dropout: rate at which pixels are masked.
        shift: in training, images are shifted by so many pixels or not at all, in each direction.
        flip: whether half of the images are flipped in training, a quarter in each direction.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        architecture="mnist",
        num_classes=10,
        input_shape=None,
        units=None,
        patch_size=2,
        dense_units=None,
        cell="gru",
        padding="valid",
        dropout=0.5,
        input_dropout=0.2,
        shift=2,
        flip=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("architecture", architecture, ARCHITECTURES), ("cell", cell, CELLS)):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {list(known)}. Received: {value!r}")
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2. Received: {num_classes}")
        self.architecture, self.num_classes, self.cell, self.padding = architecture, num_classes, cell, padding
        self.input_shape, self.units, self.dense_units, self.flip = input_shape, units, dense_units, flip
        self.patch_size, self.dropout, self.input_dropout, self.shift = patch_size, dropout, input_dropout, shift
        self.network = self._build_network()
        self.compile()

    def _chosen(self, name):
        """An argument, or what the architecture says."""
        value = getattr(self, name)
        return ARCHITECTURES[self.architecture][name] if value is None else value

    def _build_network(self):
        units = self._chosen("units")
        sides = [self.patch_size] * len(units) if isinstance(self.patch_size, int) else list(self.patch_size)
        if not units or len(sides) != len(units):
            raise ValueError(f"`patch_size` must be a number or have one entry for each of `units`. Received: {self.patch_size}, {units}")
        x = image = keras.Input(tuple(self._chosen("input_shape")), name="image")
        x = RandomShiftFlip(self.shift, self._chosen("flip"), name="augmentation")(x)
        x = layers.Dropout(self.input_dropout, name="input_dropout")(x)
        for i, (size, side) in enumerate(zip(units, sides)):
            x = ReNetLayer(size, side if isinstance(side, int) else tuple(side), self.cell, self.padding, name=f"sweep{i}")(x)
            x = layers.Dropout(self.dropout, name=f"sweep{i}_dropout")(x)
        x = layers.Flatten(name="flatten")(x)
        for i, size in enumerate(self._chosen("dense_units")):
            x = layers.Dense(size, "relu", name=f"dense{i}")(x)
            x = layers.Dropout(self.dropout, name=f"dense{i}_dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(logits))

    def input_fields(self):
        """An image."""
        return [Field("image", tuple(self._chosen("input_shape")))]

    def default_optimizer(self):
        """Adam (section 4.4)."""
        return keras.optimizers.Adam()

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "architecture": "cifar10",
            "num_classes": 3,
            "input_shape": (12, 8, 2),
            "units": [3, 4],
            "patch_size": [[3, 2], 2],
            "dense_units": [5],
            "cell": "lstm",
            "dropout": 0.1,
            "input_dropout": 0.0,
            "shift": 1,
            "flip": True,
        }

    @classmethod
    def search_space(cls, hp):
        """Cell, width, dropout and learning rate."""
        width = hp.Choice("units", [16, 32, 64])
        return {
            "units": [width] * 2,
            "patch_size": 2,
            "padding": "same",
            "cell": hp.Choice("cell", ["gru", "lstm"]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }
