"""BLSTM tagger: a bidirectional LSTM that gives every word of a sentence a tag, for one task or for several at once.

Paper: Wang, Qian, Soong, He, Zhao 2015, "A Unified Tagging Solution: Bidirectional LSTM Recurrent Neural Network with Word Embedding",
arXiv 1511.00215; for parts of speech alone arXiv 1510.06168. The inputs are the word in lower case and how it is written; a decoder allows
only moves between tags that can happen; word vectors come from telling which words of a sentence were replaced.

Shapes: `word` and `capitals` `(batch, length)`, padded with 0 on the right -> probabilities `(batch, length, tags)`, a dict of them by task
where there are several. Targets are `(batch, length)`, -1 where there is no word.

Differences from the paper:
1. Capitals are one of four classes (lower, upper, initial, mixed) instead of three bits.
2. Moves that never occur in training are forbidden outright (`learn_constraints`), or those that a scheme of spans forbids
   (`use_scheme`); the paper has transition scores that say the same.
3. Several tasks may share one network, each with its own output layer, which the paper does not try.
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Index, Inputs, Sentences, Share, Targets, Text, TextLists, Verbose, checked
from zoo.decoding.viterbi import scheme_transitions, seen_transitions, viterbi
from zoo.families.word_vectors import WordVectors
from zoo.layers.both_directions import both_directions
from zoo.losses.class_weighted_crossentropy import ClassWeightedCrossentropy
from zoo.metrics.pixel_accuracy import PixelAccuracy
from zoo.model import Field, Model


class BLSTMTagger(WordVectors, Model):
    """Bidirectional LSTM over words, with constrained decoding and word vectors from replaced words.

    Args:
        vocabulary: list of words in lower case; `zoo.text.learn_vocabulary` makes one.
        tags: list of tags, or a dict task -> list for several tasks in one model.
        embedding_size: length of a word vector.
        units: cells of the LSTM in each direction.
        num_layers: bidirectional layers on one another.
        dropout: rate, on the input of every LSTM and of the output layers.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "probabilities"

    def __init__(self, vocabulary, tags, embedding_size=100, units=100, num_layers=1, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        text.check_vocabulary(vocabulary)
        by_task = tags if isinstance(tags, dict) else {"tag": tags}
        for task, names in by_task.items():
            if isinstance(names, str) or len(names) < 2 or len(set(names)) != len(names):
                raise ValueError(f"`tags` must hold two or more different tags. Received: {task}: {str(names)[:100]}")
        for name, value in {"embedding_size": embedding_size, "units": units, "num_layers": num_layers}.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        self.vocabulary, self.tags = vocabulary, tags
        self.embedding_size, self.units, self.num_layers, self.dropout = embedding_size, units, num_layers, dropout
        self._names = {task: list(names) for task, names in by_task.items()}
        self._lookup = text.word_lookup(vocabulary)
        self._tag_lookups = {task: text.name_lookup(names) for task, names in self._names.items()}
        self.embedding = layers.Embedding(len(vocabulary) + 2, embedding_size, name="embedding")
        self.network = self._build_network()
        self.transitions = {task: self._constraint(f"{task}_transitions", (len(n), len(n))) for task, n in self._names.items()}
        self.starts = {task: self._constraint(f"{task}_start", (len(n),)) for task, n in self._names.items()}
        self._decode = autodiff.compiled(self._best_tags, self)
        self.compile()

    def _build_network(self):
        """Section 2: word vector and capitals, LSTMs in both directions, one softmax a task."""
        word, capitals = (keras.Input((None,), dtype="int32", name=name) for name in ("word", "capitals"))
        written = ops.one_hot(capitals - 1, len(text.CAPITALS), dtype=keras.config.dtype_policy().compute_dtype)
        x = layers.Concatenate(axis=-1)([self.embedding(word), written])
        x = _recurrent(x, word, self.units, self.num_layers, self.dropout)
        outputs = {
            task: layers.Dense(len(names), activation="softmax", dtype="float32", name=f"{task}_probabilities")(x)
            for task, names in self._names.items()
        }
        return keras.Model({"word": word, "capitals": capitals}, outputs)

    def _constraint(self, name, shape):
        """Scores of moves, all 0 until the model is told which can happen."""
        return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False, dtype="float32", autocast=False)

    def call(self, x, training=False):
        """Probabilities of the tags, `(batch, length, tags)`; a dict of them by task where there are several."""
        found = self.network({key: x[key] for key in ("word", "capitals")}, training=training)
        return found if isinstance(self.tags, dict) else found["tag"]

    def input_fields(self):
        """Ids of words and codes of how they are written."""
        return [
            Field("word", (None,), "int32", 0, len(self.vocabulary) + 1),
            Field("capitals", (None,), "int32", 0, len(text.CAPITALS)),
        ]

    def target_fields(self):
        """The tags of each task."""
        return [Field(task, (None,), "int32", -1, len(names) - 1) for task, names in self._names.items()]

    def check(self, x, y=None):
        """Padding is on the right, the same in both inputs, and no text is empty."""
        super().check(x, y)
        if isinstance(x, dict) and all(isinstance(x[key], np.ndarray) for key in ("word", "capitals")):
            real = x["word"] != 0
            if x["capitals"].shape != real.shape:
                raise ValueError(f"`capitals` must have the shape of `word`, {real.shape}. Received: {x['capitals'].shape}")
            for task, labels in (y if isinstance(y, dict) else {"tag": y}).items():
                if isinstance(labels, np.ndarray) and labels.ndim == 2 and labels.shape != real.shape:
                    raise ValueError(
                        f"`{task}` must have the shape of `word`, {real.shape}: give `encode` and `encode_tags` the same `length`, or take "
                        f"`examples`. Received: {labels.shape}"
                    )

    @classmethod
    def example_config(cls):
        """A small tagger for two tasks."""
        return {
            "vocabulary": ["the", "cat", "sat", ","],
            "tags": {"pos": ["D", "N", "V"], "chunk": ["B-NP", "I-NP", "O"]},
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "dropout": 0.1,
        }

    def _spans_task(self):
        """A task whose tags have a scheme, or `None`."""
        return next((task for task, names in self._names.items() if "O" in names and all(n == "O" or "-" in n for n in names)), None)

    def example_calls(self):
        """A small valid call of every verb."""
        task, names = next(iter(self._names.items()))
        sentences, x = {"sentences": [["the", "cat"], ["sat"]], "length": 2}, self.example_data()
        return {
            **super().example_calls(),
            "encode": sentences,
            "encode_tags": {"tags": [names[:2], names[:1]], "length": 2, "task": task},
            "examples": {**sentences, "tags": {task: [names[:2], names[:1]] for task, names in self._names.items()}},
            "learn_constraints": {"y": x["y"]},
            "use_scheme": {"scheme": "iob2", "task": self._spans_task()} if self._spans_task() else None,
            "tag": {**sentences, "batch_size": 1},
            "decode": {"x": x["x"], "batch_size": 1},
            "pretrain": {**sentences, "rate": 0.3, "epochs": 1, "batch_size": 2, "learning_rate": 0.01, "seed": 1, "verbose": 0},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, depth, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [32, 64, 128]),
            "units": hp.Choice("units", [32, 64, 128]),
            "num_layers": hp.Int("num_layers", 1, 2),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """Adam, where the paper has SGD without saying how its rate falls."""
        return keras.optimizers.Adam(2e-3)

    def default_loss(self):
        """Cross-entropy of the words, averaged over them; tasks are summed."""
        losses = {task: ClassWeightedCrossentropy(ignore_class=-1) for task in self._names}
        return losses if isinstance(self.tags, dict) else losses["tag"]

    def default_metrics(self):
        """Accuracy of the words."""
        metrics = {task: [PixelAccuracy(ignore_class=-1)] for task in self._names}
        return metrics if isinstance(self.tags, dict) else metrics["tag"]

    # --- text to arrays ---

    @checked
    def encode(self, sentences: Sentences, length: Count | None = None):
        """What the model takes, of sentences.

        Args:
            sentences: list of lists of words, or of strings whose words spaces separate.
            length: words to keep or to fill up to; `None` takes the longest sentence.

        Returns:
            Dict of int32 arrays `(sentences, length)`: `word` and `capitals`.

        Raises:
            ValueError: if there is no sentence, one has no words, or a word holds a space.
        """
        lines = _lines(sentences)
        word, capitals = text.word_features(np.array(lines, object), self._lookup, length)
        return {"word": np.asarray(word, "int32"), "capitals": np.asarray(capitals, "int32")}

    @checked
    def encode_tags(self, tags: TextLists, length: Count | None = None, task: Text | None = None) -> np.ndarray:
        """Targets of one task.

        Args:
            tags: list of lists of tags, one a word.
            length: as in `encode`.
            task: its name; not needed for a model of one task.

        Returns:
            Int32 array `(sentences, length)`, -1 where there is no word.

        Raises:
            ValueError: for an unknown tag or task.
        """
        names = self._names[self._task(task)]
        places = {name: i for i, name in enumerate(names)}
        unknown = sorted({tag for line in tags for tag in line} - set(places))
        if unknown:
            raise ValueError(f"`tags` must be of {names[:20]}. Received: {unknown[:5]}")
        length = length or max(map(len, tags))
        return np.array([[places[tag] for tag in line[:length]] + [-1] * (length - len(line)) for line in tags], "int32")

    @checked
    def examples(self, sentences: Sentences, tags: Any, length: Count | None = None) -> dict[str, Any]:
        """What `fit` takes, of tagged sentences: `fit(**model.examples(sentences, tags))`.

        Args:
            sentences: as in `encode`.
            tags: list of lists of tags, one a word; a dict of them by task where there are several.
            length: as in `encode`, of words and tags.

        Returns:
            Dict of `x` and `y`, both of one length.

        Raises:
            ValueError: if a sentence has more or fewer tags than words, or as `encode` and `encode_tags`.
        """
        sizes = [len(line.split()) for line in _lines(sentences)]
        by_task = tags if isinstance(tags, dict) else {"tag": tags}
        for task, lines in by_task.items():
            arguments.text_lists("tags", lines)
            if [len(line) for line in lines] != sizes:
                raise ValueError(f"`tags` must hold a tag for each word. Received: other numbers of them, task {task!r}")
        length = length or max(sizes)
        y = {task: self.encode_tags(lines, length, task) for task, lines in by_task.items()}
        return {"x": self.encode(sentences, length), "y": y if isinstance(self.tags, dict) else y["tag"]}

    def _word_tables(self):
        return [self.embedding.embeddings]

    # --- what can follow what ---

    @checked
    def learn_constraints(self, y: Targets):
        """Forbid in decoding what never occurs in `y`: moves between tags, and first tags (section 2.3).

        Args:
            y: targets as `fit` takes them.
        """
        for task, labels in y.items() if isinstance(y, dict) else [("tag", y)]:
            self._set_constraint(task, *seen_transitions(labels, len(self._names[task])))

    @checked
    def use_scheme(self, scheme: Literal["iob1", "iob2", "iobes"] = "iob2", task: Text | None = None):
        """Forbid in decoding what a scheme of span tags forbids: `"iob1"`, `"iob2"` or `"iobes"`."""
        task = self._task(task)
        self._set_constraint(task, *scheme_transitions(self._names[task], scheme))

    def _set_constraint(self, task, transitions, start):
        self.transitions[task].assign(transitions)
        self.starts[task].assign(start)

    def _task(self, task):
        if task is None and len(self._names) == 1:
            return next(iter(self._names))
        if task not in self._names:
            raise ValueError(f"`task` must be one of {list(self._names)}. Received: {task!r}")
        return task

    # --- use ---

    @checked
    def tag(self, sentences: Sentences, length: Count | None = None, batch_size: Count = 256):
        """The best tags of sentences, among the sequences that can be.

        Args:
            sentences: list of lists of words, or of strings whose words spaces separate.
            length: words to look at; longer sentences get no tags behind it.
            batch_size: sentences in one run.

        Returns:
            List of lists of tags, one a word; a dict of them by task where there are several.
        """
        x = self.encode(sentences, length)
        found = self.decode(x, batch_size)
        lists = {task: [[self._names[task][i] for i in row if i >= 0] for row in rows] for task, rows in found.items()}
        return lists if isinstance(self.tags, dict) else lists["tag"]

    @checked
    def decode(self, x: Inputs, batch_size: Count = 256) -> dict[str, np.ndarray]:
        """The best tags of encoded sentences, as a dict task -> int32 `(sentences, length)`, -1 where there is no word."""
        parts = []
        for i in range(0, len(x["word"]), batch_size):
            parts.append(self._decode({key: ops.convert_to_tensor(x[key][i : i + batch_size]) for key in ("word", "capitals")}))
        return {task: np.concatenate([ops.convert_to_numpy(part[task]) for part in parts]) for task in self._names}

    def _best_tags(self, x):
        found = self.network(x, training=False)
        return {
            task: viterbi(ops.log(found[task] + 1e-12), self.transitions[task], self.starts[task], ops.not_equal(x["word"], 0))
            for task in self._names
        }

    @checked
    def pretrain(
        self,
        sentences: Sentences,
        rate: Share = 0.2,
        epochs: Count = 5,
        batch_size: Count = 64,
        length: Count = 40,
        learning_rate: Amount = 2e-3,
        seed: Index = 0,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Learn word vectors by telling which words of unlabelled sentences were replaced by random ones (section 3.2).

        A bidirectional LSTM of its own is trained for that; the word vectors stay.

        Args:
            sentences: list of lists of words, or of strings whose words spaces separate.
            rate: share of the words to replace.
            epochs: passes over the sentences.
            batch_size: sentences in a batch.
            length: words of a sentence to look at.
            learning_rate: of Adam.
            seed: of the replacements.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History`; `accuracy` is that of telling right words from replaced ones.
        """
        arguments.number("rate", rate, above=0, high=1 - 1e-6)
        word = keras.Input((None,), dtype="int32", name="word")
        x = _recurrent(self.embedding(word), word, self.units, self.num_layers, self.dropout)
        detector = keras.Model(word, layers.Dense(1, activation="sigmoid", dtype="float32")(x))
        detector.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy", weighted_metrics=["accuracy"])
        words = self.encode(sentences, length)["word"]
        data = _Replaced(words, len(self.vocabulary) + 2, rate, batch_size, seed)
        return detector.fit(data, epochs=epochs, verbose=verbose)

    def signatures(self):
        """`serve` tags strings whose words spaces separate; `probabilities` takes ids."""
        strings = [Field("text", (), "string")]
        return {"serve": (self._serve_text, strings), "probabilities": (self._serve, self.input_fields())}

    def _serve_text(self, x):
        word, capitals = text.word_features(x, self._lookup)
        found = self._best_tags({"word": ops.cast(word, "int32"), "capitals": capitals})
        return {task: self._tag_lookups[task](tags + 1) for task, tags in found.items()}


class _Replaced(keras.utils.PyDataset):
    """Batches of sentences with some words replaced by random ones of the vocabulary; the target is 1 for those."""

    def __init__(self, words, ids, rate, batch_size, seed):
        super().__init__()
        self.words, self.ids, self.rate, self.batch_size = words, ids, rate, batch_size
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(words))

    def __len__(self):
        return -(-len(self.words) // self.batch_size)

    def __getitem__(self, index):
        words = self.words[self.order[index * self.batch_size : (index + 1) * self.batch_size]]
        real = words != 0
        others = self.rng.integers(2, self.ids, words.shape, dtype="int32")
        replaced = real & (self.rng.random(words.shape) < self.rate) & (others != words)
        return np.where(replaced, others, words), replaced[..., None].astype("float32"), real.astype("float32")

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.words))


def _recurrent(x, word, units, num_layers, dropout):
    """Bidirectional LSTMs over the words; zeros where there is no word."""
    mask = ops.not_equal(word, 0)
    for _ in range(num_layers):
        x = both_directions(layers.LSTM(units, return_sequences=True))(layers.Dropout(dropout)(x), mask=mask)
    # the product also ends Keras's own mask, since the losses leave out padding by themselves
    return layers.Dropout(dropout)(x * ops.cast(mask, x.dtype)[..., None])


def _lines(sentences):
    """Sentences as strings whose words spaces separate."""
    if isinstance(sentences, str) or not len(sentences):
        raise ValueError(f"`sentences` must be a list of sentences. Received: {str(sentences)[:100]}")
    lines = []
    for sentence in sentences:
        words = sentence.split() if isinstance(sentence, str) else list(sentence)
        if not words or any(not isinstance(word, str) or not word or word.split() != [word] for word in words):
            raise ValueError(f"`sentences` must hold words, each without spaces. Received: {str(sentence)[:100]}")
        lines.append(" ".join(words))
    return lines
