"""A classifier whose components turn from easy to powerful ones while it trains, so that it learns fast early and well late.

Paper: Almeida, Sauder 2015, "GradNets: Dynamic Interpolation Between Neural Architectures", arXiv 1511.06827.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`.
The blend itself, for any two layers of any Keras model, is `zoo.layers.GradLayer` with `zoo.callbacks.GradSchedule` and
`zoo.layers.finalize`.

Differences from the paper:
1. The weight moves after every batch, not after every epoch. Beside the paper's linear schedule there are a cosine and a learned one.
2. `finalize` gives the network without the easy components.
3. The network is a plain stack of convolutions and dense layers of your choice; the paper's own networks are larger.
4. A network that starts linear starts from Glorot's distribution, which keeps the variance of linear layers; others from He's.
"""

import keras
from keras import layers

from zoo.callbacks.grad_schedule import SHAPES, GradSchedule
from zoo.families.classification import Classification
from zoo.layers.grad_layer import GradLayer, Pick, finalize, grad_layers

COMPONENTS = ("relu", "leaky_relu", "normalization", "pooling", "dropout", "skip")


class GradNet(Classification):
    """Convolutions in blocks and dense layers after them, with a choice of what is blended.

    Args:
        input_shape: shape of an image.
        num_classes: number of classes.
        blocks: list of blocks, each a list with the filters of its 3 x 3 convolutions; a 2 x 2 pool ends each block. Empty for an MLP.
        units: units of the dense layers after the blocks.
        components: what is blended, any of
            `"relu"` (linear to ReLU), `"leaky_relu"` (leaky to plain rectifier; not together with `"relu"`),
            `"normalization"` (batch normalisation to none), `"pooling"` (mean to maximum), `"dropout"` (no dropout to `dropout`),
            `"skip"` (layers of the same input and output shape, skipped to passed).
            The others take what they would end with; an empty list is the plain network.
        blend_epochs: epochs of the blend (tau in the paper).
        schedule: `"linear"`, `"cosine"` or `"learned"`.
        dropout: rate on the output of each block and dense layer.
        initializer: of the kernels; `"auto"` is `"glorot_uniform"` where `components` have `"relu"`, else `"he_normal"`.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        num_classes=10,
        blocks=((32, 32), (64, 64)),
        units=(128,),
        components=("relu",),
        blend_epochs=10,
        schedule="linear",
        dropout=0.0,
        initializer="auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not set(components) <= set(COMPONENTS) or {"relu", "leaky_relu"} <= set(components):
            raise ValueError(f"`components` must be out of {COMPONENTS}, with one kind of rectifier. Received: {components}")
        if schedule not in SHAPES:
            raise ValueError(f"`schedule` must be one of {list(SHAPES)}. Received: {schedule!r}")
        if num_classes < 2 or not blend_epochs > 0:
            raise ValueError(
                "`num_classes` must be at least 2 and `blend_epochs` positive. "
                f"Received: num_classes={num_classes}, blend_epochs={blend_epochs}"
            )
        self.input_shape, self.num_classes, self.blocks, self.units = input_shape, num_classes, blocks, units
        self.components, self.blend_epochs, self.schedule = components, blend_epochs, schedule
        self.dropout, self.initializer = dropout, initializer
        self.network = self._build_network()
        if components and not grad_layers(self.network):
            raise ValueError(f"`components` must apply somewhere (skips need equal shapes, dropout a rate). Received: {components}")
        self.compile()

    # --- the network ---

    def _build_network(self):
        x = image = keras.Input(tuple(self.input_shape), name="image")
        for i, block in enumerate(self.blocks):
            for j, filters in enumerate(block):
                x = self._layer(x, f"block{i}_layer{j}", layers.Conv2D, filters, kernel_size=3, padding="same")
            x = self._component("pooling", layers.AveragePooling2D(2), layers.MaxPooling2D(), f"block{i}_pool")(x)
            x = self._drop(x, f"block{i}_dropout")
        x = layers.Flatten(name="flatten")(x)
        for i, width in enumerate(self.units):
            x = self._drop(self._layer(x, f"hidden{i}", layers.Dense, width), f"hidden{i}_dropout")
        x = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _layer(self, x, name, kind, units, **options):
        initializer = self.initializer
        if initializer == "auto":
            initializer = "glorot_uniform" if "relu" in self.components else "he_normal"
        h = kind(units, kernel_initializer=initializer, name=name, **options)(x)
        if "normalization" in self.components:
            h = self._component("normalization", layers.BatchNormalization(), None, f"{name}_norm")(h)
        if "leaky_relu" in self.components:
            h = self._component("leaky_relu", layers.LeakyReLU(1 / 3), layers.ReLU(), f"{name}_relu")(h)
        else:
            h = self._component("relu", None, layers.ReLU(), f"{name}_relu")(h)
        if "skip" in self.components and x.shape == h.shape:
            h = self._component("skip", Pick(0), Pick(1), f"{name}_skip")([x, h])
        return h

    def _drop(self, x, name):
        return self._component("dropout", None, layers.Dropout(self.dropout), name)(x) if self.dropout else x

    def _component(self, component, simple, complex, name):
        """The blend of two layers, or the complex one alone."""
        if component in self.components:
            return GradLayer(simple, complex, learned=self.schedule == "learned", name=name)
        complex.name = name
        return complex

    # --- learning ---

    def default_optimizer(self):
        """SGD with momentum 0.9."""
        return keras.optimizers.SGD(0.01, momentum=0.9)

    def default_callbacks(self):
        """The schedule of the blend; nothing for a plain network."""
        return [GradSchedule(self.blend_epochs, self.schedule)] if self.components else []

    def finalize(self):
        """The plain network with the weights learned here: the same outputs, without the easy components and their cost.

        Returns:
            A `GradNet` without components, compiled anew.

        Raises:
            ValueError: if the blend is not done.
        """
        plain = finalize(self.network)
        model = type(self).from_config({**self.get_config(), "components": (), "name": None})
        for layer in model.network.layers:
            layer.set_weights(plain.get_layer(layer.name).get_weights())
        return model

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "input_shape": (8, 7, 2),
            "num_classes": 3,
            "blocks": [[4, 4], [5]],
            "units": [6, 6],
            "components": ["relu", "normalization", "pooling", "dropout", "skip"],
            "blend_epochs": 4,
            "schedule": "learned",
            "dropout": 0.2,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        # only a network whose blend is done can be finished
        return {**super().example_calls(), "finalize": None}

    @classmethod
    def search_space(cls, hp):
        """Length and shape of the blend, dropout and learning rate."""
        return {
            "blend_epochs": hp.Int("blend_epochs", 2, 20),
            "schedule": hp.Choice("schedule", list(SHAPES)),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"),
        }
