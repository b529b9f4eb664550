"""Paragraph vectors: a vector for each document, learned by predicting its words.

Dai, Olah, Le 2015, "Document Embedding with Paragraph Vectors", arXiv 1507.07998; the method is that of Le and Mikolov 2014, "Distributed
Representations of Sentences and Documents", arXiv 1405.4053. The distributed bag of words (PV-DBOW) predicts the words of a document from
its vector alone, here trained together with skip-gram vectors of words as the first paper does; the distributed memory (PV-DM) predicts a
word from the document's vector and those of the words around it. The output is a hierarchical softmax over a Huffman tree or negative
sampling. Vectors of new documents are inferred with all other weights frozen.

Shapes: `document` `(batch,)` and `words` `(batch, window + run + window)` ids in training, cut by `fit` from documents of any length;
`words` `(batch, length)` ids in `predict`, which infers vectors `(batch, dim)`. Ids: 0 padding, 1 unknown, words from 2.

Differences from the papers, and from word2vec and gensim, which update after every word:

1. A batch holds many words and is one update with the sum of their gradients. A row of a table that a batch uses more than `most_uses`
   times takes the mean of its gradients times this, as the sum would overshoot.
2. All inputs that predict a word at one place (the document and, in skip-gram, its neighbours) share its negative draws; with
   `shared_negatives` all words of a batch do.
3. Inference starts from zeros, weights words by their chance to survive the sub-sampling, weights neighbours by their chance to be in the
   window, and takes fixed draws, so that a document always gets the same vector.
4. Where the context of PV-DM is cut by the end of a document, concatenation fills it with zeros.
5. With a mean as context every vector takes the whole gradient of the mean, as in word2vec, where the derivative is its share of it.
6. Words that are not in the vocabulary are removed before windows are formed, as in gensim.
"""

import keras
import numpy as np
from keras import ops

from zoo.families.document_vectors import DocumentVectors
from zoo.layers.rows import fetch_rows
from zoo.layers.word_prediction import NegativeSampling

FORMS = ("dbow", "dm")
CONTEXTS = ("mean", "sum", "concat")


