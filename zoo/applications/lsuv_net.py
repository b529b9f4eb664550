"""A thin deep network (FitNet) whose layers are initialised to unit variance from data, and then simply trains.

Paper: Mishkin, Matas 2015, "All you need is a good init", arXiv 1511.06422. The networks are the FitNets of Romero et al. 2014.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`.
The initialisation itself, for any Keras model, is `zoo.initializers.lsuv`.

Differences from the paper:
1. `init` also offers the paper's baselines (Glorot, He, orthonormal), so that they can be compared in one line.
2. The pools of FitNet-MNIST are 2 x 2 like those of the CIFAR networks instead of 4 x 4 with stride 2, and all networks train with
   the SGD of the CIFAR experiments; the authors' MNIST files use RMSprop at 0.002.
3. The learning rate falls after the iterations of the authors' files (40, 60 and 80 thousand), which the paper gives in epochs.
4. The hidden layer of a maxout network has five pieces, as in the authors' FitNet-4 (two in the original FitNet-1).
5. Sigmoid networks are offered, though neither the paper nor this implementation makes deep ones converge.
"""

import keras
from keras import layers

from zoo import arguments
from zoo.arguments import Count, Flag, Inputs, Positive, Verbose, checked
from zoo.families.classification import Classification
from zoo.initializers.lsuv import lsuv
from zoo.model import Model, is_stream

# filters of each convolution, block by block; a 2 x 2 max-pooling ends each block but the last, which ends in a global one
FITNETS = {
    "fitnet1": ((16, 16, 16), (32, 32, 32), (48, 48, 64)),
    "fitnet4": ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6),
    "fitnet_mnist": ((16, 16), (16, 16), (12, 12)),
}
ACTIVATIONS = {
    "relu": layers.ReLU,
    "very_leaky_relu": lambda name: layers.LeakyReLU(1 / 3, name=name),
    "prelu": lambda name: layers.PReLU(keras.initializers.Constant(0.25), name=name),
    "tanh": lambda name: layers.Activation("tanh", name=name),
    "sigmoid": lambda name: layers.Activation("sigmoid", name=name),
    "elu": layers.ELU,
}
INITIALIZERS = {"lsuv": "orthogonal", "orthonormal": "orthogonal", "glorot": "glorot_uniform", "he": "he_normal"}


