"""A convolutional network with dropout before max-pooling, which after training pools by the probabilities that dropout gave the units.

Paper: Wu, Gu 2015, "Max-Pooling Dropout for Regularization of Convolutional Neural Networks", arXiv 1512.01400. The paper compares with
stochastic pooling (Zeiler, Fergus 2013, arXiv 1301.3557).

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`.
The layers alone are `zoo.layers.MaxPoolingDropout2D` and `zoo.layers.StochasticPooling2D`.

Differences from the paper:
1. `rate` is the probability of dropping a unit, as in Keras; the paper's retaining probability is `1 - rate`.
2. Kernels start from He's distribution, and the default optimizer is SGD at 0.01 with momentum 0.95, which suits small data.
3. The convolutions of "cifar" keep the size of the image (3 x 3 regions with stride 2: 32, 16, 8, 4 pixels), those of "mnist" do not
   (24, 12, 8, 4 pixels).
4. `head_dropout` is 0 by default, so that pooling is the only place of dropout, as in the paper's comparison of poolings.
5. For negative inputs, which do not occur after the ReLU of these networks, weighted pooling stays the exact mean of training.
"""

import keras
from keras import layers

from zoo.families.classification import Classification
from zoo.layers.max_pooling_dropout import INFERENCE, MaxPoolingDropout2D
from zoo.layers.stochastic_pooling import StochasticPooling2D

# (filters, kernel size, region, stride) of each block, units of the hidden layers, padding of convolutions and pools
NETWORKS = {
    "mnist": (((20, 5, 2, 2), (40, 5, 2, 2)), (1000,), "valid"),
    "cifar": (((96, 5, 3, 2), (128, 3, 3, 2), (256, 3, 3, 2)), (2000, 2000), "same"),
}
POOLINGS = ("max_pooling_dropout", "max", "stochastic")


class MaxPoolingDropoutNet(Classification):
    """One of the paper's networks, or your own blocks.

    Trained weights fit every `inference`: `from_pretrained(preset, inference="max")` shows what the choice does.

    Args:
        input_shape: shape of an image.
        num_classes: number of classes.
        blocks: `"mnist"` (20C5-2P2-40C5-2P2-1000N), `"cifar"` (96C5-3P2-128C3-3P2-256C3-3P2-2000N-2000N, overlapping regions), or a
            list of blocks `(filters, kernel size, region, stride)`.
        units: units of the hidden layers after the blocks; `None` means those of `blocks`, or none.
        padding: `"valid"` or `"same"`, of convolutions and pools; `None` means that of `blocks`, or `"same"`.
        pooling: `"max_pooling_dropout"`, or the baselines `"max"` and `"stochastic"` (Zeiler and Fergus).
        rate: probability of dropping a unit before it is pooled.
        inference: `"weighted"` (the paper's), `"max"` or `"scaled_max"`: how max-pooling dropout pools after training.
        head_dropout: rate of ordinary dropout on each hidden layer.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        num_classes=10,
        blocks="mnist",
        units=None,
        padding=None,
        pooling="max_pooling_dropout",
        rate=0.5,
        inference="weighted",
        head_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (
            ("pooling", pooling, POOLINGS),
            ("inference", inference, INFERENCE),
            ("padding", padding, ("valid", "same", None)),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
        if isinstance(blocks, str) and blocks not in NETWORKS:
            raise ValueError(f"`blocks` must be one of {list(NETWORKS)} or a list of blocks. Received: {blocks!r}")
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2. Received: {num_classes}")
        self.input_shape, self.num_classes, self.blocks = input_shape, num_classes, blocks
        self.units, self.padding, self.pooling = units, padding, pooling
        self.rate, self.inference, self.head_dropout = rate, inference, head_dropout
        self.network = self._build_network()
        self.compile()

    def _build_network(self):
        blocks, units, padding = NETWORKS[self.blocks] if isinstance(self.blocks, str) else (self.blocks, (), "same")
        units, padding = units if self.units is None else self.units, self.padding or padding
        x = image = keras.Input(tuple(self.input_shape), name="image")
        for i, (filters, size, region, stride) in enumerate(blocks):
            convolution = layers.Conv2D(filters, size, padding=padding, kernel_initializer="he_normal", name=f"block{i}_conv")
            x = layers.ReLU(name=f"block{i}_relu")(convolution(x))
            x = self._pool(pool_size=region, strides=stride, padding=padding, name=f"block{i}_pool")(x)
        x = layers.Flatten(name="flatten")(x)
        for i, width in enumerate(units):
            x = layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"hidden{i}")(x)
            x = layers.Dropout(self.head_dropout, name=f"hidden{i}_dropout")(x) if self.head_dropout else x
        x = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _pool(self, **options):
        if self.pooling == "max":
            return layers.MaxPooling2D(**options)
        if self.pooling == "stochastic":
            return StochasticPooling2D(**options)
        return MaxPoolingDropout2D(rate=self.rate, inference=self.inference, **options)

    # --- learning ---

    def default_optimizer(self):
        """SGD with momentum; see the differences from the paper."""
        return keras.optimizers.SGD(0.01, momentum=0.95)

    @classmethod
    def example_config(cls):
        """Small arguments for tests: overlapping regions, and a hidden layer."""
        return {
            "input_shape": (9, 8, 2),
            "num_classes": 3,
            "blocks": [[4, 3, 3, 2], [5, 2, 2, 2]],
            "units": [12],
            "padding": "same",
            "rate": 0.3,
            "head_dropout": 0.1,
        }

    @classmethod
    def search_space(cls, hp):
        """Pooling, rates and learning rate."""
        return {
            "pooling": hp.Choice("pooling", list(POOLINGS)),
            "rate": hp.Float("rate", 0.1, 0.7, step=0.1),
            "head_dropout": hp.Float("head_dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"),
        }
