"""Skip-thought vectors: a recurrent network reads a sentence, two others write the sentences before and behind it from its vector.

Paper: Kiros, Zhu, Salakhutdinov, Zemel, Torralba, Urtasun, Fidler 2015, "Skip-Thought Vectors", arXiv 1506.06726. The vector of a sentence
is the last state of a GRU (uni-skip), of a forward and a backward one (bi-skip), or both models' vectors side by side (combine-skip).

Shapes: ids `(batch, length)`, 0 for padding -> vectors `(batch, dim)`, `(batch, 2 * dim)` for combine-skip. Targets are the ids of the
sentences before and behind, rows of 0 where there is none.

Differences from the paper:
1. The two models of combine-skip, which share nothing, are trained at once; their gradients are clipped by one norm.
2. GRUs and the output layer have biases, which the equations leave out.
3. A sentence is cut at `length` words, and then has no end symbol. Words that only the expansion knows are unknown as targets.
4. `prediction="hierarchical_softmax"` puts words on a Huffman tree in place of the softmax.
5. `generate` of combine-skip takes the mean of both models' log-probabilities.
6. The default sizes are what a laptop trains: 600 units, word vectors of 300 numbers and batches of 32 (2 GB with 20,000 words). The
   paper's, which took two weeks of a GPU, are `SkipThoughts(vocabulary, dim=2400, embedding_size=620)` and `fit(..., batch_size=128)`;
   4 GB at batches of 16, most of it for 160 million weights and Adam's moments.
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff, text
from zoo.arguments import Count, Documents, Numbers, Positive, Text, Texts, checked
from zoo.decoding.sequences import beam_search, sample_sequences
from zoo.families.word_vectors import WordVectors
from zoo.layers.conditional_gru import ConditionalGRU
from zoo.layers.word_prediction import HierarchicalSoftmax
from zoo.losses.sequence_crossentropy import sequence_crossentropy
from zoo.model import Field, Model, is_stream

ENCODERS = {"uni": (False,), "bi": (True,), "combine": (False, True)}
PREDICTIONS = ("softmax", "hierarchical_softmax")
DIRECTIONS = ("previous", "next")
# of a symbol that is never to be chosen; fits float16
_NEVER = -1e4


class SkipThoughts(WordVectors, Model):
    """Vectors of sentences, learned by predicting the sentences around them.

    Args:
        vocabulary: list of words, the most frequent of the training text (the paper: 20,000).
        encoder: `"uni"`: one GRU of `dim` units; `"bi"`: a forward and a backward one of `dim / 2` units each; `"combine"`: both, each with
            word vectors and decoders of its own.
        dim: length of the vector of each encoder, and units of its decoders (the paper: 2400, see difference 6).
        embedding_size: length of a word vector (the paper: 620).
        length: words of a sentence.
        prediction: `"softmax"`, or `"hierarchical_softmax"`, whose cost grows with the logarithm of the vocabulary.
        counts: how often each word of the vocabulary occurs; needed by `"hierarchical_softmax"`.
        expanded: words beyond the vocabulary whose vectors come from a larger space; `expand_vocabulary` fills them in.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    output_name = "vector"

    def __init__(
        self, vocabulary, encoder="uni", dim=600, embedding_size=300, length=30, prediction="softmax", counts=None, expanded=(), **kwargs
    ):
        super().__init__(**kwargs)
        text.check_vocabulary(vocabulary)
        for name, value, choices in (("encoder", encoder, tuple(ENCODERS)), ("prediction", prediction, PREDICTIONS)):
            if value not in choices:
                raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}")
        for name, value in (("dim", dim), ("embedding_size", embedding_size), ("length", length)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        if dim % 2 and encoder != "uni":
            raise ValueError(f"`dim` must be even for {encoder!r}, half for each direction. Received: {dim}")
        if (counts is None and prediction == "hierarchical_softmax") or (counts is not None and len(counts) != len(vocabulary)):
            raise ValueError(f"`counts` must have one entry for each of the {len(vocabulary)} words. Received: {str(counts)[:100]}")
        text.check_vocabulary([*vocabulary, *expanded])
        self.vocabulary, self.encoder, self.dim, self.embedding_size = vocabulary, encoder, dim, embedding_size
        self.length, self.prediction, self.counts, self.expanded = length, prediction, counts, expanded
        self.parts = [
            _Skip(len(vocabulary), len(expanded), embedding_size, dim, both, prediction, counts, name="bi_skip" if both else "uni_skip")
            for both in ENCODERS[encoder]
        ]
        self.vectorization = text.word_vectorization([*vocabulary, *expanded], length)
        self._names = text.name_lookup(["<unknown>", *vocabulary])
        self.seed_generator = keras.random.SeedGenerator()
        self._vectors = autodiff.compiled(lambda ids: self(ids, training=False), self)
        # one graph for each set of options
        self._generators = {}
        self.compile()

    @classmethod
    @checked
    def from_documents(cls, documents: Documents, max_words: Count = 20000, **arguments):
        """A model with the vocabulary of documents, untrained: `fit(**model.triples(documents))` next.

        Args:
            documents: list of documents, each a list of sentences (strings) in order.
            max_words: keep so many of the most frequent words.
            **arguments: of the constructor.
        """
        lines = text.tokenize([sentence for document in documents for sentence in document])
        vocabulary = text.learn_vocabulary(lines, max_words)
        return cls(vocabulary, counts=text.count_words(lines, vocabulary), **arguments)

    # --- what the method tells about itself ---

    def input_fields(self):
        """Ids of a sentence's words, as `encode` gives them."""
        return [Field("words", (self.length,), "int32", 0, len(self.vocabulary) + len(self.expanded) + 1)]

    def target_fields(self):
        """Ids of the sentences before and behind; a row of 0 where there is none."""
        return [Field(name, (self.length,), "int32", 0, len(self.vocabulary) + len(self.expanded) + 1) for name in DIRECTIONS]

    @classmethod
    def example_config(cls):
        """Both encoders with a few units, a hierarchical softmax, and words beyond the vocabulary."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "mat", ","],
            "encoder": "combine",
            "dim": 6,
            "embedding_size": 5,
            "length": 7,
            "prediction": "hierarchical_softmax",
            "counts": [9, 4, 3, 3, 2, 1],
            "expanded": ["été", "a"],
        }

    def example_calls(self):
        """A small valid call of every verb."""
        texts, documents = ["the cat sat", "on the mat"], [["the cat sat", "on the mat"], ["the cat", "the mat", "the cat sat"]]
        return {
            **super().example_calls(),
            "from_documents": {"documents": documents, "max_words": 5},
            "encode": {"texts": texts},
            "triples": {"documents": documents},
            "expand_vocabulary": {"words": [*self.vocabulary[:3], "brand-new"], "vectors": np.eye(4, 3)},
            "vectors": {"texts": texts, "batch_size": 1},
            "most_similar": {"query": "the cat", "texts": texts, "k": 1},
            "generate": {"texts": texts, "direction": "previous", "words": 2, "temperature": 0.5},
        }

    @classmethod
    def search_space(cls, hp):
        """Encoder, sizes and learning rate."""
        return {
            "encoder": hp.Choice("encoder", list(ENCODERS)),
            "dim": hp.Choice("dim", [64, 128, 256, 512]),
            "embedding_size": hp.Choice("embedding_size", [50, 100, 200]),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """Adam; gradients whose norm is above 10 are scaled down to it (section 3)."""
        return keras.optimizers.Adam(global_clipnorm=10.0)

    # --- training ---

    def call(self, x, training=False):
        """Vectors `(batch, dim)`, `(batch, 2 * dim)` for combine-skip, of ids `(batch, length)`."""
        return ops.concatenate([part(x) for part in self.parts], axis=-1)

    @checked
    def fit(self, x=None, y=None, epochs: Count = 1, batch_size: Count = 32, **kwargs):  # type: ignore[override]
        """Train.

        Args:
            x: ids of sentences `(sentences, length)`; `triples` makes both.
            y: dict of ids `(sentences, length)`: `previous` and `next`.
            epochs: passes.
            batch_size: sentences of a batch (the paper: 128, see difference 6).
            **kwargs: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        # a dataset has batches already
        return super().fit(x, y, epochs=epochs, batch_size=None if is_stream(x) else batch_size, **kwargs)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Minus the log-probability of both neighbours (equation 10), summed over words, the mean over sentences."""
        losses = sum(part.losses(vectors, [y[name] for name in DIRECTIONS]) for part, vectors in zip(self.parts, self._split(y_pred)))
        if sample_weight is not None:
            # Keras hands on one weight a target
            weights = sample_weight if isinstance(sample_weight, dict) else dict.fromkeys(DIRECTIONS, sample_weight)
            weights = ops.stack([ops.reshape(weights[name], (-1,)) for name in DIRECTIONS], axis=1)
            losses = losses * ops.cast(weights, losses.dtype)
        return ops.mean(ops.sum(losses, axis=1))

    def _split(self, vectors):
        return [vectors[:, i * self.dim : (i + 1) * self.dim] for i in range(len(self.parts))]

    # --- text to arrays ---

    @checked
    def encode(self, texts: Texts):
        """Ids `(texts, length)` int32 of a list of strings: cut or padded on the right; 0 is padding, 1 an unknown word."""
        return np.asarray(ops.convert_to_numpy(self.vectorization(texts)), "int32")

    @checked
    def triples(self, documents: Documents):
        """What `fit` takes, of documents: each sentence with its neighbours.

        Args:
            documents: list of documents, each a list of sentences (strings) in order.

        Returns:
            Dict with `x` `(sentences, length)` int32 and `y`, a dict of `previous` and `next` of the same shape. At the ends of a document
            the missing neighbour is a row of 0; a sentence that is alone in its document is left out.

        Raises:
            ValueError: if no document has two sentences.
        """
        current, previous, following = text.neighbours([len(document) for document in documents])
        ids = self.encode([sentence for document in documents for sentence in document])
        # row -1 is that of a missing neighbour
        ids = np.concatenate([ids, np.zeros((1, self.length), "int32")])
        return {"x": ids[current], "y": {"previous": ids[previous], "next": ids[following]}}

    # --- more words ---

    def _word_tables(self):
        return [part.embedding for part in self.parts]

    @checked
    def expand_vocabulary(self, words: Any, vectors: Numbers | None = None) -> "SkipThoughts":
        """A model that also knows words of a larger space, whose vectors are mapped linearly to this model's (section 2.2).

        The map is the least-squares solution over the words that both know, without regularisation, one for each encoder. Words that the
        model knows keep their vectors; words with capitals are left out, since texts are read in lower case.

        Args:
            words: list of the larger space's words; or they and their vectors at once, as in `load_word_vectors`.
            vectors: theirs, `(words, any)`.

        Returns:
            A new model; its `expanded` words are this model's and those it lacked.

        Raises:
            ValueError: if words and vectors do not fit together, or no word is known.
        """
        words, vectors = text.word_vectors(words, vectors)
        text.check_vocabulary(words)
        # texts are read in lower case
        readable = [i for i, word in enumerate(words) if word == word.lower()]
        words, vectors = [words[i] for i in readable], vectors[readable].astype("float64")
        own = {word: i + 2 for i, word in enumerate(self.vocabulary)}
        expanded = set(self.expanded)
        lacking = [i for i, word in enumerate(words) if word not in own and word not in expanded]
        shared = [(i, own[word]) for i, word in enumerate(words) if word in own]
        if not shared:
            raise ValueError(f"`words` must hold some of the vocabulary. Received: {str(words)[:100]}")
        theirs, ours = (list(column) for column in zip(*shared))
        new = [*self.expanded, *(words[i] for i in lacking)]
        model = type(self).from_config({**self.get_config(), "expanded": new})
        for part, old in zip(model.parts, self.parts):
            part.take_over(old)
            table = ops.convert_to_numpy(old.embedding)
            linear = np.linalg.lstsq(vectors[theirs], table[ours], rcond=None)[0]
            known = [ops.convert_to_numpy(old.expansion)] if self.expanded else []
            if new:
                part.expansion.assign(np.concatenate([*known, vectors[lacking] @ linear]))
        return model

    # --- use ---

    @checked
    def vectors(self, texts: Texts, batch_size: Count = 256):
        """Vectors of sentences.

        Args:
            texts: list of strings.
            batch_size: sentences at once.

        Returns:
            Array `(texts, dim)`, `(texts, 2 * dim)` for combine-skip: first uni-skip, then bi-skip.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        ids = self.encode(texts)
        return np.concatenate(
            [ops.convert_to_numpy(self._vectors(ids[i : i + batch_size])) for i in range(0, len(ids), batch_size)]
        ).astype("float32")

    @checked
    def most_similar(self, query: Text, texts: Texts, k: Count = 10):
        """The sentences whose vectors have the largest cosine with that of a query.

        Args:
            query: a string.
            texts: list of strings to choose from.
            k: how many to return.

        Returns:
            List of (number of the text, cosine), the best first.

        Raises:
            ValueError: if `query` is no string or `texts` no list of them.
        """
        found = self.vectors([query, *texts])
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        cosines = found[1:] @ found[0]
        return [(int(i), float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:k]]

    @checked
    def generate(
        self,
        texts: Texts,
        direction: Literal["next", "previous"] = "next",
        words: Count | None = None,
        temperature: Positive = 1.0,
        beams: Count | None = None,
    ):
        """Sentences that could stand before or behind others.

        Args:
            texts: list of strings.
            direction: `"next"` or `"previous"`.
            words: to write at most; `length` by default.
            temperature: of random words, drawn one after the other; below 1 the probable ones gain.
            beams: width of a beam search for the most probable sentence, in place of random words.

        Returns:
            List of strings, words with spaces between them.

        Raises:
            ValueError: if an argument is not one of these.
        """
        words = words or self.length
        options = (direction, words, float(temperature), beams)
        if options not in self._generators:
            self._generators[options] = autodiff.compiled(lambda ids: self._write(ids, *options), self)
        found = ops.convert_to_numpy(self._generators[options](self.encode(texts)))
        return [" ".join(self.vocabulary[i - 2] for i in row if i) for row in found]

    def _write(self, ids, direction, words, temperature, beams):
        """Ids `(batch, words)` of new sentences, 0 behind their ends."""
        vectors = [ops.cast(v, "float32") for v in self._split(self(ids, training=False))]
        side, end, number = DIRECTIONS.index(direction), len(self.vocabulary) + 2, len(self.parts)
        # what a text has alone, for every beam
        told = [ops.repeat(v, beams or 1, axis=0) for v in vectors]

        def step(ids, state):
            moved = [part.step(ids, h, v, side) for part, h, v in zip(self.parts, state, told)]
            chances = sum(ops.log_softmax(part.logits(h)) for part, h in zip(self.parts, moved)) / number
            # neither padding nor an unknown word
            chances = ops.where(ops.arange(end + 1) < 2, _NEVER, chances)
            return chances, [ops.cast(h, "float32") for h in moved]

        state = [ops.zeros_like(v) for v in vectors]
        start = ops.zeros(ops.shape(ids)[:1], "int32")
        if beams:
            found = beam_search(step, state, start, words, beams, end)[0][:, 0]
        else:
            found = sample_sequences(step, state, start, words, self.seed_generator, temperature, end)
        return ops.where(found == end, 0, found)

    def signatures(self):
        """`serve` takes strings, `serve_ids` what `encode` gives; `previous` and `next` write the most probable sentence (greedily)."""
        strings = [Field("text", (), "string")]
        return {
            "serve": (lambda texts: self._serve(self._look_up(texts)), strings),
            "serve_ids": (self._serve, self.input_fields()),
            **{name: (lambda texts, name=name: self._serve_words(texts, name), strings) for name in DIRECTIONS},
        }

    def _serve_words(self, texts, direction):
        return {"words": self._names(self._write(self._look_up(texts), direction, self.length, 1.0, 1))}

    def _look_up(self, texts):
        return ops.cast(self.vectorization(texts), "int32")


class _Skip(layers.Layer):
    """An encoder with the decoders of both neighbours; they share word vectors, the decoders also the output layer."""

    def __init__(self, words, expanded, embedding_size, dim, both, prediction, counts, **kwargs):
        super().__init__(**kwargs)
        self.words = words
        small = keras.initializers.RandomUniform(-0.1, 0.1)
        self.embedding = self.add_weight((words + 2, embedding_size), small, name="embedding")
        self.expansion = None
        if expanded:
            self.expansion = self.add_weight((expanded, embedding_size), "zeros", name="expansion", trainable=False)
        units = dim // 2 if both else dim
        self.encoders = [
            ConditionalGRU(units, embedding_size, go_backwards=backwards, name="backward" if backwards else "forward")
            for backwards in ((False, True) if both else (False,))
        ]
        self.decoders = [ConditionalGRU(dim, embedding_size, dim, name=name) for name in DIRECTIONS]
        self.hierarchical = prediction == "hierarchical_softmax"
        if self.hierarchical:
            # unknown words and ends of sentences are about as frequent as the most frequent word
            self.prediction = HierarchicalSoftmax([max(counts), *counts, max(counts)], dim, dtype="float32", name="prediction")
        else:
            self.prediction = layers.Dense(words + 3, kernel_initializer=small, name="prediction")
            self.prediction.build((None, dim))
        self.built = True

    def call(self, ids):
        """Vectors `(batch, dim)`."""
        embedded, present = self._embed(ids), ops.not_equal(ids, text.PADDING)
        return ops.concatenate([encoder(embedded, present=present)[:, -1] for encoder in self.encoders], axis=-1)

    def _embed(self, ids):
        """Word vectors; zeros for padding, which is also what a decoder reads before its first word."""
        inside = ids < self.words + 2
        found = ops.take(self.embedding, ops.where(inside, ids, 0), axis=0)
        if self.expansion is not None:
            beyond = ops.take(self.expansion, ops.where(inside, 0, ids - self.words - 2), axis=0)
            found = ops.where(inside[..., None], found, beyond)
        return ops.cast(found * ops.cast(ops.not_equal(ids, text.PADDING), found.dtype)[..., None], self.compute_dtype)

    def losses(self, vectors, neighbours):
        """Minus the log-probabilities `(batch, 2)` of both neighbours, ids `(batch, length)` each."""
        states, targets = [], []
        for decoder, ids in zip(self.decoders, neighbours):
            ids = ops.cast(ids, "int32")
            ids = ops.where(ids < self.words + 2, ids, text.UNKNOWN)
            before = ops.pad(ids[:, :-1], [[0, 0], [1, 0]])
            states.append(decoder(self._embed(before), context=vectors))
            targets.append(self._with_end(ids))
        targets = ops.concatenate(targets, axis=1)
        losses = self._word_losses(ops.concatenate(states, axis=1), targets)
        return ops.sum(ops.reshape(losses, (-1, 2, targets.shape[1] // 2)), axis=2)

    def _word_losses(self, states, targets):
        """Minus the log-probability of each word, `(batch, steps)`."""
        if not self.hierarchical:
            return sequence_crossentropy(targets, self.prediction(states))
        # each word is a row of its own, since it is paired with no state but its own
        flat = ops.reshape(ops.cast(states, "float32"), (-1, 1, states.shape[2]))
        real = ops.reshape(ops.cast(targets > 0, "float32"), (-1, 1, 1))
        losses = self.prediction(flat, ops.reshape(ops.maximum(targets - 1, 0), (-1, 1)), real)
        return ops.reshape(losses, (-1, targets.shape[1]))

    def _with_end(self, ids):
        """Ids with the symbol of the end behind the last word, if there are words and is room."""
        later = ops.flip(ops.cumsum(ops.flip(ops.cast(ids > 0, "int32"), 1), axis=1), 1)
        last = ops.pad(later[:, :-1], [[0, 0], [1, 0]]) > 0
        return ops.where((later == 0) & last, self.words + 2, ids)

    def step(self, ids, state, vectors, side):
        """The state of a decoder after words `(batch,)`."""
        embedded = self._embed(ops.where(ids < self.words + 2, ids, 0))
        return self.decoders[side].step(embedded, ops.cast(state, self.compute_dtype), vectors)

    def logits(self, states):
        """Scores of all symbols `(batch, words + 3)` float32: padding, unknown, the words, the end."""
        if not self.hierarchical:
            return ops.cast(self.prediction(states), "float32")
        chances = self.prediction.log_probabilities(ops.cast(states, "float32"))
        return ops.pad(chances, [[0, 0], [1, 0]], constant_values=_NEVER)

    def take_over(self, other):
        """The weights of another one, all but those of words beyond the vocabulary."""
        pairs = zip(*([v for v in part.variables if v is not part.expansion] for part in (self, other)))
        for mine, theirs in pairs:
            # over NumPy, so that the two do not share memory
            mine.assign(ops.convert_to_numpy(theirs))
