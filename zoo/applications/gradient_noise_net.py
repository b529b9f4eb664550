"""A very deep dense network that learns from poor starts because its gradients are noisy.

Paper: Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach, Martens 2015, "Adding Gradient Noise Improves Learning for Very Deep Networks",
arXiv 1511.06807, section 4.1. The noise itself, for any Keras optimizer and model, is `zoo.optimizers.GradientNoise`.

Shapes: anything of `input_shape` `(batch, ...)` -> probabilities `(batch, num_classes)`.

Differences from the paper:
1. Rate, clipping and eta have one default each; the paper searches a few values of each. With the eta of 0.3 the rate is 0.03: at 0.1 the
   sum of the noise makes the weights of twenty layers so large within one epoch of MNIST that no number is left, at 0.05 within seven.
2. Hidden and output weights of the start `"zeros"` are 0, and so are all biases, of every start.
"""

import math

import keras
from keras import layers

from zoo.families.classification import Classification
from zoo.optimizers.gradient_noise import GradientNoise

STARTS = ("normal", "random_walk", "zeros")


class GradientNoiseNet(Classification):
    """Twenty layers of fifty rectified units, trained by gradient descent with noise (arXiv 1511.06807, section 4.1).

    Args:
        input_shape: shape of an input, such as an image's.
        num_classes: number of classes.
        depth: hidden layers.
        units: of each hidden layer.
        start: of the weights. `"normal"`: N(0, 0.1^2), the paper's simple start. `"random_walk"`: that of Sussillo and Abbott (arXiv
            1412.6558), which keeps the size of gradients over the layers, the paper's good start. `"zeros"`: the paper's bad start.
        eta: variance of the noise at the first step; 0 for none.
        gamma: speed of its decay.
        clipnorm: largest norm of the gradient of all weights, before the noise; `None` for no limit.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        num_classes=10,
        depth=20,
        units=50,
        start="normal",
        eta=0.3,
        gamma=0.55,
        clipnorm=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if start not in STARTS:
            raise ValueError(f"`start` must be one of {STARTS}. Received: {start!r}")
        if depth < 1 or units < 1:
            raise ValueError(f"`depth` and `units` must be at least 1. Received: {depth}, {units}")
        self._set_classes(num_classes, None)
        self.input_shape, self.depth, self.units, self.start = input_shape, depth, units, start
        self.eta, self.gamma, self.clipnorm = eta, gamma, clipnorm
        self.network = self._build_network()
        self.compile()

    def _build_network(self):
        inputs = keras.Input(tuple(self.input_shape), name="image")
        x = layers.Flatten(name="flatten")(inputs)
        for i in range(self.depth):
            x = layers.Dense(self.units, "relu", kernel_initializer=self._start(), name=f"hidden{i}")(x)
        outputs = layers.Dense(self.num_classes, "softmax", kernel_initializer=self._start(), dtype="float32", name="probabilities")(x)
        return keras.Model(inputs, outputs, name="network")

    def _start(self):
        if self.start == "zeros":
            return "zeros"
        if self.start == "normal":
            return keras.initializers.RandomNormal(stddev=0.1)
        # Sussillo, Abbott, equation 19: the gain of rectified layers of finite width; variance gain^2 / inputs
        gain = math.sqrt(2) * math.exp(1.2 / (max(self.units, 6) - 2.4))
        return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")

    def default_optimizer(self):
        """Gradient descent at 0.03 with noise (see difference 1)."""
        return GradientNoise(keras.optimizers.SGD(0.03), self.eta, self.gamma, global_clipnorm=self.clipnorm)

    @classmethod
    def example_config(cls):
        """Three thin layers."""
        return {
            "input_shape": (4, 3, 2),
            "num_classes": 3,
            "depth": 3,
            "units": 5,
            "start": "random_walk",
            "eta": 0.01,
            "gamma": 0.5,
            "clipnorm": 10.0,
        }

    @classmethod
    def search_space(cls, hp):
        """Noise, clipping and learning rate, as in the paper."""
        return {
            "eta": hp.Choice("eta", [0.0, 0.01, 0.3, 1.0]),
            "clipnorm": hp.Choice("clipnorm", [1.0, 10.0, 100.0]),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"),
        }
