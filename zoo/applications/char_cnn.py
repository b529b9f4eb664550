"""A deep convolutional network that classifies texts from their characters alone: it knows of no words.

Papers: Zhang, LeCun 2015, "Text Understanding from Scratch", arXiv 1502.01710; Zhang, Zhao, LeCun 2015, "Character-level Convolutional
Networks for Text Classification", arXiv 1509.01626.

Shapes: character ids `(batch, length)`, 0 for padding and 1 for a character outside the alphabet -> probabilities `(batch, num_classes)`.
The ids become one-hot vectors inside the graph, so that a text crosses to the device as integers. Padding and characters outside the
alphabet, blanks among them, are zero vectors.

Differences from the papers:
1. The alphabet has 69 characters: the papers count 70, since their list holds the hyphen twice.
2. Of a longer text the first `length` characters are read. The papers leave open which; the authors' code cuts to the first while it
   trains, and reads the last in the test. The order is the papers': the last character read comes first (`backward`).
3. The learning rate is halved after every 15,000 updates, which are 3 of the papers' epochs of 5000 minibatches, whatever an epoch of `fit`
   is. On little data it hardly ever is: give `compile` another rate.
4. Beside synonyms (`zoo.text.replace_synonyms`, on the host) there is dropout of characters, which needs no thesaurus and no language.
5. Any length from 123 is taken. Of one that is not 27 n + 96 (1014 is) the pools leave out up to 26 characters at the end.
6. Adam at 0.001 is the default. The papers' gradient descent, `compile(keras.optimizers.SGD(0.01, momentum=0.9))`, does not leave chance
   within a hundred batches, where Adam does; the papers have millions of texts and days.
"""

import keras
from keras import layers, ops

from zoo.callbacks.halving import Halving
from zoo.families.text_classification import TextClassification
from zoo.layers.symbol_dropout import SymbolDropout
from zoo.text import ALPHABET, PADDING, UNKNOWN, char_vectorization

# feature maps, units of each hidden layer, standard deviation of the initial weights (tables 1 and 2)
SIZES = {"small": (256, 1024, 0.05), "large": (1024, 2048, 0.02)}
# (kernel, pool) of each convolution; pool 1 means none
CONVOLUTIONS = ((7, 3), (7, 3), (3, 1), (3, 1), (3, 1), (3, 3))
# minibatches of an epoch, of which the learning rate's schedule speaks (the authors' code)
EPOCH = 5000


