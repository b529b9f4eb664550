"""DeepMask: proposes objects; for a patch, the mask of the object at its centre and a score that there is one.

Paper: Pinheiro, Collobert, Dollar 2015, "Learning to Segment Object Candidates", arXiv 1506.06204.

Shapes: patch `(batch, size, size, channels)` in [0, 1] -> log-odds `mask` `(batch, mask_size, mask_size)` and `score` `(batch,)`.
The network is convolutional: an image larger than a patch gives both for every patch, 16 pixels apart.

Differences from the paper:
1. The trunk starts from random weights unless it is named: the paper's is VGG-A trained on ImageNet, `trunk="vgg16"` comes closest.
2. The mask loss is taken at the head's `mask_size` (56), before the map is enlarged to the patch.
3. The score head pools with stride 1 and reads every second cell (a dilated convolution), which is what the paper's interleaving computes.
4. Images are centred by subtracting 0.5, and their border pixels are repeated for patches that reach beyond.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, trunks
from zoo.arguments import Count, Numbers, Share, checked
from zoo.decoding.boxes import nms_max
from zoo.model import Field, Model

_CHUNK = 32  # proposals whose masks are drawn in one run


class DeepMask(Model):
    """Class-agnostic object proposals with masks. The defaults are the paper's: VGG-A's eight convolutions and two heads.

    `fit(patches, {"mask": masks, "object": labels})`; `zoo.datasets.MaskPatches` draws them from images with instance masks. The mask of a
    patch without an object does not count.

    Args:
        size: side of a patch in pixels.
        in_channels: channels of the images.
        filters: channels of each 3 x 3 convolution of the trunk.
        pools: numbers of the convolutions (from 0) that a 2 x 2 max-pooling follows.
        mask_filters: channels of the mask head's 1 x 1 convolution.
        rank: rank of the linear classifiers of the mask's pixels.
        mask_size: side of the mask that the head gives.
        score_units: units of the score head's two layers.
        dropout: rate after each of them.
        score_weight: weight of the score's loss (lambda of equation 1).
        trunk: name of a network (`zoo.trunks.names()`) that takes the place of the convolutions, for images that are grey or red, green and
            blue; `pools` then only sets its stride. `None` is the paper's architecture with random weights.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the trunk.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        size=224,
        in_channels=3,
        filters=(64, 128, 256, 256, 512, 512, 512, 512),
        pools=(0, 1, 3, 5),
        mask_filters=512,
        rank=512,
        mask_size=56,
        score_units=(512, 1024),
        dropout=0.5,
        score_weight=1 / 32,
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if any(i not in range(len(filters)) for i in pools):
            raise ValueError(f"`pools` must hold numbers of convolutions, 0 to {len(filters) - 1}. Received: {pools}")
        if size < 1 or size % (2 * 2 ** len(pools)):
            raise ValueError(f"`size` must be a multiple of {2 * 2 ** len(pools)} with {len(pools)} poolings. Received: {size}")
        if min(in_channels, *filters, mask_filters, rank, mask_size, *score_units) < 1 or score_weight < 0:
            raise ValueError(f"`filters` and all sizes must be positive. Received: {filters}, mask_size={mask_size}, rank={rank}")
        self.size, self.in_channels, self.filters, self.pools = size, in_channels, filters, pools
        self.mask_filters, self.rank, self.mask_size, self.score_units = mask_filters, rank, mask_size, score_units
        self.dropout, self.score_weight = dropout, score_weight
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        self.network = self._build_network()
        self._run = autodiff.compiled(self._everywhere, self)
        self._paste = autodiff.compiled(_pasted, self)
        self.compile()

    def _build_network(self):
        """Figure 1, written as convolutions: masks and scores of all patches of an image."""
        image = keras.Input((None, None, self.in_channels), name="image")
        x, he = self._features(image), {"kernel_initializer": "he_normal"}
        side = self.size // self.stride
        mask = layers.Conv2D(self.mask_filters, 1, activation="relu", name="mask_conv", **he)(x)
        mask = layers.Conv2D(self.rank, side, name="mask_rank")(mask)
        mask = layers.Conv2D(self.mask_size**2, 1, dtype="float32", name="mask")(mask)
        # of the cells that pooling with stride 1 gives, a patch reads every second: those that stride 2 would give it
        score = layers.MaxPooling2D(2, 1, name="score_pool")(x)
        for i, (units, kernel, dilation) in enumerate(zip(self.score_units, (side // 2, 1), (2, 1)), start=1):
            score = layers.Conv2D(units, kernel, dilation_rate=dilation, activation="relu", name=f"score_dense{i}", **he)(score)
            score = layers.Dropout(self.dropout, name=f"score_dropout{i}")(score)
        return keras.Model(image, [mask, layers.Conv2D(1, 1, dtype="float32", name="score")(score)])

    def _features(self, image):
        if self.trunk is not None:
            return trunks.pyramid(self.trunk, self.trunk_weights, self.trunk_trainable, image, [self.stride])[self.stride]
        x = layers.Rescaling(1.0, -0.5, name="centre")(image)
        for i, filters in enumerate(self.filters):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"conv{i + 1}")(x)
            if i in self.pools:
                x = layers.MaxPooling2D(2, name=f"pool{i + 1}")(x)
        return x

    @property
    def stride(self):
        """Pixels between neighbouring patches of an image: 16 in the paper."""
        return 2 ** len(self.pools)

    def call(self, x, training=False):
        """Log-odds of patches: `mask` `(batch, mask_size, mask_size)` and `score` `(batch,)`, float32."""
        mask, score = self.network(x, training=training)
        return {"mask": ops.reshape(mask, (-1, self.mask_size, self.mask_size)), "score": ops.reshape(score, (-1,))}

    def _everywhere(self, images):
        """Log-odds of all patches of images: `(batch, rows, columns, mask_size, mask_size)` and `(batch, rows, columns)`."""
        mask, score = self.network(images, training=False)
        return ops.reshape(mask, (*ops.shape(mask)[:3], self.mask_size, self.mask_size)), score[..., 0]

    # --- learning ---

    def input_fields(self):
        """A patch."""
        return [Field("patch", (self.size, self.size, self.in_channels), "float32", 0, 1)]

    def target_fields(self):
        """The mask of the centred object, and whether there is one."""
        return [Field("mask", (self.mask_size, self.mask_size), "int32", 0, 1), Field("object", (), "int32", 0, 1)]

    def default_optimizer(self):
        """Stochastic gradient descent (section 5)."""
        return keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-5)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Equation 1: the mask's logistic loss where there is an object, and `score_weight` times that of the score.

        A sample's weight counts for both losses, a dict weights `mask` and `object` each.
        """
        sign = 2 * ops.cast(y["mask"], "float32") - 1
        there = ops.cast(y["object"], "float32")
        mask = ops.mean(ops.softplus(-sign * y_pred["mask"]), axis=(1, 2))
        score = ops.softplus((1 - 2 * there) * y_pred["score"])
        # Keras gives one weight a target
        of_mask, of_object = (1, 1) if sample_weight is None else (sample_weight["mask"], sample_weight["object"])
        return ops.mean(there * mask * of_mask + self.score_weight * score * of_object)

    # --- proposals ---

    @checked
    def propose(self, image: Numbers, n: Count = 100, scales: Numbers | None = None, threshold: Share = 0.2, overlap: Share | None = None):
        """The most likely objects of an image: the network runs over it in several scales, and the best patches give their masks.

        Args:
            image: `(height, width, channels)` in [0, 1], or `(height, width)` for one channel.
            n: largest number of proposals.
            scales: factors of the image's size; the paper's `2**-2, 2**-1.5 ... 2**1` unless given.
            threshold: probability from which a pixel belongs to the mask.
            overlap: proposals whose boxes overlap a better one by more are dropped; the paper keeps all (`None`).

        Returns:
            Masks `(k, height, width)` bool, their boxes `(k, 4)` float64 (`(left, top, right, bottom)` in pixels) and log-odds `(k,)`
            float32, best first; patches without any mask pixel give none.

        Raises:
            ValueError: if the image has another shape or range, or an argument is out of range.
        """
        image = image[..., None] if image.ndim == 2 and self.in_channels == 1 else image
        Field("image", (None, None, self.in_channels), "float32", 0, 1).check(image[None])
        arguments.number("threshold", threshold, above=0, high=1 - 1e-6)
        scales = 2.0 ** np.arange(-2, 1.01, 0.5) if scales is None else np.atleast_1d(scales)
        if np.ndim(scales) != 1 or min(scales) <= 0:
            arguments.refuse("scales", "positive numbers", scales)
        image, candidates = image.astype("float32"), n if overlap is None else 4 * n
        logits, squares, scores = (np.concatenate(arrays) for arrays in zip(*(self._best(image, s, candidates) for s in scales)))
        order = np.argsort(-scores, kind="stable")[:candidates]
        masks, scores = self._masks(logits[order], squares[order], image.shape[:2], threshold), scores[order]
        boxes, full = _boxes(masks)
        kept = np.flatnonzero(full)
        if overlap is not None:
            kept = kept[nms_max(boxes[kept], scores[kept], overlap)]
        return masks[kept[:n]], boxes[kept[:n]], scores[kept[:n]]

    def _best(self, image, scale, n):
        """Masks, squares in the image and scores of the best `n` patches in one scale."""
        size = [max(1, round(side * scale)) for side in image.shape[:2]]
        logits, scores = self._run(self._padded(image, size))
        # patches are centred at multiples of the stride; what lies beyond the image is padding
        rows, columns = ((side - 1) // self.stride + 1 for side in size)
        inside = ops.convert_to_numpy(scores)[0, :rows, :columns]
        best = np.argsort(-inside, axis=None, kind="stable")[:n]
        row, column = np.unravel_index(best, inside.shape)
        flat = ops.reshape(logits, (-1, self.mask_size, self.mask_size))
        chosen = ops.convert_to_numpy(ops.take(flat, row * scores.shape[2] + column, axis=0))
        centre = np.stack([column, row], 1) * self.stride
        factor = np.array([image.shape[1] / size[1], image.shape[0] / size[0]] * 2)
        squares = np.concatenate([centre - self.size / 2, centre + self.size / 2], 1) * factor
        return chosen, squares, inside[row, column]

    def _padded(self, image, size):
        """The image in `size` with half a patch around, and more below and to the right so that few graphs are compiled."""
        small = ops.image.resize(ops.convert_to_tensor(image[None]), size, antialias=True)
        half, step = self.size // 2, 8 * self.stride
        for axis, side in enumerate(size, start=1):
            place = np.clip(np.arange(-(-side // step) * step + self.size) - half, 0, side - 1)
            small = ops.take(small, place, axis=axis)
        return small

    def _masks(self, logits, squares, size, threshold):
        """Masks in the image's pixels, in chunks of one shape."""
        lines = [np.arange(side, dtype="float32") + 0.5 for side in size]
        cut = np.float32(np.log(threshold / (1 - threshold)))
        result = np.empty((len(logits), *size), bool)
        for start in range(0, len(logits), _CHUNK):
            part = slice(start, start + _CHUNK)
            missing = [(0, _CHUNK - len(logits[part]))]
            chunk = np.pad(logits[part], missing + [(0, 0)] * 2), np.pad(squares[part].astype("float32"), missing + [(0, 0)], "edge")
            found = ops.convert_to_numpy(self._paste(*map(ops.convert_to_tensor, (*chunk, *lines, cut))))
            result[part] = found[: len(logits[part])]
        return result

    # --- serving and search ---

    def signatures(self):
        """`serve` for patches; `dense` gives the probabilities of all patches of an image, without padding."""
        fields = [Field("image", (None, None, self.in_channels), "float32", 0, 1, example=(self.size, self.size + self.stride))]
        return {**super().signatures(), "dense": (self._dense, fields)}

    def _dense(self, image):
        mask, score = self._everywhere(image)
        return {"mask": ops.sigmoid(mask), "score": ops.sigmoid(score)}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "size": 32,
            "in_channels": 1,
            "filters": [4, 6, 6],
            "pools": [0, 1],
            "mask_filters": 5,
            "rank": 7,
            "mask_size": 12,
            "score_units": [6, 8],
            "dropout": 0.25,
            "score_weight": 0.25,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        image = self.example_inputs()[0]
        return {**super().example_calls(), "propose": {"image": image, "n": 2, "scales": [1.0], "threshold": 0.3, "overlap": 0.5}}

    @classmethod
    def search_space(cls, hp):
        """Rank of the mask's classifiers, dropout, weight of the score and learning rate, with small heads."""
        return {
            "filters": (16, 32, 48, 64),
            "pools": (0, 1, 2, 3),
            "mask_filters": 64,
            "rank": hp.Choice("rank", [32, 64, 128]),
            "score_units": (64, 64),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "score_weight": hp.Float("score_weight", 0.01, 1.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        }


def _pasted(logits, squares, rows, columns, cut):
    """Whether pixels of the image exceed the log-odds `cut`: maps `(k, m, m)`, enlarged bilinearly to their squares `(k, 4)`.

    `rows` and `columns` are the centres of the image's pixels. Bilinear interpolation is a product with a hat matrix on either side.
    """
    down, above = _hats(rows, squares[:, 1], squares[:, 3], logits.shape[-1])
    across, beside = _hats(columns, squares[:, 0], squares[:, 2], logits.shape[-1])
    enlarged = ops.matmul(ops.matmul(down, logits), ops.transpose(across, (0, 2, 1)))
    return ops.logical_and(enlarged >= cut, ops.logical_and(above[:, :, None], beside[:, None, :]))


def _hats(places, low, high, m):
    """Weights `(k, places, m)` of a map's cells at places of the image, and whether these lie inside the square."""
    share = (places[None, :] - low[:, None]) / (high - low)[:, None]
    cell = ops.clip(share * m - 0.5, 0, m - 1)
    hats = ops.maximum(1 - ops.abs(cell[:, :, None] - ops.arange(m, dtype="float32")), 0)
    return hats, ops.logical_and(share >= 0, share <= 1)


def _boxes(masks):
    """Smallest boxes around masks, and whether a mask has any pixel."""
    sides = []
    for axis in (1, 2):
        line = masks.any(axis)
        sides += [line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1)]
    return np.stack(sides, 1).astype("float64")[:, [0, 2, 1, 3]], masks.any((1, 2))
