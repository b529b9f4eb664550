"""Target-dependent LSTMs: what a text says about one of the things in it, read from both ends up to that thing.

Paper: Tang, Qin, Feng, Liu 2015, "Effective LSTMs for Target-Dependent Sentiment Classification", arXiv 1512.01100.

Shapes: word ids from the beginning up to the target `(batch, length)`, from the end back to it `(batch, length)`, and of the target
`(batch, target_length)`, 0 for padding and 1 for an unknown word -> probabilities `(batch, num_classes)`.

Differences from the paper:
1. Biases start at 0, that of the forget gate at 1 (Keras); the paper draws all parameters alike.
2. The gradient of every weight is clipped at norm 200, not that of the softmax layer alone.
3. The form of attention is our own: the paper tried attention, without success, and leaves its form open.
4. Adam at 0.001 is the default. The paper's gradient descent at 0.01, `compile(keras.optimizers.SGD(0.01, clipnorm=200.0))`, stands still
   for more epochs than anyone waits where weights start from the paper's U(-0.003, 0.003), on some ten thousand texts.
"""

import keras
from keras import layers, ops

from zoo import arguments, text
from zoo.arguments import Count, Rows, Texts, checked
from zoo.families.classification import Classifier
from zoo.families.word_vectors import WordVectors
from zoo.model import Field

VARIANTS = ("lstm", "td-lstm", "tc-lstm")
MERGES = {"concat": layers.Concatenate, "mean": layers.Average, "sum": layers.Add}