class CharCNN(TextClassification):
    """Character-level convolutional network (Zhang and LeCun 2015, arXiv 1502.01710).

    Args:
        num_classes: number of classes.
        class_names: list of names for `classify`, or `None`.
        alphabet: string or list of different characters in lower case; the papers' by default.
        length: characters read of a text.
        size: `"small"` or `"large"`, which sets `features`, `units` and `stddev` where they are `None`.
        features: feature maps of each convolution (256 or 1024).
        convolutions: list of (kernel, pool), one a convolution; pool 1 means none.
        units: units of the hidden layers; a number means two of that size (1024 or 2048), a list one of each.
        dropout: rate after each hidden layer.
        stddev: of the normal initial weights (0.05 or 0.02).
        backward: whether the network reads the text from its end, as in the papers.
        symbol_dropout: rate at which characters become blanks in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or nothing is left of `length` after the convolutions.
    """

    symbols = "characters"

    def __init__(
        self,
        num_classes=2,
        class_names=None,
        alphabet=ALPHABET,
        length=1014,
        size="small",
        features=None,
        convolutions=CONVOLUTIONS,
        units=None,
        dropout=0.5,
        stddev=None,
        backward=True,
        symbol_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size not in SIZES:
            raise ValueError(f"`size` must be one of {list(SIZES)}. Received: {size!r}")
        if not len(convolutions) or any(len(block) != 2 or min(block) < 1 for block in convolutions):
            raise ValueError(f"`convolutions` must be a list of (kernel, pool), both at least 1. Received: {convolutions}")
        least = _least_length(convolutions)
        if length < least:
            raise ValueError(
                f"`length` must be at least {least}, of which these `convolutions` leave one frame; the papers' leave (length - 96) / 27, "
                f"34 of 1014. Received: {length}"
            )
        if len(alphabet) != len(set(alphabet)) or any(len(c) != 1 or c != c.lower() for c in alphabet):
            raise ValueError(f"`alphabet` must hold different single characters in lower case. Received: {alphabet!r}")
        self._set_classes(num_classes, class_names)
        self.alphabet, self.length, self.size, self.features = alphabet, length, size, features
        self.convolutions, self.units, self.dropout, self.stddev = convolutions, units, dropout, stddev
        self.backward, self.symbol_dropout = backward, symbol_dropout
        self.vectorization = char_vectorization(alphabet, length)
        self.num_symbols = len(alphabet) + 2
        self.network = self._build_network()
        self.compile()

    def _build_network(self):
        features, units, stddev = (own if own is not None else default for own, default in zip(self._own_sizes(), SIZES[self.size]))

        def normal():
            return keras.initializers.RandomNormal(stddev=stddev)

        characters = keras.Input((self.length,), dtype="int32", name="characters")
        # the layers of ids keep float32, which has nothing to do with ids but would round them as float16
        ids = SymbolDropout(self.symbol_dropout, UNKNOWN, PADDING, dtype="float32", name="symbol_dropout")(characters)
        x = Quantization(len(self.alphabet), self.backward, name="quantization")(ids)
        for i, (kernel, pool) in enumerate(self.convolutions):
            x = layers.Conv1D(features, kernel, activation="relu", kernel_initializer=normal(), name=f"conv{i}")(x)
            x = layers.MaxPooling1D(pool, name=f"pool{i}")(x) if pool > 1 else x
        x = layers.Flatten(name="flatten")(x)
        for i, width in enumerate([units, units] if isinstance(units, int) else units):
            x = layers.Dense(width, "relu", kernel_initializer=normal(), name=f"hidden{i}")(x)
            x = layers.Dropout(self.dropout, name=f"dropout{i}")(x)
        x = layers.Dense(self.num_classes, kernel_initializer=normal(), dtype="float32", name="logits")(x)
        return keras.Model(characters, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _own_sizes(self):
        return self.features, self.units, self.stddev

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of character ids `(batch, length)`."""
        return self.network(x, training=training)

    # --- learning ---

    def default_optimizer(self):
        """Adam; the papers' gradient descent stays at chance for long on little data, see difference 6. Batches have 128 texts."""
        return keras.optimizers.Adam(1e-3)

    def default_callbacks(self):
        """The learning rate is halved every 3 of the papers' epochs, 10 times."""
        return [Halving(3 * EPOCH, times=10)]

    @classmethod
    def example_config(cls):
        """A short text, two convolutions, and the options that are not the default."""
        return {
            "num_classes": 3,
            "class_names": ["x", "y", "z"],
            "alphabet": "abcdeht,é",
            "length": 20,
            "size": "large",
            "features": 6,
            "convolutions": [[4, 2], [3, 1]],
            "units": [8, 7],
            "dropout": 0.2,
            "stddev": 0.3,
            "backward": False,
            "symbol_dropout": 0.1,
        }

    @classmethod
    def search_space(cls, hp):
        """Feature maps, units, rates of dropout, and learning rate."""
        return {
            "features": hp.Choice("features", [64, 128, 256, 512]),
            "units": hp.Choice("units", [128, 256, 512, 1024]),
            "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1),
            "symbol_dropout": hp.Float("symbol_dropout", 0.0, 0.3, step=0.05),
            "learning_rate": hp.Float("learning_rate", 1e-3, 3e-2, sampling="log"),
        }


@keras.saving.register_keras_serializable("zoo")
class Quantization(layers.Layer):
    """Ids of characters as one-hot vectors; padding and unknown characters are zero.

    Args:
        characters: number of characters of the alphabet.
        backward: whether the last character comes first; padding stays at the end.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, characters, backward=False, **kwargs):
        super().__init__(**kwargs)
        self.characters, self.backward = characters, backward

    def call(self, ids):
        """From `(batch, length)` to `(batch, length, characters)`."""
        if self.backward:
            place = ops.arange(ids.shape[1])
            count = ops.max(ops.where(ids != PADDING, place + 1, 0), axis=1, keepdims=True)
            # a permutation: the text backward, then what lies behind its end
            ids = ops.take_along_axis(ids, (count - 1 - place) % ids.shape[1], axis=1)
        # negative ids have no place in the vector
        return ops.one_hot(ids - UNKNOWN - 1, self.characters, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """One axis more."""
        return (*input_shape, self.characters)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "characters": self.characters, "backward": self.backward}


def _least_length(convolutions):
    """The shortest text of which one frame is left."""
    length = 1
    for kernel, pool in reversed(convolutions):
        length = length * pool + kernel - 1
    return length
