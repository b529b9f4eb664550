"""Deep LDA: a network whose features linear discriminant analysis separates best; its smallest eigenvalues take the cross-entropy's place.

Paper: Dorfer, Kelz, Widmer 2015, "Deep Linear Discriminant Analysis", arXiv 1511.04707.

Shapes: image `(batch, height, width, channels)` -> features `(batch, num_classes)`, and by LDA on them probabilities of the same shape.
The loss, its gradient and what the two public implementations get right or wrong: `zoo/losses/deep_lda.py`.

Differences from the paper:
1. Probabilities are LDA's own posterior, a softmax of the scores of equation 11 (same prior for all classes). The paper norms their
   sigmoids (equation 12): the same order, but all scores above 17 become equal in float32.
2. The classifier is fitted with eigenvectors normed to `e^T (S_w + lambda I) e = 1`. The authors' code norms their Euclidean length to 1,
   which undoes the whitening.
3. The rate is halved every 10 epochs (25 for `"cifar"`), as the paper says; the authors' MNIST script has 5.
4. `"cifar"` has batch normalisation after every convolution; the authors' script leaves out one.
"""

import itertools
import warnings
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Inputs, checked
from zoo.losses.deep_lda import deep_lda_loss, lda_eigen, lda_statistics
from zoo.model import Field, Model

# stacks of (filters, kernel, padding), each followed by 2 x 2 max-pooling and dropout; then the convolutions that end the network
STACKS = {
    "mnist": (((64, 3, "same"), (64, 3, "same")), ((96, 3, "same"), (96, 3, "valid"))),
    "cifar": (((64, 3, "same"),) * 2, ((128, 3, "same"),) * 2, ((256, 3, "same"),) * 4),
}
TOP = {"mnist": 256, "cifar": 1024}
HALVE_EVERY = {"mnist": 10, "cifar": 25}
LEAST_SIDE = {"mnist": 18, "cifar": 24}
WEIGHT_DECAY = 1e-4