class LSUVNet(Classification):
    """A FitNet, or a stack of your own blocks.

    With `init="lsuv"` the first `fit` on arrays initialises the network from a part of them; for datasets and generators call
    `initialize(batch)` before. Scale images to about mean 0 and variance 1.

    Args:
        input_shape: shape of an image.
        num_classes: number of classes.
        blocks: `"fitnet1"`, `"fitnet4"`, `"fitnet_mnist"`, or a list of blocks, each a list with the filters of its 3 x 3 convolutions.
        head_units: units of the hidden layer after the convolutions, 0 for none (500 in FitNet-1 and 4, none in FitNet-MNIST).
        activation: `"maxout"` (two pieces, five in the hidden layer), `"relu"`, `"very_leaky_relu"`, `"prelu"`, `"tanh"`, `"sigmoid"`
            or `"elu"`.
        init: `"lsuv"`, `"orthonormal"`, `"glorot"` or `"he"`.
        dropout: rate on the image, after each block and after the hidden layer.
        weight_decay: strength of the L2 decay, as SGD adds it to the gradient.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        input_shape=(32, 32, 3),
        num_classes=10,
        blocks="fitnet4",
        head_units=500,
        activation="maxout",
        init="lsuv",
        dropout=0.2,
        weight_decay=5e-4,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("activation", activation, ["maxout", *ACTIVATIONS]), ("init", init, list(INITIALIZERS))):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
        if isinstance(blocks, str) and blocks not in FITNETS:
            raise ValueError(f"`blocks` must be one of {list(FITNETS)} or a list of lists. Received: {blocks!r}")
        self.input_shape, self.num_classes, self.blocks, self.head_units = input_shape, num_classes, blocks, head_units
        self.activation, self.init, self.dropout, self.weight_decay = activation, init, dropout, weight_decay
        # among the weights, so that a trained network that was loaded is not initialised again
        self.initialized = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="initialized")
        self.network = self._build_network()
        self.compile()

    def _build_network(self):
        x = image = keras.Input(tuple(self.input_shape), name="image")
        x = layers.Dropout(self.dropout, name="image_dropout")(x)
        blocks = FITNETS[self.blocks] if isinstance(self.blocks, str) else self.blocks
        for i, block in enumerate(blocks):
            for j, filters in enumerate(block):
                x = self._layer(x, f"block{i}_conv{j}", 2, layers.Conv2D, filters, kernel_size=3, padding="same")
            last = i == len(blocks) - 1
            pool = layers.GlobalMaxPooling2D if last else layers.MaxPooling2D
            x = layers.Dropout(self.dropout, name=f"block{i}_dropout")(pool(name=f"block{i}_pool")(x))
        if self.head_units:
            x = layers.Dropout(self.dropout, name="head_dropout")(self._layer(x, "head", 5, layers.Dense, self.head_units))
        x = layers.Dense(self.num_classes, name="logits", **self._options())(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _layer(self, x, name, pieces, kind, units, **options):
        if self.activation == "maxout":
            outputs = [kind(units, name=f"{name}{piece}", **options, **self._options())(x) for piece in "abcde"[:pieces]]
            return layers.Maximum(name=f"{name}_max")(outputs)
        return ACTIVATIONS[self.activation](name=f"{name}_unit")(kind(units, name=name, **options, **self._options())(x))

    def _options(self):
        decay = keras.regularizers.L2(0.5 * self.weight_decay) if self.weight_decay else None
        return {"kernel_initializer": INITIALIZERS[self.init], "kernel_regularizer": decay}

    # --- initialisation ---

    @checked
    def initialize(self, batch: Inputs, tolerance: Positive = 0.1, max_iterations: Count = 10, verbose: Verbose | Flag = 1):
        """LSUV: orthonormal kernels, then layer by layer an output of variance 1 (algorithm 1); forgets what was learned.

        Args:
            batch: images `(n, height, width, channels)`.
            tolerance: largest difference from variance 1.
            max_iterations: divisions of one layer at most.
            verbose: whether to show a progress bar.

        Returns:
            List of `zoo.initializers.LayerRecord`, in the order of execution.
        """
        report = lsuv(self.network, batch, tolerance, max_iterations, verbose=verbose)
        self.initialized.assign(1)
        return report

    def fit(self, x=None, *args, **kwargs):
        """`zoo.Model.fit`; with `init="lsuv"` a network that was not initialised yet is, on up to 256 of the images."""
        if self.init == "lsuv" and not int(self.initialized):
            if is_stream(x):
                raise ValueError(
                    f"`x` must be an array for `init='lsuv'`; else call `initialize(batch)` first. Received: {type(x).__name__}"
                )
            arguments.check_call(Model.fit, self, x, *args, **kwargs)
            x = self.prepared(x)[0]
            self.initialize(x[:: -(-len(x) // 256)], verbose=0)
        return super().fit(x, *args, **kwargs)

    # --- learning ---

    def default_optimizer(self):
        """SGD with momentum 0.9 from 0.01 down in three steps (section 4)."""
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay((40_000, 60_000, 80_000), (1e-2, 1e-3, 1e-4, 1e-5))
        return keras.optimizers.SGD(schedule, momentum=0.9)

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "input_shape": (8, 7, 2),
            "num_classes": 3,
            "blocks": [[3, 4], [5]],
            "head_units": 6,
            "activation": "tanh",
            "dropout": 0.1,
            "weight_decay": 1e-3,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        return {
            **super().example_calls(),
            "initialize": {"batch": self.example_inputs(8), "tolerance": 0.2, "max_iterations": 2, "verbose": 0},
        }

    @classmethod
    def search_space(cls, hp):
        """Activation, dropout, weight decay and learning rate."""
        return {
            "activation": hp.Choice("activation", ["maxout", "relu", "very_leaky_relu", "tanh"]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "weight_decay": hp.Float("weight_decay", 1e-5, 1e-3, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"),
        }