class TDLSTM(WordVectors, Classifier):
    """The three networks of the paper (arXiv 1512.01100), sections 2.1 to 2.3.

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        num_classes: number of classes.
        class_names: list of names for `classify`, or `None`.
        variant: `"td-lstm"`: one LSTM reads from the beginning up to the target, another from the end back to it. `"tc-lstm"`: at each word
            they also see the target, the mean of its words' vectors. `"lstm"`: one LSTM reads the whole text and knows of no target.
        length: words that an LSTM reads; those near the target are kept.
        target_length: words of a target; later ones are not read.
        embedding_size: size of a word vector.
        units: cells of an LSTM.
        merge: how the two LSTMs' last states come together: `"concat"`, `"mean"` or `"sum"`.
        attention: whether the target picks among all states of an LSTM, by a hidden layer over state and target, in place of the last one.
        tune_vectors: whether word vectors are learned.
        initial_range: weights start from U(-initial_range, initial_range); `None` for Keras's own initializers.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        vocabulary,
        num_classes=3,
        class_names=None,
        variant="td-lstm",
        length=40,
        target_length=4,
        embedding_size=100,
        units=100,
        merge="concat",
        attention=False,
        tune_vectors=True,
        initial_range=0.003,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("variant", variant, VARIANTS), ("merge", merge, tuple(MERGES))):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
        if attention and variant == "lstm":
            raise ValueError("`attention` needs a target, so `variant` must be 'td-lstm' or 'tc-lstm'. Received: 'lstm'")
        sizes = (length, target_length, embedding_size, units)
        if min(sizes) < 1:
            raise ValueError(f"`length`, `target_length`, `embedding_size` and `units` must be at least 1. Received: {sizes}")
        self._set_classes(num_classes, class_names)
        self.vocabulary, self.variant, self.length, self.target_length = vocabulary, variant, length, target_length
        self.embedding_size, self.units, self.merge, self.attention = embedding_size, units, merge, attention
        self.tune_vectors, self.initial_range = tune_vectors, initial_range
        self._lookup = text.word_lookup(vocabulary)
        self.network = self._build_network()
        self.compile()

    def _build_network(self):
        inputs = {f.name: keras.Input(f.shape, dtype="int32", name=f.name) for f in self.input_fields()}
        kernels = {} if self.initial_range is None else {"kernel_initializer": self._uniform(), "recurrent_initializer": self._uniform()}
        table = layers.Embedding(
            len(self.vocabulary) + 2, self.embedding_size, self._uniform("uniform"), trainable=self.tune_vectors, name="word_vectors"
        )
        target = self._mean(table(inputs["target"]), inputs["target"]) if "target" in inputs else None
        states = []
        for name in [name for name in inputs if name != "target"]:
            x, mask = table(inputs[name]), ops.not_equal(inputs[name], text.PADDING)
            if self.variant == "tc-lstm":
                x = ops.concatenate([x, ops.repeat(target[:, None], self.length, axis=1)], axis=-1)
            x = layers.LSTM(self.units, return_sequences=self.attention, name=f"{name}_lstm", **kernels)(x, mask=mask)
            states.append(self._attend(x, mask, target, name) if self.attention else x)
        x = MERGES[self.merge](name="merged")(states) if len(states) > 1 else states[0]
        x = layers.Dense(self.num_classes, "softmax", kernel_initializer=self._uniform("glorot_uniform"), dtype="float32", name="classes")(
            x
        )
        return keras.Model(inputs if len(inputs) > 1 else inputs["words"], x, name="network")

    def _uniform(self, otherwise=None):
        return otherwise if self.initial_range is None else keras.initializers.RandomUniform(-self.initial_range, self.initial_range)

    def _mean(self, vectors, ids):
        """The mean of the target's word vectors (section 2.3), `(batch, embedding_size)`."""
        real = ops.cast(ops.not_equal(ids, text.PADDING), vectors.dtype)[..., None]
        return ops.sum(vectors * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)

    def _attend(self, states, mask, target, name):
        """States `(batch, length, units)` in the mean that the target wants, `(batch, units)`."""
        pairs = ops.concatenate([states, ops.repeat(target[:, None], self.length, axis=1)], axis=-1)
        hidden = layers.Dense(self.units, "tanh", name=f"{name}_attention")(pairs)
        scores = layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_score")(hidden)[..., 0]
        weights = ops.softmax(ops.where(mask, scores, -1e4), axis=-1)
        return ops.sum(states * ops.cast(weights, states.dtype)[..., None], axis=1)

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)`."""
        return self.network(x, training=training)

    # --- what the method takes, and learning ---

    def input_fields(self):
        """Ids of the two ways to the target, and of the target; for `"lstm"` of the whole text. `encode` makes them."""
        names = {"lstm": ("words",), "td-lstm": ("left", "right"), "tc-lstm": ("left", "right", "target")}[self.variant]
        if self.attention:
            names = ("left", "right", "target")
        sizes = {"target": self.target_length}
        return [Field(name, (sizes.get(name, self.length),), "int32", 0, len(self.vocabulary) + 1) for name in names]

    def default_optimizer(self):
        """Adam with clipped gradients; the paper's gradient descent (section 3.1) hardly moves, see difference 4."""
        return keras.optimizers.Adam(1e-3, clipnorm=200.0)

    def _word_tables(self):
        return [self.network.get_layer("word_vectors").embeddings]

    @classmethod
    def example_config(cls):
        """A few words, the target at each word, attention."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "class_names": ["x", "y", "z"],
            "variant": "tc-lstm",
            "length": 7,
            "target_length": 2,
            "embedding_size": 5,
            "units": 4,
            "merge": "mean",
            "attention": True,
            "initial_range": 0.8,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        texts = {"texts": ["the cat sat", "a mat"], "targets": ["cat", (2, 5)]}
        return {**super().example_calls(), "encode": texts, "classify": {**texts, "batch_size": 1}}

    @classmethod
    def search_space(cls, hp):
        """Variant, sizes, start and learning rate."""
        return {
            "variant": hp.Choice("variant", ["td-lstm", "tc-lstm"]),
            "embedding_size": hp.Choice("embedding_size", [50, 100, 200]),
            "units": hp.Choice("units", [50, 100, 200]),
            "initial_range": hp.Choice("initial_range", [0.003, 0.03, 0.1]),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    # --- verbs ---

    @checked
    def encode(self, texts: Texts, targets: Rows):
        """What `fit` and `predict` take.

        Args:
            texts: list of strings.
            targets: for each text what is asked about: a part of it (the first place where it occurs), or (start, end) in characters.

        Returns:
            Dict of int32 arrays, see `input_fields`; for `"lstm"` one array.

        Raises:
            ValueError: if a target is no part of its text.
        """
        if len(targets) != len(texts):
            raise ValueError(f"`targets` must be a list of {len(texts)} targets, one a text. Received: {str(targets)[:100]}")
        for target in targets:
            if not isinstance(target, str) and arguments.numbers("targets", target, rank=1).shape != (2,):
                arguments.refuse("targets", "strings or (start, end)", target)
        left, target, right = zip(*map(text.split_at, texts, targets))
        found = {name: ops.convert_to_numpy(ids).astype("int32") for name, ids in self._ids(list(left), list(target), list(right)).items()}
        return found["words"] if self.variant == "lstm" else found

    @checked
    def classify(self, texts: Texts, targets: Rows, batch_size: Count = 256) -> list:
        """The most probable class of each target.

        Args:
            texts: list of strings.
            targets: as in `encode`.
            batch_size: texts at once.

        Returns:
            List of (class, probability); the class is its name, or its number without `class_names`.

        Raises:
            ValueError: if a target is no part of its text.
        """
        return self._best_classes(self.encode(texts, targets), batch_size)

    def signatures(self):
        """`serve` takes the three parts of a text as strings, `serve_ids` what `encode` gives."""
        parts = [Field(name, (), "string") for name in ("left", "target", "right")]
        return {"serve": (self._serve_parts, parts), "serve_ids": (self._serve, self.input_fields())}

    def _serve_parts(self, parts):
        found = self._ids(parts["left"], parts["target"], parts["right"])
        return self._serve(found["words"] if self.variant == "lstm" else found)

    def _ids(self, left, target, right):
        """Ids by the names of `input_fields`."""
        ids = text.contexts(left, target, right, self._lookup, self.length, self.target_length)
        return {f.name: ids[f.name] for f in self.input_fields()}
