"""Dynamic capacity network: a cheap network looks everywhere, an expensive one only at the few patches that could change the answer.

Paper: Almahairi, Ballas, Cooijmans, Zheng, Larochelle, Courville 2015, "Dynamic Capacity Networks", arXiv 1511.07838.
The coarse layers make a map of vectors. Where the entropy of the prediction made from it has the steepest gradient, the fine layers make
the vector anew from the patch of the image that it sees, and the top layers, shared by both, predict from the refined map.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, classes)`.

Differences from the paper:
1. Layers are convolutions with strides; the paper's fine layers pool. The image is padded with zeros once, so that the map has one vector
   for each `stride` pixels and a patch gives the very vector that the whole image would.
2. Top layers end with a global maximum and one softmax; the recurrent output of the paper's house numbers is left out.
3. The hint is summed over positions and averaged over images, with a weight of 0.1.
4. Layers are normalised by default; while training, fine layers take their statistics from the patches that they see. Saliency comes from
   a pass with the moving statistics.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff
from zoo.arguments import Inputs, checked
from zoo.model import Field, Model


class DynamicCapacityNet(Model):
    """A classifier that spends its capacity on a few patches of the image; `fit(image, label)`.

    Layers are given as `(filters, kernel, stride)`. Coarse and fine layers must have the same stride in all and end with as many filters.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes.
        coarse: layers of the cheap network, run on the whole image.
        fine: layers of the expensive one, run on patches as large as what one of its vectors sees.
        top: layers from the map to the prediction, before the global maximum.
        patches: positions that the fine layers refine; 0 makes the coarse model, `None` the fine model, which looks everywhere.
        hint: weight of the squared distance between coarse and fine vectors at these positions, which teaches the coarse layers alone.
        batch_normalization: whether to normalise behind each convolution.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "probabilities"

    def __init__(
        self,
        image_shape=(100, 100, 1),
        num_classes=10,
        coarse=((12, 7, 2), (24, 3, 2)),
        fine=((24, 3, 1), (24, 3, 1), (24, 3, 2), (24, 3, 1), (24, 3, 2)),
        top=((96, 4, 2),),
        patches=8,
        hint=0.1,
        batch_normalization=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.coarse, self.fine, self.top = ([tuple(layer) for layer in stack] for stack in (coarse, fine, top))
        self.patches, self.hint, self.batch_normalization = patches, hint, batch_normalization
        self._check_arguments()
        channels = self.image_shape[-1]
        self.coarse_layers = _stack(self.coarse, channels, batch_normalization, "coarse")
        self.fine_layers = _stack(self.fine, channels, batch_normalization, "fine")
        self.top_layers = self._build_top()
        self._attend = autodiff.compiled(self._attended, self)
        self._run_coarse = autodiff.compiled(lambda image: self._everywhere(self.coarse, self.coarse_layers, image), self)
        self._run_fine = autodiff.compiled(lambda image: self._everywhere(self.fine, self.fine_layers, image), self)
        self.compile()

    def _build_top(self):
        """Shared by coarse and refined maps; the logits are float32."""
        features = keras.Input((*self.map_size, self.coarse[-1][0]), name="features")
        x = _convolutions(features, self.top, self.batch_normalization, "top")
        x = layers.GlobalMaxPooling2D(name="top_maximum")(x)
        return keras.Model(features, layers.Dense(self.num_classes, dtype="float32", name="logits")(x), name="top")

    def _check_arguments(self):
        if len(self.image_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in self.image_shape):
            raise ValueError(f"`image_shape` must be (height, width, channels). Received: {self.image_shape}")
        if not isinstance(self.num_classes, int) or self.num_classes < 2:
            raise ValueError(f"`num_classes` must be a whole number of at least 2. Received: {self.num_classes}")
        for name in ("coarse", "fine", "top"):
            stack = getattr(self, name)
            if not stack or not all(len(layer) == 3 and layer[0] > 0 and layer[1] >= layer[2] > 0 for layer in stack):
                raise ValueError(f"`{name}` must hold (filters, kernel, stride) with kernels of at least the stride. Received: {stack}")
        if (_stride(self.coarse), self.coarse[-1][0]) != (_stride(self.fine), self.fine[-1][0]):
            raise ValueError(
                "`fine` must have the stride and the last filters of `coarse`. "
                f"Received: {_stride(self.fine)}, {self.fine[-1][0]} against {_stride(self.coarse)}, {self.coarse[-1][0]}"
            )
        if _field(self.top) > min(self.map_size):
            raise ValueError(f"`top` must fit on the map of {self.map_size}. Received: layers that see {_field(self.top)} vectors")
        if self.patches is not None and not (isinstance(self.patches, int) and 0 <= self.patches <= math.prod(self.map_size)):
            raise ValueError(f"`patches` must be None or from 0 to {math.prod(self.map_size)}. Received: {self.patches}")
        if self.hint < 0:
            raise ValueError(f"`hint` must not be negative. Received: {self.hint}")

    # --- sizes and costs ---

    @property
    def map_size(self):
        """Height and width of the map of vectors."""
        return tuple(math.ceil(n / _stride(self.coarse)) for n in self.image_shape[:2])

    @property
    def patch_size(self):
        """Side of a patch in pixels: what one vector of the fine layers sees."""
        return _field(self.fine)

    def multiply_adds(self):
        """Multiply-adds of one image's prediction, counted from the layers.

        Returns:
            A dict: `"coarse"` and `"fine"` for each network on the whole image with the top layers; `"dynamic"` for the coarse network, its
            prediction, the gradient of the entropy (as many as the top layers once more), the patches, and the refined prediction.
        """
        padded = [(1, *(n + sum(pad) for n, pad in zip(self.image_shape, self._padding(stack)))) for stack in (self.coarse, self.fine)]
        channels, patch = self.image_shape[-1:], (1, self.patch_size, self.patch_size)
        coarse = _multiply_adds(self.coarse_layers, padded[0] + channels)
        fine = _multiply_adds(self.fine_layers, padded[1] + channels)
        top = _multiply_adds(self.top_layers, (1, *self.map_size, self.coarse[-1][0]))
        dynamic = coarse + 3 * top + (self.patches or 0) * _multiply_adds(self.fine_layers, patch + channels)
        return {"coarse": coarse + top, "fine": fine + top, "dynamic": dynamic}

    # --- the network ---

    def call(self, x, training=False):
        """Class probabilities `(batch, classes)` of images `(batch, height, width, channels)`."""
        if self.patches is None:
            return self._everywhere(self.fine, self.fine_layers, x, training)
        if self.patches == 0:
            return self._everywhere(self.coarse, self.coarse_layers, x, training)
        return ops.softmax(self._refine(x, training)["logits"])

    def _everywhere(self, stack, network, image, training=False):
        """Prediction from one network on the whole image."""
        return ops.softmax(self.top_layers(network(self._padded(image, stack), training=training), training=training))

    def _refine(self, image, training=False):
        """Coarse map, saliency, patches, refined map; vectors at the chosen positions are `(batch, patches, filters)`."""
        features = self.coarse_layers(self._padded(image, self.coarse), training=training)
        saliency = self._saliency(features)
        positions = ops.top_k(ops.reshape(saliency, (-1, math.prod(self.map_size))), self.patches)[1]
        patches = self._cut(image, positions)
        fine = self.fine_layers(ops.reshape(patches, (-1, *patches.shape[2:])), training=training)
        fine = ops.reshape(fine, (-1, self.patches, fine.shape[-1]))
        chosen = ops.one_hot(positions, math.prod(self.map_size), dtype=fine.dtype)
        refined, coarse = _replace(features, chosen, fine)
        logits = self.top_layers(refined, training=training)
        return {"logits": logits, "saliency": saliency, "positions": positions, "patches": patches, "fine": fine, "coarse": coarse}

    def _saliency(self, features):
        """Norm of the gradient of the prediction's entropy with respect to each vector, `(batch, height, width)`."""

        def entropy(vectors):
            log_p = ops.log_softmax(ops.cast(self.top_layers(vectors, training=False), "float32"))
            return -ops.sum(ops.exp(log_p) * log_p)

        gradient = ops.cast(autodiff.grad(entropy, ops.stop_gradient(features)), "float32")
        return ops.stop_gradient(ops.sqrt(ops.sum(gradient**2, axis=-1)))

    def _padding(self, stack):
        """Zeros before and behind each axis, so that the layers give exactly `map_size` vectors."""
        total = [(m - 1) * _stride(stack) + _field(stack) - n for m, n in zip(self.map_size, self.image_shape)]
        return [(pad // 2, pad - pad // 2) for pad in total]

    def _padded(self, image, stack):
        return ops.pad(image, ((0, 0), *self._padding(stack), (0, 0)))

    def _cut(self, image, positions):
        """The patches behind positions of the map, in one gather: `(batch, patches, side, side, channels)`."""
        padded = self._padded(image, self.fine)
        _, height, width, channels = padded.shape
        stride, columns, side = _stride(self.fine), self.map_size[1], np.arange(self.patch_size, dtype="int32")
        positions = ops.cast(positions, "int32")
        corner = positions // columns * stride * width + positions % columns * stride
        first = ops.arange(ops.shape(image)[0], dtype="int32")[:, None] * (height * width)
        index = (first + corner)[..., None, None] + (side[:, None] * width + side)
        return ops.take(ops.reshape(padded, (-1, channels)), index, axis=0)

    # --- learning ---

    def input_fields(self):
        """An image of the fixed size."""
        return [Field("image", self.image_shape)]

    def target_fields(self):
        """A class index."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_metrics(self):
        """Accuracy."""
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy of the refined prediction, and while training the hint."""
        loss = ops.cast(keras.losses.sparse_categorical_crossentropy(ops.reshape(y, (-1,)), y_pred), "float32")
        if training and self.patches and self.hint:
            # the layers keep what the forward pass noted; the compiler finds that it has computed all this already
            with autodiff.Scope():
                found = self._refine(x, training)
            distance = ops.cast(found["coarse"], "float32") - ops.stop_gradient(ops.cast(found["fine"], "float32"))
            loss = loss + self.hint * ops.sum(distance**2, axis=(1, 2))
        if sample_weight is not None:
            loss = loss * ops.cast(ops.reshape(sample_weight, (-1,)), loss.dtype)
        return ops.mean(loss)

    # --- use ---

    @checked
    def attend(self, images: Inputs):
        """Where the network looks.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            A dict of arrays: `saliency` of each vector `(batch, map height, map width)`; `positions` `(batch, patches, 2)`, row and column
            on the map, the most salient first; `corners` `(batch, patches, 2)`, row and column of the patch's first pixel in the image,
            which may lie outside; the `patches` themselves `(batch, patches, side, side, channels)`.

        Raises:
            ValueError: if the images are not what the model takes, or the model attends to no single patch (`patches` of 0 or `None`).
        """
        if not self.patches:
            raise ValueError(f"`patches` must be at least 1 to attend. Received: {self.patches}")
        return {key: ops.convert_to_numpy(value) for key, value in self._attend(_tensor(images)).items()}

    @checked
    def predict_coarse(self, images: Inputs):
        """Class probabilities `(batch, classes)` from the coarse layers alone, without refinement.

        Args:
            images: `(batch, height, width, channels)`.

        Raises:
            ValueError: if the images are not what the model takes.
        """
        return ops.convert_to_numpy(self._run_coarse(_tensor(images)))

    @checked
    def predict_fine(self, images: Inputs):
        """Class probabilities `(batch, classes)` from the fine layers on the whole image.

        Args:
            images: `(batch, height, width, channels)`.

        Raises:
            ValueError: if the images are not what the model takes.
        """
        return ops.convert_to_numpy(self._run_fine(_tensor(images)))

    def _attended(self, image):
        found = self._refine(image)
        columns, before = self.map_size[1], np.array([pad[0] for pad in self._padding(self.fine)], "int32")
        positions = ops.cast(found["positions"], "int32")
        positions = ops.stack([positions // columns, positions % columns], axis=-1)
        corners = positions * _stride(self.fine) - before
        return {"saliency": found["saliency"], "positions": positions, "corners": corners, "patches": found["patches"]}

    def signatures(self):
        """`serve`, and `attend` with saliency, positions, corners and patches where the model attends."""
        attend = {"attend": (self._attended, self.input_fields())} if self.patches else {}
        return {**super().signatures(), **attend}

    def example_calls(self):
        """A small valid call of every verb."""
        images = {"images": self.example_inputs()}
        own = {"multiply_adds": {}, "attend": images if self.patches else None, "predict_coarse": images, "predict_fine": images}
        return {**super().example_calls(), **own}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        small = {"image_shape": (14, 17, 2), "num_classes": 3, "coarse": [[6, 5, 4]], "fine": [[5, 3, 2], [6, 3, 2]], "top": [[7, 2, 1]]}
        return {**small, "patches": 3, "hint": 0.5, "batch_normalization": False}

    @classmethod
    def search_space(cls, hp):
        """Number of patches, weight of the hint, learning rate."""
        return {
            "patches": hp.Int("patches", 1, 12),
            "hint": hp.Float("hint", 1e-3, 1.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }


def _stack(stack, channels, batch_normalization, name):
    """Layers that take an image or a patch of any size."""
    image = keras.Input((None, None, channels), name="image")
    return keras.Model(image, _convolutions(image, stack, batch_normalization, name), name=name)


def _convolutions(x, stack, batch_normalization, name):
    for i, (filters, kernel, stride) in enumerate(stack):
        x = layers.Conv2D(filters, kernel, stride, use_bias=not batch_normalization, kernel_initializer="he_normal", name=f"{name}{i}")(x)
        x = layers.BatchNormalization(name=f"{name}{i}_norm")(x) if batch_normalization else x
        x = layers.ReLU(name=f"{name}{i}_relu")(x)
    return x


def _replace(features, chosen, vectors):
    """Put vectors into a map; gradients go to them at the chosen positions, and to the map elsewhere.

    Args:
        features: `(batch, height, width, filters)`.
        chosen: one-hot positions `(batch, patches, height * width)`.
        vectors: `(batch, patches, filters)`.

    Returns:
        The refined map, and the map's own vectors at these positions `(batch, patches, filters)`.
    """
    _, height, width, filters = features.shape
    flat = ops.reshape(features, (-1, height * width, filters))
    spared = 1 - ops.sum(chosen, axis=1)[..., None]
    refined = spared * flat + ops.matmul(ops.swapaxes(chosen, 1, 2), vectors)
    return ops.reshape(refined, (-1, height, width, filters)), ops.matmul(chosen, flat)


def _stride(stack):
    return math.prod(layer[2] for layer in stack)


def _field(stack):
    """Pixels across that one output of the layers sees."""
    seen = 1
    for _, kernel, stride in reversed(stack):
        seen = (seen - 1) * stride + kernel
    return seen


def _multiply_adds(network, shape):
    """Multiply-adds of the convolutions and dense layers of a chain, for an input `(1, height, width, channels)`."""
    total = 0
    for layer in network.layers[1:]:
        shape = layer.compute_output_shape(shape)
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            total += math.prod(shape[1:-1]) * math.prod(layer.kernel.shape)
    return total


def _tensor(images):
    return ops.convert_to_tensor(np.asarray(images), "float32")
