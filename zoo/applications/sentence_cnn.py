"""A convolutional network over word vectors that classifies sentences: filters of several widths, pooled over time.

Papers: Kim 2014, "Convolutional Neural Networks for Sentence Classification", arXiv 1408.5882 (the network and its channels);
Zhang, Wallace 2015, "A Sensitivity Analysis of (and Practitioners' Guide to) Convolutional Neural Networks for Sentence Classification",
arXiv 1510.03820 (which of its settings matter; `zoo.tuning.sensitivity` repeats that study on any data).

Shapes: word ids `(batch, length)`, 0 for padding and 1 for an unknown word -> probabilities `(batch, num_classes)`.

Differences from the papers:
1. Filters see whole windows of a sentence only, and padding never wins or enters a pooling: the prediction does not depend on `length`.
   (The authors' code pads sentences with zeros that take part in the pooling.) A sentence shorter than a region is one window, filled up
   with zeros.
2. A region of `"multichannel"` has weights of its own for each channel, as a filter of an image has for each colour.
3. The norm constraint rescales the weight vector of each class whenever it is longer than `max_norm` after an update.
4. Without word vectors, which `load_word_vectors` takes, every table starts from U(-0.25, 0.25); `"static"` then keeps it so.
5. Weights of rectified and linear convolutions start from U(-0.01, 0.01), as in Kim's code, others from Glorot's distribution; so far apart
   they matter: from Glorot's, word vectors move first and the network learns its sentences by heart. The output, which starts at 0 there,
   starts from U(-0.01, 0.01) too. Biases start at 0.
"""

import warnings

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, Texts, checked
from zoo.families.text_classification import TextClassification
from zoo.families.word_vectors import WordVectors
from zoo.layers.one_hot_convolution import OneHotConvolution
from zoo.layers.sequence_pooling import MODES, SequencePooling
from zoo.text import PADDING, tokenize, word_vectorization

CHANNELS = ("rand", "static", "non-static", "multichannel", "one-hot")


def _cube(x):
    return x**3


def _tanh_cube(x):
    return ops.tanh(x**3 + x)


# the activations of the study; any other is looked up in Keras
_ACTIVATIONS = {"identity": "linear", "cube": _cube, "tanh_cube": _tanh_cube}
STUDIED = ("relu", "tanh", "sigmoid", "softplus", "identity", "cube", "tanh_cube")


