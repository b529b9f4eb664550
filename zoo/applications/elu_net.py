"""The networks of the ELU paper with a choice of activation: units whose mean activation is near zero learn faster.

Paper: Clevert, Unterthiner, Hochreiter 2015, "Fast and Accurate Deep Network Learning by Exponential Linear Units (ELUs)",
arXiv 1511.07289.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`, or for the autoencoder an image of the same shape.
`zoo.callbacks.ActivationStatistics` logs the mean activation and the bias shift of each layer.

Differences from the paper:
1. `prelu` is offered beside the paper's ELU, ReLU and leaky ReLU.
2. The paper counts the 100 outputs of its CIFAR networks among the units; here the last convolution is linear and feeds the softmax.
   With it "cifar18" has the 19 convolutions that the paper lists for its 18-layer network.
3. Max-pooling follows each stack while the map is larger than one pixel (the first five stacks of a 32 x 32 image).
4. The paper gives neither output nor loss of the autoencoder: sigmoid and squared error, summed over the pixels of an image.
5. Dropout rates of "cifar18" are those of its fine-tuning; padding, crops, whitening and the later rises of the rates are left to the user.
6. With ELUs the autoencoder and the CIFAR networks start from LeCun's distribution, half the variance of He's, which the paper takes: an
   ELU passes on more than half of the variance that it gets, and pooling raises it. From He's the first logits of "cifar11" are some 10
   apart, the autoencoder's pixels are all 0 or 1, and at 0.01, the paper's largest rate, neither recovers. `initializer="he_normal"` is
   the paper's.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff
from zoo.arguments import Inputs, checked
from zoo.model import Field, Model

# stacks of (units, receptive field), section 4.2 and 4.3
STACKS = {
    "cifar11": (
        ((192, 5),),
        ((192, 1), (240, 3)),
        ((240, 1), (260, 2)),
        ((260, 1), (280, 2)),
        ((280, 1), (300, 2)),
        ((300, 1),),
    ),
    "cifar18": (
        ((384, 3),),
        ((384, 1), (384, 2), (640, 2), (640, 2)),
        ((640, 1), (768, 2), (768, 2), (768, 2)),
        ((768, 1), (896, 2), (896, 2)),
        ((896, 3), (1024, 2), (1024, 2)),
        ((1024, 1), (1152, 2)),
        ((1152, 1),),
    ),
}
# after the last layer of each stack
DROPOUT = {"cifar11": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "cifar18": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5)}
# iterations at which the learning rate falls, and the rates
SCHEDULE = {
    "cifar11": ((35_000, 85_000, 135_000), (0.01, 0.005, 0.0005, 0.00005)),
    "cifar18": ((35_000,), (0.01, 0.001)),
}
WEIGHT_DECAY = 5e-4
ARCHITECTURES = ("mnist", "autoencoder", *STACKS)
ALPHA = {"relu": None, "leaky_relu": 0.1, "prelu": 0.25, "elu": 1.0}


class ELUNet(Model):
    """One of the paper's four networks.

    `fit(images, labels)`; the autoencoder learns from `fit(images)` and has `encode`.

    Args:
        architecture: `"mnist"` (8 hidden layers of 128 units, section 4.1), `"autoencoder"` (1000-500-250-30 and back, section 4.1),
            `"cifar11"` (section 4.2) or `"cifar18"` (section 4.3).
        activation: `"elu"`, `"relu"`, `"leaky_relu"` or `"prelu"`.
        alpha: minus the value at which an ELU saturates, or the slope of a (P)ReLU's negative part;
            `None` means 1 for ELU, 0.1 for leaky ReLU and 0.25 at the start for PReLU. ReLU ignores it.
        width: factor on the number of units of each hidden layer.
        input_shape: shape of an image; `None` means `(28, 28, 1)`, for the CIFAR networks `(32, 32, 3)`.
        num_classes: number of classes; the autoencoder has none.
        initializer: of the kernels; `"auto"` is `"lecun_normal"` for ELUs in the autoencoder and the CIFAR networks, else the paper's
            `"he_normal"`.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        architecture="mnist",
        activation="elu",
        alpha=None,
        width=1.0,
        input_shape=None,
        num_classes=10,
        initializer="auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("architecture", architecture, ARCHITECTURES), ("activation", activation, ALPHA)):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {list(known)}. Received: {value!r}")
        if not width > 0 or num_classes < 2:
            raise ValueError(f"`width` must be positive and `num_classes` at least 2. Received: width={width}, num_classes={num_classes}")
        if alpha is not None and alpha < 0:
            raise ValueError(f"`alpha` must be at least 0, or None. Received: {alpha}")
        self.architecture, self.activation, self.alpha, self.width = architecture, activation, alpha, width
        self.input_shape, self.num_classes, self.initializer = input_shape, num_classes, initializer
        self.image_shape = tuple(input_shape or ((32, 32, 3) if architecture in STACKS else (28, 28, 1)))
        self.network = self._build_network()
        self._run_encode = autodiff.compiled(self._encoded, self)
        self.compile()

    @property
    def output_name(self):
        """What the network gives."""
        return "reconstruction" if self.architecture == "autoencoder" else "probabilities"

    # --- the networks ---

    def _build_network(self):
        image = keras.Input(self.image_shape, name="image")
        if self.architecture == "autoencoder":
            output = self._autoencoder(image)
        else:
            features = self._mlp(image) if self.architecture == "mnist" else self._convolutions(image)
            output = layers.Activation("softmax", dtype="float32", name="probabilities")(features)
        return keras.Model(image, output)

    def _mlp(self, image):
        x = layers.Flatten(name="flatten")(image)
        for i in range(8):
            x = self._dense(x, 128, f"hidden{i}")
        return layers.Dense(self.num_classes, kernel_initializer=self._kernels(), name="logits")(x)

    def _autoencoder(self, image):
        x = layers.Flatten(name="flatten")(image)
        for i, units in enumerate((1000, 500, 250, 30, 250, 500, 1000)):
            x = self._dense(x, units, "code" if i == 3 else f"{'encoder' if i < 3 else 'decoder'}{i if i < 3 else i - 4}")
        pixels = int(ops.prod(self.image_shape))
        x = layers.Dense(pixels, "sigmoid", kernel_initializer="glorot_uniform", dtype="float32", name="pixels")(x)
        return layers.Reshape(self.image_shape, dtype="float32", name="reconstruction")(x)

    def _convolutions(self, image):
        x = image
        for i, (stack, rate) in enumerate(zip(STACKS[self.architecture], DROPOUT[self.architecture])):
            for j, (units, field) in enumerate(stack):
                x = self._convolution(x, self._units(units), field, f"stack{i}_conv{j}")
                x = self._activate(x, f"stack{i}_unit{j}")
            x = layers.Dropout(rate, name=f"stack{i}_dropout")(x) if rate else x
            x = layers.MaxPooling2D(2, padding="same", name=f"stack{i}_pool")(x) if max(x.shape[1:3]) > 1 else x
        x = self._convolution(x, self.num_classes, 1, "logits")
        return layers.GlobalAveragePooling2D(name="average")(x)

    def _dense(self, x, units, name):
        x = layers.Dense(self._units(units), kernel_initializer=self._kernels(), name=f"{name}_net")(x)
        return self._activate(x, name)

    def _convolution(self, x, units, field, name):
        decay = keras.regularizers.L2(0.5 * WEIGHT_DECAY)
        options = {"kernel_initializer": self._kernels(), "kernel_regularizer": decay}
        return layers.Conv2D(units, field, padding="same", name=name, **options)(x)

    def _kernels(self):
        if self.initializer == "auto":
            return "lecun_normal" if self.activation == "elu" and self.architecture != "mnist" else "he_normal"
        return self.initializer

    def _activate(self, x, name):
        alpha = ALPHA[self.activation] if self.alpha is None else self.alpha
        if self.activation == "relu":
            return layers.ReLU(name=name)(x)
        if self.activation == "leaky_relu":
            return layers.LeakyReLU(alpha, name=name)(x)
        if self.activation == "prelu":
            positions = list(range(1, len(x.shape) - 1))
            return layers.PReLU(keras.initializers.Constant(alpha), shared_axes=positions or None, name=name)(x)
        return layers.ELU(alpha, name=name)(x)

    def _units(self, units):
        return max(1, round(self.width * units))

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of images, or their reconstructions."""
        return self.network(x, training=training)

    # --- learning ---

    def input_fields(self):
        """An image; the autoencoder's has pixels in [0, 1]."""
        unit = (0.0, 1.0) if self.architecture == "autoencoder" else (None, None)
        return [Field("image", self.image_shape, "float32", *unit)]

    def target_fields(self):
        """The class; nothing for the autoencoder."""
        return [] if self.architecture == "autoencoder" else [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_optimizer(self):
        """SGD at 0.01 (section 4.1), with momentum 0.9 and falling in steps for the CIFAR networks (sections 4.2 and 4.3)."""
        if self.architecture not in STACKS:
            return keras.optimizers.SGD(1e-2)
        steps, rates = SCHEDULE[self.architecture]
        return keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates), momentum=0.9)

    def default_metrics(self):
        """Accuracy; nothing beside the loss for the autoencoder."""
        return None if self.architecture == "autoencoder" else ["accuracy"]

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy, or the squared error of the reconstruction, summed over the pixels."""
        if self.architecture == "autoencoder":
            losses = ops.sum(ops.square(y_pred - ops.cast(x, y_pred.dtype)), axis=(1, 2, 3))
        else:
            losses = keras.losses.sparse_categorical_crossentropy(y, y_pred)
        return ops.mean(losses if sample_weight is None else losses * ops.cast(sample_weight, losses.dtype))

    # --- codes ---

    @checked
    def encode(self, image: Inputs) -> np.ndarray:
        """The code layer of the autoencoder.

        Args:
            image: `(n, height, width, channels)`, pixels in [0, 1].

        Returns:
            Codes `(n, units)`, 30 units at width 1.

        Raises:
            ValueError: if the network is no autoencoder, or the images do not fit.
        """
        if self.architecture != "autoencoder":
            raise ValueError(f"`architecture` must be 'autoencoder' for `encode`. Received: {self.architecture!r}")
        return ops.convert_to_numpy(self._run_encode(image))

    def _encoded(self, image):
        x = image
        for layer in self.network.layers[1:]:
            x = layer(x)
            if layer.name == "code":
                return x

    def signatures(self):
        """`serve`, and `encode` for the autoencoder."""
        if self.architecture != "autoencoder":
            return super().signatures()
        return {**super().signatures(), "encode": (lambda image: {"code": self._encoded(image)}, self.input_fields())}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {"activation": "prelu", "alpha": 0.3, "width": 0.0625, "input_shape": (6, 5, 2), "num_classes": 3}

    def example_calls(self):
        """A small valid call of every verb."""
        encode = {"image": self.example_inputs()} if self.architecture == "autoencoder" else None
        return {**super().example_calls(), "encode": encode}

    @classmethod
    def search_space(cls, hp):
        """Activation, width and learning rate."""
        return {
            "activation": hp.Choice("activation", list(ALPHA)),
            "width": hp.Float("width", 0.25, 2.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"),
        }
