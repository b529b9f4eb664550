"""What methods share that learn a vector for each document by predicting its words."""

from typing import Annotated, Literal

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo import arguments, autodiff, text
from zoo.arguments import Count, Documents, Index, Kind, Numbers, Text, Texts, checked
from zoo.callbacks.linear_decay import LinearDecay
from zoo.layers.rows import gather_rows, moderate
from zoo.layers.word_prediction import HierarchicalSoftmax, NegativeSampling
from zoo.model import Field, Model

PREDICTIONS = ("hierarchical_softmax", "negative_sampling")
# inference takes so many draws for all documents at a step, from so many sets of them in turn
DRAWS, SETS = 64, 61
# passes of inference before there was a `fit`
STEPS = 5
# documents that are inferred at a time, and words of all of them, unless one alone has more
TOGETHER, MOST_WORDS = 1024, 2**20


Batches = Annotated[keras.utils.PyDataset, Kind(arguments.instance, of=keras.utils.PyDataset)]


class DocumentVectors(Model):
    """A table of document vectors, an output layer over words, and the verbs of both.

    `fit` cuts documents into runs of `run` words (`zoo.text.Chunks`); a training example is a run. A method calls `_make` in its
    constructor and implements `_word_losses`.
    """

    output_name = "vector"
    steps: int | None
    # longest run of words that counts as one word, and words around a run that an example shows
    ngrams, halo = 1, 0

    def _make(self, prediction, shared, input_dim=None, top=64):
        """Check the shared arguments, and make the table and the output layer for inputs of `input_dim`.

        `top` is that of `HierarchicalSoftmax`; where a document alone is the input of a run, many decisions are cheaper together.
        """
        text.check_vocabulary(self.vocabulary)
        if len(self.counts) != len(self.vocabulary) or min(self.counts) < 1:
            raise ValueError(
                f"`counts` must be positive, one for each of the {len(self.vocabulary)} words. Received: {str(self.counts)[:100]}"
            )
        for name in ("num_documents", "dim", "length", "run", "steps"):
            if not (name == "steps" and self.steps is None) and getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {getattr(self, name)}")
        if prediction not in PREDICTIONS:
            raise ValueError(f"`prediction` must be one of {PREDICTIONS}. Received: {prediction!r}")
        if self.sample < 0 or not (self.most_uses is None or self.most_uses > 0):
            raise ValueError(f"`sample` must not be negative, `most_uses` be positive. Received: {self.sample}, {self.most_uses}")
        input_dim = input_dim or self.dim
        options = {"most_uses": self.most_uses, "dtype": "float32", "name": "prediction"}
        if prediction == "hierarchical_softmax":
            self.predict_words = HierarchicalSoftmax(self.counts, input_dim, top=top, **options)
        else:
            self.predict_words = NegativeSampling(self.counts, input_dim, self.negative, self.power, shared, **options)
        self.documents = self._embeddings("documents", self.num_documents)
        self.vectorization = text.word_vectorization(self.vocabulary, self.length, self.ngrams)
        self._keep = text.keep_probabilities(self.counts, self.sample)
        self._ids = None
        # a graph for each width, as TensorFlow would else merge them into one of unknown width
        self._infer = {}

    def _embeddings(self, name, size):
        # word2vec's; float32 under any policy: sums of many small updates
        initial = keras.initializers.RandomUniform(-0.5 / self.dim, 0.5 / self.dim)
        return self.add_weight((size, self.dim), initial, name=name, autocast=False)

    @classmethod
    @checked
    def from_texts(cls, texts: Documents | Texts, max_words: Count | None = None, min_count: Count = 1, **arguments):
        """A model for the given documents, untrained: `fit` them next.

        Args:
            texts: list of strings, or of lists of words.
            max_words: keep the most frequent words (and n-grams).
            min_count: drop words (and n-grams) that occur less often.
            **arguments: of the constructor.
        """
        lines = text.tokenize(texts) if len(texts) and isinstance(texts[0], str) else texts
        lines = text.with_ngrams(lines, arguments.get("ngrams", _default(cls, "ngrams")))
        vocabulary = text.learn_vocabulary(lines, max_words, min_count)
        return cls(vocabulary, text.count_words(lines, vocabulary), len(texts), **arguments)  # type: ignore[call-arg]

    def example_calls(self):
        """A small valid call of every verb."""
        texts = {"texts": ["the cat sat on the mat", "the mat"]}
        words = hasattr(self, "words")
        return {
            **super().example_calls(),
            "from_texts": {**texts, "max_words": 4, "min_count": 1},
            "chunks": {"x": texts["texts"], "batch_size": 2},
            "infer": {**texts, "steps": 2},
            "encode": texts,
            "bags": texts,
            "vector": {"word": self.vocabulary[0]} if words else None,
            "most_similar": {"query": 0, "k": 1, "negative": [1], "among": "documents"},
        }

    # --- what the method tells about itself ---

    def input_fields(self):
        """Ids of a document's words, as `encode` gives them."""
        return [Field("words", (self.length,), "int32", 0, len(self.vocabulary) + 1)]

    def default_optimizer(self):
        """Plain gradient descent, one update for each of a batch's words at once; the rate falls in a straight line."""
        return keras.optimizers.SGD(self.learning_rate)

    def default_callbacks(self):
        """The rate falls in a straight line over all epochs."""
        return [LinearDecay(self.end_learning_rate)]

    # --- training ---

    def call(self, x, training=False):
        """Vectors `(batch, dim)`: of known documents where `x` is a batch of `zoo.text.Chunks`, else inferred for ids `(batch, length)`."""
        return gather_rows(self.documents, x["document"]) if isinstance(x, dict) else self._descend(x, self.steps or STEPS)

    @checked
    def fit(self, x: Documents | Numbers | Texts | Batches = None, y=None, epochs: Count = 1, batch_size: Count = 128, **kwargs):  # type: ignore[override]
        """Train. Document i is the i-th of `x`; sub-sampled and cut into runs anew in every epoch.

        Args:
            x: list of strings, list of lists of words, ids `(documents, length)`, or a `keras.utils.PyDataset` like `zoo.text.Chunks`.
            y: must be `None`; there are no targets.
            epochs: number of passes, over which the learning rate falls.
            batch_size: runs of a batch.
            **kwargs: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`; its `loss` is the mean over words.

        Raises:
            ValueError: if there are more documents than `num_documents`.
        """
        if y is not None or kwargs.get("sample_weight") is not None:
            raise ValueError("`y` and `sample_weight` must be None. Received: targets or weights, which this method does not use")
        if not isinstance(x, keras.utils.PyDataset):
            x = self.chunks(x, batch_size)
        if self.steps is None:
            # kept with the constructor's arguments, so that a saved model infers as this one; `predict` is compiled with it
            self.steps, self.predict_function, self.test_function = epochs, None, None
        return super().fit(x, epochs=epochs, **kwargs)

    @checked
    def chunks(self, x: Documents | Numbers | Texts, batch_size: Count = 128):
        """The training examples of documents, a `zoo.text.Chunks`; arguments as in `fit`."""
        words, lengths = self._flat(x)
        if len(lengths) > self.num_documents:
            raise ValueError(f"`x` must hold at most {self.num_documents} documents (`num_documents`). Received: {len(lengths)}")
        keep = np.concatenate([[0, 0], self._keep]).astype("float32")
        # follows `keras.utils.set_random_seed`
        seed = int(ops.convert_to_numpy(keras.random.randint((), 0, 2**31 - 1)))
        return text.Chunks(words, lengths, self.run, self.halo, batch_size, keep if self.sample else None, seed=seed)

    def check_batch(self, x, y=None):
        """Batches of `zoo.text.Chunks` hold runs of documents, others ids as the fields say."""
        if not isinstance(x, dict):
            super().check_batch(x, y)
        elif set(x) != {"document", "words"}:
            raise ValueError(f"`x` must hold document and words, as `zoo.text.Chunks` does. Received: {sorted(x)}")

    def objective(self, x, y, y_pred, sample_weight, training):
        """The losses of the words of a batch; its value is their mean, its gradient that of their sum."""
        if isinstance(x, dict):
            words = x["words"]
            valid = self._valid(words)
            uses = ops.sum(valid, axis=1)
            vectors = moderate(y_pred, x["document"], uses, self.num_documents, self.most_uses)
            losses = self._word_losses(vectors, words, valid, training=training)
        else:
            runs = self._runs(x)
            words = ops.reshape(ops.transpose(runs, (1, 0, 2)), (-1, runs.shape[2]))
            valid = self._valid(words)
            vectors = ops.repeat(y_pred, runs.shape[0], axis=0)
            losses = self._word_losses(vectors, words, valid, draws=self._draws()[0])
        total = ops.sum(losses)
        mean = total / ops.maximum(ops.sum(valid), 1.0)
        return mean + (total - mean) - ops.stop_gradient(total - mean)

    def _word_losses(self, vectors, words, weights, training=False, draws=None):
        """Losses of the words of runs.

        Args:
            vectors: of their documents `(rows, dim)`.
            words: ids `(rows, halo + run + halo)`.
            weights: of the words `(rows, run)`.
            training: whether to draw at random, and to learn words beside documents.
            draws: fixed words for negative sampling, or `None`.

        Returns:
            `(rows,)` or another shape with the same sum.
        """
        raise NotImplementedError

    def _valid(self, words):
        """1 where a run has a known word, `(rows, run)`."""
        return ops.cast(words[:, self.halo : self.halo + self.run] > text.UNKNOWN, "float32")

    def _targets(self, words):
        """Numbers of the words of runs."""
        return ops.maximum(words[:, self.halo : self.halo + self.run] - 2, 0)

    # --- inference ---

    @checked
    def infer(self, texts: Documents | Numbers | Texts, steps: Count | None = None):
        """Vectors of new documents: gradient descent on them alone, all at once, everything else frozen.

        Args:
            texts: list of strings, of lists of words, or ids `(documents, any)`.
            steps: passes over each document; by default `steps` of the constructor, or as many as the first `fit` had epochs. With fewer
                passes than that vectors are shorter than those of `documents`, with more they are longer.

        Returns:
            Array `(documents, dim)` float32. A document without a known word gets zeros.
        """
        words, lengths = self._flat(texts)
        starts, steps = np.cumsum(lengths) - lengths, ops.convert_to_tensor(steps or self.steps or STEPS, "int32")
        # few widths, so that few graphs are compiled; documents of one width go together, so that none waits for a longer one
        widths = self.run * 2 ** np.ceil(np.log2(np.maximum(lengths / self.run, 1))).astype("int64")
        vectors = np.zeros((len(lengths), self.dim), "float32")
        for width in np.unique(widths):
            chosen, together = np.flatnonzero(widths == width), max(1, min(TOGETHER, MOST_WORDS // width))
            for part in np.split(chosen, range(together, len(chosen), together)):
                inside = np.arange(width) < lengths[part, None]
                # few numbers of documents as well; those behind the last are empty
                ids = np.zeros((min(together, 1 << (len(part) - 1).bit_length()), width), "int32")
                ids[: len(part)][inside] = words[(starts[part, None] + np.arange(width))[inside]]
                vectors[part] = ops.convert_to_numpy(self._inference(int(width))(ids, steps))[: len(part)]
        return vectors

    def _inference(self, width):
        """The compiled `_descend` for documents of one width."""
        if width not in self._infer:
            self._infer[width] = autodiff.compiled(self._descend, self)
        return self._infer[width]

    def _descend(self, words, steps):
        """Vectors `(batch, dim)` for ids `(batch, any)`: `steps` passes over each document, a run of every document at a time."""
        runs, draws = self._runs(words), self._draws()
        keep = ops.convert_to_tensor(self._keep)
        # a document's own number of runs, so that its vector depends neither on padding nor on the others
        known = ops.sum(ops.cast(words > text.UNKNOWN, "int32"), axis=1)
        number = ops.maximum(ops.floor_divide(known + self.run - 1, self.run), 1)
        last = number * steps
        end = min(self.learning_rate, self.end_learning_rate)

        def step(i, vectors):
            words = ops.take_along_axis(runs, (i % number)[None, :, None], axis=0)[0]
            # sub-sampling by its expectation, so that a document always gets the same vector
            weights = self._valid(words) * ops.take(keep, self._targets(words), axis=0)
            chosen = ops.take(draws, i % SETS, axis=0)
            gradient = autodiff.grad(lambda v: ops.sum(self._word_losses(v, words, weights, draws=chosen)), vectors)
            done = ops.cast(i, "float32") / ops.cast(last, "float32")
            rate = ops.where(i < last, self.learning_rate + (end - self.learning_rate) * done, 0.0)
            return vectors - rate[:, None] * gradient

        start = ops.zeros((ops.shape(words)[0], self.dim), "float32")
        return ops.fori_loop(0, ops.max(last), step, start)

    def _runs(self, words):
        """Ids `(batch, any)` without unknown words, cut into runs `(runs, batch, halo + run + halo)`."""
        width = words.shape[1]
        place = ops.arange(width, dtype="int32")
        order = ops.argsort(ops.where(words > text.UNKNOWN, 0, width) + place, axis=1)
        words = ops.where(words > text.UNKNOWN, words, 0)
        words = ops.take_along_axis(words, order, axis=1)
        number = -(-width // self.run)
        words = ops.pad(words, [[0, 0], [self.halo, number * self.run - width + self.halo]])
        places = np.arange(number)[:, None] * self.run + np.arange(self.run + 2 * self.halo)
        return ops.transpose(ops.take(words, places.astype("int32"), axis=1), (1, 0, 2))

    def _draws(self):
        """Fixed draws for inference, which is to give the same vector each time and on each backend, `(SETS, DRAWS)`."""
        if isinstance(self.predict_words, HierarchicalSoftmax):
            return ops.zeros((SETS, 1), "int32")
        return ops.convert_to_tensor(self.predict_words.sampler.fixed((SETS, DRAWS)))

    # --- verbs ---

    @checked
    def encode(self, texts: Texts):
        """Ids `(texts, length)` int32 of a list of strings: cut or padded on the right; 0 is padding, 1 an unknown word."""
        return np.asarray(ops.convert_to_numpy(self.vectorization(texts)), "int32")

    @checked
    def bags(self, texts: Documents | Numbers | Texts):
        """How often each text has each word of the vocabulary, scipy CSR `(texts, words)`; `texts` as in `infer`."""
        words, lengths = self._flat(texts)
        bags = sparse.csr_matrix(
            (np.ones(len(words), "float32"), words - 2, np.cumsum([0, *lengths])), (len(lengths), len(self.vocabulary))
        )
        bags.sum_duplicates()
        return bags

    @checked
    def vector(self, word: Text):
        """The vector `(dim,)` of a word of the vocabulary.

        Raises:
            ValueError: if the word is not in the vocabulary, or the model learns no vectors of words.
        """
        return self._word_vector("word", word)

    def _word_vector(self, name, word):
        table = self._table("words")
        if self._ids is None:
            self._ids = {word: number for number, word in enumerate(self.vocabulary)}
        if word not in self._ids:
            raise ValueError(f"`{name}` must be one of the {len(self.vocabulary)} words of the vocabulary. Received: {word!r}")
        return table[self._ids[word]]

    @checked
    def most_similar(
        self,
        query: Text | Index | Numbers | None = None,
        k: Count = 10,
        positive=(),
        negative=(),
        among: Literal["documents", "words"] = "documents",
    ) -> list[tuple]:
        """What has the largest cosine with a query, or with a sum of vectors (section 4.1 of arXiv 1507.07998: arithmetic).

        Args:
            query: number of a document, a text (whose vector is inferred), or a vector `(dim,)`; or give `positive`.
            k: how many to return.
            positive: list of what to add: numbers of documents, words, or vectors; each is first scaled to length one.
            negative: list of what to take away.
            among: `"documents"` or `"words"`.

        Returns:
            List of (number of the document or word, cosine), the best first, without those that were asked for.

        Raises:
            ValueError: if a word or document is not known, or an argument is not one of these.
        """
        positive, negative = (arguments.listed(name, items, empty=True) for name, items in (("positive", positive), ("negative", negative)))
        if (query is None) == (not len(positive)):
            raise ValueError(
                f"`query` or `positive` must be given, and not both. Received: {arguments.shown(query)}, {len(positive)} items"
            )
        table = self._table(among)
        given = [] if query is None else [self.infer([query])[0] if isinstance(query, str) else query]
        vectors = [self._look_up("query", item) for item in given] + [self._look_up("positive", item) for item in positive]
        known = {
            item if among == "documents" or isinstance(item, str) else None for item in (*given, *positive, *negative) if np.ndim(item) == 0
        }
        total = sum(map(_unit, vectors)) - sum(_unit(self._look_up("negative", item)) for item in negative)
        cosines = _unit(table) @ _unit(total)
        order = np.argsort(-cosines, kind="stable")[: k + len(known)]
        named = [(int(i) if among == "documents" else self.vocabulary[i], float(cosines[i])) for i in order]
        return [pair for pair in named if pair[0] not in known][:k]

    def signatures(self):
        """`serve`: vectors of texts; `ids`: vectors of ids as `encode` gives them."""
        infer = lambda words: {self.output_name: self._descend(words, self.steps or STEPS)}  # noqa: E731
        return {
            "serve": (lambda texts: infer(ops.cast(self.vectorization(texts), "int32")), [Field("text", (), "string")]),
            "ids": (infer, self.input_fields()),
        }

    def _table(self, kind):
        if not hasattr(self, kind):
            raise ValueError(f"`{kind}` have no vectors in this model. Received: {type(self).__name__} that learns documents alone")
        return ops.convert_to_numpy(getattr(self, kind))

    def _look_up(self, name, item):
        """The vector that is meant by a word, the number of a document, or a vector."""
        if isinstance(item, str):
            return self._word_vector(name, item)
        if np.ndim(item) == 0:
            return self._table("documents")[arguments.count(name, item, 0, self.num_documents - 1)]
        if np.shape(item) != (self.dim,):
            raise ValueError(f"`{name}` must be a vector of shape ({self.dim},). Received: {np.shape(item)}")
        return arguments.numbers(name, item).astype("float32")

    def _flat(self, x):
        """Ids of known words one after the other, and the number of them in each document."""
        if isinstance(x, np.ndarray) and x.dtype.kind not in "OUS":
            x = Field("words", (None,), "int32", 0, len(self.vocabulary) + 1).convert(x)
            ids, lengths = x.ravel().astype("int32"), np.full(len(x), x.shape[1])
        else:
            ids, lengths = text.flat_ids(list(x), self.vocabulary, self.ngrams)
        known = ids > text.UNKNOWN
        owners = np.repeat(np.arange(len(lengths)), lengths)
        return ids[known], np.bincount(owners[known], minlength=len(lengths))


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _default(cls, name):
    """The default of a constructor argument, or the attribute of a class without it."""
    import inspect

    parameter = inspect.signature(cls.__init__).parameters.get(name)
    return getattr(cls, name) if parameter is None else parameter.default