class SentenceCNN(WordVectors, TextClassification):
    """Kim's network with the options of Zhang and Wallace's study (arXiv 1510.03820).

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        num_classes: number of classes.
        class_names: list of names for `classify`, or `None`.
        length: words read of a text.
        embedding_size: size of a word vector.
        channels: `"rand"`: word vectors are drawn and learned. `"static"`: they are given and stay. `"non-static"`: given, then tuned.
            `"multichannel"`: both, side by side. `load_word_vectors` gives them. `"one-hot"`: no word vectors, a filter has a weight for
            every word at each of its places (section 4.2 of the study); `embedding_size` is ignored.
        region_sizes: list of widths of the filters, in words.
        feature_maps: number of filters of each width.
        activation: `"relu"`, `"tanh"`, `"sigmoid"`, `"softplus"`, `"identity"`, `"cube"`, `"tanh_cube"`, or another name that Keras knows.
        pooling: `"max"` (1-max), `"k_max"`, `"average"` or `"local_max"`, see `zoo.layers.SequencePooling`.
        pool_size: k of `"k_max"`, words of a region of `"local_max"`; ignored by the others.
        dropout: rate on the pooled features.
        max_norm: largest norm of the output weights of a class, or `None`.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or `length` is too small for a region or `pool_size`.
    """

    def __init__(
        self,
        vocabulary,
        num_classes=2,
        class_names=None,
        length=56,
        embedding_size=300,
        channels="non-static",
        region_sizes=(3, 4, 5),
        feature_maps=100,
        activation="relu",
        pooling="max",
        pool_size=5,
        dropout=0.5,
        max_norm=3.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("channels", channels, CHANNELS), ("pooling", pooling, MODES)):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
        if not len(region_sizes) or min(region_sizes) < 1:
            raise ValueError(f"`region_sizes` must be a list of one or more positive numbers. Received: {region_sizes}")
        least = max(region_sizes) + (pool_size - 1 if pooling == "k_max" else 0)
        if length < least:
            raise ValueError(f"`length` must be at least {least} for these `region_sizes`, `pooling` and `pool_size`. Received: {length}")
        self._set_classes(num_classes, class_names)
        self.vocabulary, self.length, self.embedding_size, self.channels = vocabulary, length, embedding_size, channels
        self.region_sizes, self.feature_maps, self.activation = region_sizes, feature_maps, activation
        self.pooling, self.pool_size, self.dropout, self.max_norm = pooling, pool_size, dropout, max_norm
        self.vectorization = word_vectorization(vocabulary, length)
        self.num_symbols = len(vocabulary) + 2
        self.regions = self._build_regions()
        self.head = self._build_head()
        if channels == "multichannel":
            self.regions.get_layer("static_vectors").set_weights(self.regions.get_layer("vectors").get_weights())
        # what the tables were drawn as, where others are expected
        self._random_start = None if channels in ("rand", "one-hot") else _fingerprint(self._word_tables())
        self._contribute = autodiff.compiled(self._contributions, self)
        self.compile()

    def _build_regions(self):
        """Ids -> feature maps of each region size, a list of `(batch, length - size + 1, feature_maps)` (equations 1 and 2 of Kim)."""
        words = keras.Input((self.length,), dtype="int32", name="words")
        present = ops.expand_dims(words != PADDING, -1)
        activation = _ACTIVATIONS.get(self.activation, self.activation)
        if self.channels == "one-hot":
            maps = [
                OneHotConvolution(self.num_symbols, self.feature_maps, size, activation, self._start(), name=f"region{i}")(words)
                for i, size in enumerate(self.region_sizes)
            ]
            return keras.Model(words, maps, name="regions")
        tables = {"static": ["static_vectors"], "multichannel": ["vectors", "static_vectors"]}.get(self.channels, ["vectors"])
        channels = []
        for name in tables:
            initializer = keras.initializers.RandomUniform(-0.25, 0.25)
            table = layers.Embedding(self.num_symbols, self.embedding_size, initializer, name=name, trainable=name == "vectors")
            vectors = table(words)
            # an absent word is the zero vector, whatever the table's row of the padding
            channels.append(vectors * ops.cast(present, vectors.dtype))
        x = ops.concatenate(channels, axis=-1) if len(channels) > 1 else channels[0]
        maps = []
        for i, size in enumerate(self.region_sizes):
            maps.append(
                layers.Conv1D(self.feature_maps, size, activation=activation, kernel_initializer=self._start(), name=f"region{i}")(x)
            )
        return keras.Model(words, maps, name="regions")

    def _start(self):
        """Of the weights of a convolution, see difference 5."""
        if self.activation in ("relu", "identity", "linear"):
            return keras.initializers.RandomUniform(-0.01, 0.01)
        return keras.initializers.GlorotUniform()

    def _build_head(self):
        """Feature maps and number of windows of each region size -> logits."""
        maps = [keras.Input(m.shape[1:], name=f"maps{i}") for i, m in enumerate(self.regions.outputs)]
        counts = keras.Input((len(maps),), dtype="int32", name="windows")
        pools = [SequencePooling(self.pooling, self.pool_size, name=f"pool{i}")(m, counts[:, i]) for i, m in enumerate(maps)]
        x = layers.Concatenate(name="features")(pools) if len(pools) > 1 else pools[0]
        x = layers.Dropout(self.dropout, name="dropout")(x)
        # the kernel is (features, classes): the norm of a class's weights is that of a column
        constraint = None if self.max_norm is None else keras.constraints.MaxNorm(self.max_norm, axis=0)
        options = {"kernel_initializer": keras.initializers.RandomUniform(-0.01, 0.01), "kernel_constraint": constraint}
        logits = layers.Dense(self.num_classes, **options, dtype="float32", name="logits")(x)
        return keras.Model([*maps, counts], logits, name="head")

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of word ids `(batch, length)`."""
        return ops.softmax(self.head([*self._maps(x), self._windows(x)], training=training), axis=-1)

    def _maps(self, x):
        maps = self.regions(x)
        return maps if isinstance(maps, (list, tuple)) else [maps]

    def _windows(self, x):
        """Windows of each region size in each text, `(batch, regions)`; a text shorter than the region has one."""
        words = ops.max(ops.where(x != PADDING, ops.arange(1, self.length + 1), 0), axis=1)
        return ops.maximum(words[:, None] - ops.convert_to_tensor(np.array(self.region_sizes, "int32")) + 1, 1)

    # --- learning ---

    def default_optimizer(self):
        """Adadelta with decay 0.95, epsilon 1e-6 and no other rate, as in the authors' code; batches have 50 sentences."""
        return keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-6)

    def load_word_vectors(self, words, vectors=None, seed=0):
        """As in `zoo.families.word_vectors.WordVectors`; the channels must not be `"rand"` or `"one-hot"`."""
        if self.channels in ("rand", "one-hot"):
            raise ValueError(f"`channels` must be 'static', 'non-static' or 'multichannel' to load vectors. Received: {self.channels!r}")
        return super().load_word_vectors(words, vectors, seed)

    def _word_tables(self):
        return [layer.embeddings for layer in self.regions.layers if isinstance(layer, layers.Embedding)]

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`; warns if word vectors should have been given and are still the random ones of the start."""
        if self._random_start is not None and self._random_start == _fingerprint(self._word_tables()):
            warnings.warn(
                f"channels={self.channels!r} without `load_word_vectors` starts from random word vectors, which are the papers' "
                "channels='rand'" + (" and here are never learned" if self.channels == "static" else ""),
                stacklevel=2,
            )
        return super().fit(x, y, *args, **kwargs)

    @classmethod
    def example_config(cls):
        """A few words, two channels, and poolings over several places."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "num_classes": 3,
            "class_names": ["x", "y", "z"],
            "length": 12,
            "embedding_size": 6,
            "channels": "multichannel",
            "region_sizes": [2, 3],
            "feature_maps": 4,
            "activation": "tanh",
            "pooling": "k_max",
            "pool_size": 3,
            "dropout": 0.3,
            "max_norm": 2.0,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        without = {"load_word_vectors": None} if self.channels in ("rand", "one-hot") else {}
        return {**super().example_calls(), **without, "highlights": {"texts": ["the cat sat"], "top": 2, "label": 1}}

    @classmethod
    def search_space(cls, hp):
        """What the study varied: one to three neighbouring region sizes, maps, activation, pooling, dropout and norm constraint."""
        largest, number = hp.Int("largest_region", 3, 25, sampling="log"), hp.Int("regions", 1, 3)
        return {
            "region_sizes": list(range(largest - number + 1, largest + 1)),
            "feature_maps": hp.Choice("feature_maps", [10, 50, 100, 200, 400, 600]),
            "activation": hp.Choice("activation", list(STUDIED)),
            "pooling": hp.Choice("pooling", list(MODES)),
            "dropout": hp.Float("dropout", 0.0, 0.9, step=0.1),
            "max_norm": hp.Choice("max_norm", [1.0, 3.0, 10.0, 30.0]),
        }

    # --- verbs ---

    @checked
    def highlights(self, texts: Texts, top: Count = 5, label: Index | None = None) -> list:
        """The n-grams that speak for a class.

        The logit of a class is its bias plus a contribution of each window: the sum over the maps of activation times its weight, for
        the windows that the pooling picked.

        Args:
            texts: list of strings.
            top: n-grams of each text.
            label: number of the class; `None` means the predicted one.

        Returns:
            For each text a list of (n-gram, contribution to the logit), the largest first; windows that contribute nothing are left out.

        Raises:
            ValueError: if `texts` is no list of strings, or there is no such class.
        """
        ids = self.encode(texts)
        if label is not None:
            arguments.count("label", label, 0, self.num_classes - 1)
        wanted = ops.convert_to_numpy(self._classify(ids)).argmax(-1) if label is None else np.full(len(ids), label)
        contributions = [ops.convert_to_numpy(c) for c in self._contribute(ids, wanted.astype("int32"))]
        found = []
        for row, words in enumerate(tokenize(texts)):
            words = words[: self.length]
            phrases = [
                (" ".join(words[start : start + size]), float(value))
                for size, values in zip(self.region_sizes, contributions)
                for start, value in enumerate(values[row])
                if value != 0
            ]
            found.append(sorted(phrases, key=lambda pair: -pair[1])[:top])
        return found

    def _contributions(self, ids, label):
        """Contribution of each window to the logit of `label`: a list of `(batch, windows)`, one a region size. It adds up, since every
        pooling is linear in the values that it keeps."""
        maps, windows = self._maps(ids), self._windows(ids)
        wanted = ops.one_hot(label, self.num_classes)
        gradients = autodiff.grad(lambda m: ops.sum(self.head([*m, windows], training=False) * wanted), maps)
        return [ops.sum(ops.cast(g, "float32") * ops.cast(m, "float32"), axis=-1) for g, m in zip(gradients, maps)]


def _fingerprint(tables):
    """A number that other tables hardly share."""
    return float(sum(ops.convert_to_numpy(ops.sum(ops.abs(ops.cast(table, "float32")))) for table in tables))