class DeepLDA(Model):
    """A convolutional network with LDA on top.

    `fit(images, labels, batch_size=1000)`: large batches, since each must tell the classes' covariances. After training, and before each
    validation, the classifier is fitted to the features of the training images. The output is a dict of `features` and `probabilities`.

    Args:
        num_classes: number of classes C; the network gives as many features.
        input_shape: shape of an image; `None` means `(28, 28, 1)`, for `"cifar"` `(32, 32, 3)`.
        architecture: `"mnist"` (6 convolutions and one for the features) or `"cifar"` (10 and one), section 4.
        width: factor on the number of filters.
        dropout: rate after the last two wide convolutions; half of it after each pooling.
        regularization: lambda, added to the diagonal of the within-class scatter.
        epsilon: eigenvalues up to the smallest plus this are raised.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        num_classes=10,
        input_shape=None,
        architecture="mnist",
        width=1.0,
        dropout=0.5,
        regularization=1e-3,
        epsilon=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if architecture not in STACKS:
            raise ValueError(f"`architecture` must be one of {list(STACKS)}. Received: {architecture!r}")
        for name, value, ok in (
            ("num_classes", num_classes, num_classes >= 2),
            ("width", width, width > 0),
            ("dropout", dropout, 0 <= dropout < 1),
            ("regularization", regularization, regularization > 0),
            ("epsilon", epsilon, epsilon >= 0),
        ):
            if not ok:
                least = {"num_classes": "at least 2", "epsilon": "at least 0", "dropout": "in [0, 1)"}.get(name, "positive")
                raise ValueError(f"`{name}` must be {least}. Received: {value}")
        self.num_classes, self.input_shape, self.architecture, self.width = num_classes, input_shape, architecture, width
        self.dropout, self.regularization, self.epsilon = dropout, regularization, epsilon
        self.image_shape = tuple(input_shape or ((28, 28, 1) if architecture == "mnist" else (32, 32, 3)))
        if len(self.image_shape) != 3 or min(self.image_shape[:2]) < LEAST_SIDE[architecture]:
            raise ValueError(
                f"`input_shape` must be (height, width, channels) with sides of at least {LEAST_SIDE[architecture]} for {architecture!r}. "
                f"Received: {input_shape}"
            )
        self.network = self._build_network()
        for name, shape in (
            ("projection", (num_classes, num_classes - 1)),
            ("eigenvalues", (num_classes - 1,)),
            ("coefficients", (num_classes, num_classes)),
            ("intercepts", (num_classes,)),
        ):
            setattr(self, name, self.add_weight(shape=shape, initializer="zeros", trainable=False, dtype="float32", name=name))
        self._run = autodiff.compiled(self._outputs, self)
        self.compile()

    # --- the network ---

    def _build_network(self):
        """Table 1."""
        x = image = keras.Input(self.image_shape, name="image")
        for i, stack in enumerate(STACKS[self.architecture]):
            for j, (filters, kernel, padding) in enumerate(stack):
                x = self._convolve(x, self._filters(filters), kernel, padding, f"stack{i}_{j}")
            x = layers.MaxPooling2D(2, name=f"stack{i}_pool")(x)
            x = layers.Dropout(self.dropout / 2, name=f"stack{i}_dropout")(x)
        for j, kernel in enumerate((3, 1)):
            x = self._convolve(x, self._filters(TOP[self.architecture]), kernel, "valid", f"top{j}")
            x = layers.Dropout(self.dropout, name=f"top{j}_dropout")(x)
        x = self._convolve(x, self.num_classes, 1, "valid", "last")
        return keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32", name="features")(x))

    def _convolve(self, x, filters, kernel, padding, name):
        decay = keras.regularizers.L2(WEIGHT_DECAY)
        x = layers.Conv2D(
            filters, kernel, padding=padding, use_bias=False, kernel_initializer="he_normal", kernel_regularizer=decay, name=f"{name}_conv"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-4, beta_regularizer=decay, gamma_regularizer=decay, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def _filters(self, filters):
        return max(1, round(self.width * filters))

    def call(self, x, training=False):
        """Features `(batch, num_classes)` of images; outside training also `probabilities` by the fitted LDA, both float32."""
        features = self.network(x, training=training)
        if training:
            return {"features": features}
        return {"features": features, "probabilities": self._posterior(features, self.coefficients, self.intercepts)}

    @staticmethod
    def _posterior(features, coefficients, intercepts):
        """Equation 11, and the posterior of classes that are alike but for their means."""
        return ops.softmax(ops.matmul(features, ops.transpose(coefficients)) + intercepts)

    def _discriminants(self, features, labels, sample_weight=None):
        """Means, eigenvalues, eigenvectors, and the classifier of labelled features (equation 11)."""
        means, within, between, counts = lda_statistics(features, labels, self.num_classes, sample_weight)
        values, vectors = lda_eigen(within, between, self.regularization)
        coefficients = ops.matmul(ops.matmul(means, vectors), ops.transpose(vectors))
        # a class that was not there is never chosen
        intercepts = ops.where(counts > 0, -0.5 * ops.sum(means * coefficients, axis=1), -1e9)
        return values, vectors, coefficients, intercepts

    # --- learning ---

    def input_fields(self):
        """An image."""
        return [Field("image", self.image_shape)]

    def target_fields(self):
        """The class."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_optimizer(self):
        """SGD at 0.1 with Nesterov momentum 0.9 (section 4)."""
        return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)

    def default_metrics(self):
        """Accuracy of LDA: while training the one fitted to the batch itself, otherwise the one of the model."""
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def default_callbacks(self):
        """The rate halved every 10 epochs, 25 for `"cifar"`."""
        return [_Halving(HALVE_EVERY[self.architecture])]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The objective, or the loss given to `compile`, of the features."""
        return super().compute_loss(x, y, y_pred["features"], sample_weight, training)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Minus the mean of the smallest eigenvalues (equation 10)."""
        return deep_lda_loss(y_pred, y, self.num_classes, self.regularization, self.epsilon, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics of the probabilities."""
        probabilities = y_pred.get("probabilities")
        if probabilities is None:
            features = ops.stop_gradient(y_pred["features"])
            probabilities = self._posterior(features, *self._discriminants(features, y, sample_weight)[2:])
        return super().compute_metrics(x, y, probabilities, sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`, and LDA on the features of the training images, see `fit_lda`."""
        given = arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
        del given["self"]
        callbacks = given.pop("callbacks", None)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            own = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or [])
            data = _without_validation(x, y, given.get("validation_split") or 0.0)
            # first in the row, so that callbacks at the end of training find the fitted classifier
            callbacks = [_FitLDA(*data, given.get("steps_per_epoch")), *own]
        return super().fit(**given, callbacks=callbacks)

    @checked
    def fit_lda(self, x, y=None, steps: Count | None = None, batch_size: Count = 500):
        """Fit the classifier to the features of labelled images; `fit` does so by itself, other than with a generator.

        Args:
            x: images `(n, height, width, channels)`, or an iterable or `PyDataset` of batches (images, labels, ...).
            y: labels `(n,)`, if `x` is an array.
            steps: number of batches taken from an iterable, `None` for all.
            batch_size: images in one run of the network.

        Raises:
            ValueError: if the images or labels do not fit, or fewer than two classes are there.
        """
        if y is not None:
            x, y = self.prepared(x, y)
            batches: Iterable = ((x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, len(x), batch_size))
        elif not hasattr(x, "__iter__") and not isinstance(x, keras.utils.PyDataset):
            raise ValueError(f"`x` must be images beside `y`, or batches of both. Received: {arguments.shown(x)}")
        else:
            batches = itertools.islice((x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x, steps)
            batches = (self.prepared(*batch[:2]) for batch in batches)
        pairs = [(self._in_pieces(images, batch_size)["features"], labels.reshape(-1)) for images, labels in batches]
        if not pairs or len(np.unique(np.concatenate([labels for _, labels in pairs]))) < 2:
            raise ValueError("`y` must hold at least two classes. Received: fewer")
        features, labels = (np.concatenate(arrays) for arrays in zip(*pairs))
        values, vectors, coefficients, intercepts = self._discriminants(ops.convert_to_tensor(features), ops.convert_to_tensor(labels))
        kept = self.num_classes - 1
        self.projection.assign(ops.flip(vectors, axis=1)[:, :kept])
        self.eigenvalues.assign(ops.flip(values)[:kept])
        self.coefficients.assign(coefficients)
        self.intercepts.assign(intercepts)

    # --- verbs ---

    @checked
    def transform(self, images: Inputs, batch_size: Count = 500) -> np.ndarray:
        """Features in the space of LDA.

        Args:
            images: `(n, height, width, channels)`.
            batch_size: images in one run of the network.

        Returns:
            `(n, num_classes - 1)`, float32; the component with the largest eigenvalue first, each with variance 1 within classes.

        Raises:
            ValueError: if the images do not fit.
        """
        return self._in_pieces(images, batch_size)["components"]

    @checked
    def classify(self, images: Inputs, batch_size: Count = 500) -> np.ndarray:
        """The most probable class of each image, `(n,)` int32; see `transform` for the arguments."""
        return self._in_pieces(images, batch_size)["probabilities"].argmax(-1).astype("int32")

    def _in_pieces(self, images, batch_size):
        images = ops.convert_to_numpy(images)
        parts = [
            keras.tree.map_structure(ops.convert_to_numpy, self._run(images[i : i + batch_size])) for i in range(0, len(images), batch_size)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _outputs(self, image):
        outputs = self(image, training=False)
        return {**outputs, "components": ops.matmul(outputs["features"], self.projection)}

    def signatures(self):
        """`serve`: features and probabilities; `transform`: the components of LDA beside them."""
        return {**super().signatures(), "transform": (self._outputs, self.input_fields())}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {"num_classes": 3, "input_shape": (18, 19, 2), "width": 0.0625, "dropout": 0.25, "regularization": 1e-2, "epsilon": 2.0}

    def example_calls(self):
        """A small valid call of every verb."""
        data, images = self.example_data(batch_size=6), self.example_inputs()
        data["y"] = np.arange(6) % self.num_classes
        verbs = {"fit_lda": {**data, "batch_size": 4}, "transform": {"images": images, "batch_size": 1}, "classify": {"images": images}}
        return {**super().example_calls(), **verbs}

    @classmethod
    def search_space(cls, hp):
        """Width, dropout, band of eigenvalues, regularisation and learning rate."""
        return {
            "width": hp.Float("width", 0.125, 1.0, sampling="log"),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "epsilon": hp.Float("epsilon", 0.1, 10.0, sampling="log"),
            "regularization": hp.Float("regularization", 1e-4, 1e-1, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-2, 3e-1, sampling="log"),
        }


class _FitLDA(keras.callbacks.Callback):
    """Fits the classifier before each validation and after training."""

    def __init__(self, x, y, steps):
        super().__init__()
        self.x, self.y, self.steps = x, y, steps

    def on_train_begin(self, logs=None):
        self.fitting = self.y is not None or not hasattr(self.x, "__next__")
        if not self.fitting:
            warnings.warn("A generator cannot be read twice: call `fit_lda` after `fit`.", stacklevel=2)

    def on_test_begin(self, logs=None):
        self._fit()

    def on_train_end(self, logs=None):
        self._fit()

    def _fit(self):
        if self.fitting:
            self.model.fit_lda(self.x, self.y, self.steps)


class _Halving(keras.callbacks.Callback):
    """Halves the learning rate every few epochs, unless it has a schedule of its own."""

    def __init__(self, every):
        super().__init__()
        self.every = every

    def on_epoch_begin(self, epoch, logs=None):
        rate = self.model.optimizer.learning_rate
        if epoch > 0 and epoch % self.every == 0 and isinstance(rate, keras.Variable):
            rate.assign(rate / 2)


def _without_validation(x, y, split):
    """Arrays without the last part, which Keras takes for validation."""
    if y is None or not split:
        return x, y
    kept = int(len(x) * (1 - split))
    return x[:kept], y[:kept]