class ParagraphVectors(DocumentVectors):
    """Paragraph vectors (Dai et al. 2015, arXiv 1507.07998); `from_texts` makes a model for a list of documents, `fit` trains it.

    Args:
        vocabulary: list of words; ids are their places plus 2.
        counts: how often each occurs.
        num_documents: documents that have a vector of their own.
        dim: length of the vectors.
        form: `"dbow"` (the paper's) or `"dm"`.
        train_words: whether `"dbow"` learns vectors of words beside it, by skip-gram (section 2: it improves the documents' vectors).
        context: how `"dm"` joins the vectors of document and words: `"mean"`, `"sum"` or `"concat"` (the 2014 paper's).
        window: words on either side of a word that are its context; each time a random number up to this (but all for `"concat"`).
        prediction: `"hierarchical_softmax"` (the paper's) or `"negative_sampling"`.
        negative: draws of negative sampling.
        power: of the counts in these draws.
        shared_negatives: 0, or how many draws all words of a batch share, each weighted by `negative / shared_negatives`: faster, and
            the same on average; 256 for some thousand words, 1024 for ten thousand and more.
        sample: relative frequency from which on words are sub-sampled; 0 for none.
        run: words of a document that make a training example.
        most_uses: limit of what one batch adds to one row, see difference 1; `None` for none.
        learning_rate: of the first batch, and of the first step of inference.
        end_learning_rate: of the last.
        steps: passes over a document in inference; `None` for as many as the first `fit` has epochs, 5 before it.
        length: words of a document in `encode`, `predict` and exported signatures.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(
        self,
        vocabulary,
        counts,
        num_documents,
        dim=100,
        form="dbow",
        train_words=True,
        context="mean",
        window=8,
        prediction="hierarchical_softmax",
        negative=5,
        power=0.75,
        shared_negatives=0,
        sample=1e-3,
        run=16,
        most_uses=256,
        learning_rate=0.025,
        end_learning_rate=1e-4,
        steps=None,
        length=256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, choices in (("form", form, FORMS), ("context", context, CONTEXTS)):
            if value not in choices:
                raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}")
        if window < 1:
            raise ValueError(f"`window` must be at least 1. Received: {window}")
        self.vocabulary, self.counts, self.num_documents, self.dim = vocabulary, counts, num_documents, dim
        self.form, self.train_words, self.context, self.window = form, train_words, context, window
        self.prediction, self.negative, self.power, self.shared_negatives = prediction, negative, power, shared_negatives
        self.sample, self.run, self.most_uses = sample, run, most_uses
        self.learning_rate, self.end_learning_rate, self.steps, self.length = learning_rate, end_learning_rate, steps, length

        self.halo = window if form == "dm" or train_words else 0
        input_dim = dim * (1 + 2 * window) if form == "dm" and context == "concat" else dim
        self._make(prediction, shared_negatives, input_dim, top=64 if self.halo else 64 * run)
        if self.halo:
            self.words = self._embeddings("words", len(vocabulary))
            # distance of each place of a run and its halo from each word of the run
            self._distance = np.abs(np.arange(run)[:, None] + window - np.arange(run + 2 * window)).astype("int32")
        self.seed_generator = keras.random.SeedGenerator()
        self.compile()

    @classmethod
    def example_config(cls):
        """Six documents and a few words, with the options that are not the default."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "mat", ","],
            "counts": [9, 4, 3, 3, 2, 1],
            "num_documents": 6,
            "dim": 4,
            "form": "dm",
            "context": "sum",
            "window": 2,
            "prediction": "negative_sampling",
            "negative": 3,
            "power": 0.5,
            "sample": 0.0,
            "run": 3,
            "most_uses": 8,
            "learning_rate": 0.1,
            "end_learning_rate": 1e-3,
            "steps": 3,
            "length": 7,
        }

    @classmethod
    def search_space(cls, hp):
        """Length of the vectors, window, output and learning rate."""
        return {
            "dim": hp.Int("dim", 16, 256, sampling="log"),
            "window": hp.Int("window", 2, 10),
            "prediction": hp.Choice("prediction", ["hierarchical_softmax", "negative_sampling"]),
            "learning_rate": hp.Float("learning_rate", 1e-2, 2e-1, sampling="log"),
        }

    def _word_losses(self, vectors, words, weights, training=False, draws=None):
        """Losses of the words of runs, see `DocumentVectors`."""
        targets, own = self._targets(words), vectors[:, None]
        options = {} if draws is None or not isinstance(self.predict_words, NegativeSampling) else {"draws": draws}
        if self.form == "dm":
            return self._distributed_memory(own, words, targets, weights, training, options)
        pairs = weights[..., None]
        if self.train_words and training:
            near = self._near(words, weights, training)
            own, pairs = ops.concatenate([own, self._context(words, near)], axis=1), ops.concatenate([pairs, near], axis=2)
        return self.predict_words(own, targets, pairs, **options)

    def _distributed_memory(self, own, words, targets, weights, training, options):
        """Losses `(words of all runs,)` or `(rows, run)`."""
        near = self._near(words, weights, training)
        context = self._context(words, near)
        if self.context == "concat":
            places = [i for i in range(2 * self.window + 1) if i != self.window]
            known = ops.cast(words > 1, "float32")[..., None]
            parts = [(context * known)[:, i : i + self.run] for i in places]
            inputs = ops.concatenate([ops.repeat(own, self.run, axis=1), *parts], axis=2)
        else:
            inputs = own + ops.matmul(near, context)
            if self.context == "mean":
                mean = inputs / (1 + ops.sum(near, axis=2, keepdims=True))
                # every vector takes the whole gradient of the mean, as in word2vec, and not its share
                inputs = inputs + ops.stop_gradient(mean - inputs)
        # every word is a row of its own
        single = ops.reshape(inputs, (-1, 1, inputs.shape[2]))
        return self.predict_words(single, ops.reshape(targets, (-1, 1)), ops.reshape(weights, (-1, 1, 1)), **options)

    def _context(self, words, near):
        """Vectors of the words of runs and halos `(rows, window + run + window, dim)`."""
        numbers = ops.maximum(words - 2, 0)
        return fetch_rows(self.words, numbers, ops.sum(near, axis=1), self.most_uses)

    def _near(self, words, weights, training):
        """Which places are in the window of which word of the run, `(rows, run, window + run + window)`, 0 to 1."""
        distance = ops.convert_to_tensor(self._distance)
        if self.context == "concat" and self.form == "dm":
            inside = ops.cast(distance <= self.window, "float32")[None]
        elif training:
            reach = keras.random.randint(ops.shape(weights), 1, self.window + 1, seed=self.seed_generator)
            inside = ops.cast(distance[None] <= reach[..., None], "float32")
        else:
            inside = ops.relu(self.window + 1 - ops.cast(distance, "float32"))[None] / self.window
        known = ops.cast(words > 1, "float32")[:, None] * ops.cast(distance > 0, "float32")
        return inside * known * ops.cast(weights > 0, "float32")[..., None]
