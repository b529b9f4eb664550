"""Replies that know the turn before last: recurrent language models of replies that bags of words of the context steer.

Paper: Sordoni, Galley, Auli, Brockett, Ji, Mitchell, Nie, Gao, Dolan 2015, "A Neural Network Approach to Context-Sensitive Generation of
Conversational Responses", arXiv 1506.06714. A reply answers a message, the last turn, in a context, the turns before it. Three models
(section 3):

- `"rlmt"`: a recurrent language model of the whole triple, context, message and reply, as one text.
- `"dcgm1"`: the words of context and message in one bag, which a feed-forward network makes a vector that every step of the language model
  of replies reads.
- `"dcgm2"`: the same with a bag for each of the two, so that the message is told from the context.

They write replies, and they rank those of other systems: `tune` finds weights for the model's score, for runs of words that a candidate
has in common with context and message, and for scores of one's own, such as retrieval's (section 5.2).

Shapes: word ids `source` `(batch, length)`, turns with `<turn>` between them, and `target` `(batch, length)` -> log-probability of the
reply `(batch,)`, in nats.

Differences from the paper:
1. The vector of the context goes through a matrix on its way into the recurrent layer, and that layer has tanh in place of the logistic
   function. `cell` may be `"gru"` or `"lstm"`.
2. Adam in place of AdaGrad; dropout on what the layers read. Noise-contrastive estimation, the paper's loss, is asked for by `samples`.
3. Weights of a ranking are found by differential evolution in place of MERT, for the same corpus BLEU.
4. Default sizes are those that a laptop trains: the paper has `embedding_size=512, units=512`, 50,000 words.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, text
from zoo.arguments import Index, Positive, Sentences, TextLists, checked
from zoo.decoding import rank_weights
from zoo.families.responder import Responder
from zoo.layers.noise_contrastive import NoiseContrastive
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.recurrent_encoder import CELLS
from zoo.layers.rows import RowEmbedding
from zoo.layers.word_softmax import WordSoftmax
from zoo.metrics.text_overlap import bleu_of, bleu_statistics

KINDS = ("rlmt", "dcgm1", "dcgm2")
# runs of words that candidates share with context and message
_LONGEST_RUN = 4


class DynamicContextModel(Responder):
    """Replies to a message in a context (Sordoni et al. 2015, arXiv 1506.06714).

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts, 20000)` gives.
        kind: `"dcgm2"`, `"dcgm1"` or `"rlmt"`.
        turns: so many of the last turns are read: the message and, as in the paper, one turn of context.
        source_length: words read of them, the last ones.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: of the recurrent layer.
        cell: `"rnn"`, `"gru"` or `"lstm"`.
        context_units: of the layers that read the bags.
        context_layers: how many of them, the first one linear.
        samples: words drawn for a batch by noise-contrastive estimation, which takes the place of the softmax in training; `None` for none.
        dropout: rate on what each layer reads, in training.
        features: scores of one's own that `tune` and `rerank` take beside the model's and those of common words.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 64
    _attention_argument = "kind"

    def __init__(
        self,
        vocabulary,
        kind: Literal["rlmt", "dcgm1", "dcgm2"] = "dcgm2",
        turns=2,
        source_length=50,
        target_length=30,
        embedding_size=128,
        units=128,
        cell="rnn",
        context_units=128,
        context_layers=2,
        samples=None,
        dropout=0.2,
        features=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("kind", kind, KINDS)
        arguments.one_of("cell", cell, tuple(CELLS))
        arguments.count("features", features, low=0)
        self.vocabulary, self.kind, self.turns, self.source_length, self.target_length = (
            vocabulary,
            kind,
            turns,
            source_length,
            target_length,
        )
        self.embedding_size, self.units, self.cell, self.context_units = embedding_size, units, cell, context_units
        self.context_layers, self.samples, self.dropout, self.features = context_layers, samples, dropout, features
        self._build_words()
        bags = {} if kind == "rlmt" else {"constant_dim": context_units}
        self.decoder = RecurrentDecoder(
            self.end + 1, embedding_size, units, cell=cell, readout=None, dropout=dropout, **bags, name="decoder"
        )
        if bags:
            sizes = (context_units, arguments.count("context_layers", context_layers), dropout)
            self.context = _Bags(self.end, *sizes, together=kind == "dcgm1", name="context")
        softmax = WordSoftmax(self.end + 1, units, name="word_softmax")
        self.word_softmax = softmax if samples is None else NoiseContrastive(self.end + 1, units, samples, name="word_softmax")
        # of the model's score, the length, common runs of words, and one's own
        self.rank_weights = self.add_weight((2 + _LONGEST_RUN + features,), _first_alone, trainable=False, name="rank_weights")
        self.compile()

    # --- the network ---

    @property
    def _attends(self):
        return False

    def _nats(self, x, training=False):
        found = super()._nats(x, training)
        if training and self.kind == "rlmt":
            # context and message are learned as well, each of their words as much as one of the reply
            source = ops.cast(x["source"], "int32")
            before = ops.pad(source, ((0, 0), (1, 0)), constant_values=self.end)[:, :-1]
            nats = self.word_softmax(self.decoder(before, training=training)[0], source, training=training)
            replies = ops.sum(1.0 + ops.sum(ops.cast(x["target"] != text.PADDING, "float32"), axis=1))
            self.add_loss(ops.sum(nats) / replies)
        return found

    def _read(self, source, training=False):
        source = ops.cast(source, "int32")
        if self.kind == "rlmt":
            # the sign between turns has the id of the end, which also stands before the first
            return self.decoder.read(ops.pad(source, ((0, 0), (1, 0)), constant_values=self.end), training=training)[1], {}
        return self.decoder.zero_state(ops.shape(source)[0]), {"constant": self.context(source, training=training)}

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    # --- ranking ---

    def _with_features(self, conversations, candidates, scores):
        """Features of candidates: for each conversation an array `(candidates, features)`."""
        sizes = [len(some) for some in candidates]
        if len(sizes) != len(conversations):
            arguments.refuse("candidates", f"{len(conversations)} lists, one for each of the conversations", candidates)
        flat = [one for one, some in zip(conversations, candidates) for _ in some]
        replies = [reply for some in candidates for reply in some]
        expected = f"a list of {len(sizes)} arrays, one for each of the conversations"
        given = [None] * len(sizes) if scores is None else arguments.listed("scores", scores, expected)
        if len(given) != len(sizes):
            arguments.refuse("scores", expected, scores)
        own = np.concatenate([_table(some, len(row), self.features) for some, row in zip(given, candidates)])
        likelihood = self.log_likelihood(flat, replies)
        words = text.tokenize(replies)
        # a sign that no reply has keeps runs within a turn
        shared = _common_runs(words, text.tokenize(["\ue000".join(self._recent(one)) for one in flat]))
        found = np.column_stack([likelihood, [len(line) + 1 for line in words], shared, own])
        return np.split(found, np.cumsum(sizes)[:-1])

    def _recent(self, conversation):
        """The turns that are read, a list."""
        return text.joined_turns([conversation])[0].split("\n")[-self.turns :]

    @checked
    def tune(
        self,
        conversations: Sentences,
        candidates: TextLists,
        references: TextLists,
        scores: list | None = None,
        bound: Positive = 10.0,
        seed: Index = 0,
    ) -> dict:
        """Choose the weights by which `rerank` orders candidates, by the BLEU of the first ones, and keep them with the model.

        Args:
            conversations: list of lists of turns, or of strings.
            candidates: for each a list of replies, each with a word or more, such as those of `respond` and of `zoo.text.Retrieval`.
            references: for each a list of one or more right replies.
            scores: for each an array `(candidates, features)` of one's own; `None` if the constructor's `features` is 0.
            bound: largest size of a weight; that of the model's score stays 1.
            seed: of the search.

        Returns:
            Dict: `weights`, an array, and `bleu`, that of the first candidates with them.
        """
        features = self._with_features(conversations, candidates, scores)
        if len(references) != len(candidates):
            arguments.refuse("references", f"{len(candidates)} lists, one for each of the conversations", references)
        right = [[" ".join(line) for line in text.tokenize(some)] for some in references]
        written = [[" ".join(line) for line in text.tokenize(some)] for some in candidates]
        statistics = [np.array(bleu_statistics(some, [wanted] * len(some), "none")) for some, wanted in zip(written, right)]
        start = ops.convert_to_numpy(_first_alone(self.rank_weights.shape))
        weights = rank_weights(features, statistics, start, bleu_of, bound, seed)
        self.rank_weights.assign(weights)
        best = sum(rows[int(np.argmax(some @ weights))] for some, rows in zip(features, statistics))
        return {"weights": weights, "bleu": bleu_of(best)}

    @checked
    def rerank(self, conversations: Sentences, candidates: TextLists, scores: list | None = None) -> list:
        """Candidates in the order of their weighted features.

        Args:
            conversations: list of lists of turns, or of strings.
            candidates: as in `tune`.
            scores: as in `tune`.

        Returns:
            For each conversation a list of pairs (reply, score), best first. Before `tune` the score is the log-probability.
        """
        features, weights = self._with_features(conversations, candidates, scores), ops.convert_to_numpy(self.rank_weights)
        totals = [some @ weights for some in features]
        return [[(some[i], float(total[i])) for i in np.argsort(-total, kind="stable")] for some, total in zip(candidates, totals)]

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "kind": "dcgm1",
            "turns": 3,
            "source_length": 7,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "cell": "gru",
            "context_units": 6,
            "context_layers": 3,
            "samples": 4,
            "dropout": 0.1,
            "features": 1,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        lists = {name: found["rank"][name] for name in ("conversations", "candidates")}
        scores = [np.ones((len(some), self.features)).tolist() for some in lists["candidates"]]
        tune = {**lists, "references": [["the mat"], ["a mat", "mat"]], "scores": scores, "bound": 2.0, "seed": 1}
        return {**found, "tune": tune, "rerank": {**lists, "scores": scores}}

    @classmethod
    def search_space(cls, hp):
        """Kind, sizes, dropout and learning rate."""
        return {
            "kind": hp.Choice("kind", list(KINDS)),
            "cell": hp.Choice("cell", ["rnn", "gru"]),
            "units": hp.Choice("units", [64, 128, 256, 512]),
            "context_units": hp.Choice("context_units", [128, 256, 512]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 5e-3, sampling="log"),
        }


class _Bags(layers.Layer):
    """Bags of the words of context and message, as one or as two, to a vector."""

    def __init__(self, turn, units, num_layers, dropout, together, **kwargs):
        super().__init__(**kwargs)
        self.turn, self.together, self.units = turn, together, arguments.count("context_units", units)
        self.table = RowEmbedding(turn + 1, units, name="table")
        self.table.build((None, None))
        self.dense = [layers.Dense(units, "sigmoid", name=f"dense_{i}") for i in range(1, num_layers)]
        for i, layer in enumerate(self.dense):
            layer.build((None, units if together or i else 2 * units))
        # two bags are as long as one vector at the end
        self.joined = None if together or num_layers > 1 else layers.Dense(units, use_bias=False, name="joined")
        if self.joined:
            self.joined.build((None, 2 * units))
        self.drop = layers.Dropout(dropout)
        self.built = True

    def call(self, source, training=False):
        """Ids `(batch, length)` with the id `turn` between turns -> `(batch, units)`; the words behind the last sign are the message's."""
        vectors = self.table(source)
        sign = ops.cast(source == self.turn, "int32")
        behind = ops.flip(ops.cumsum(ops.flip(sign, axis=1), axis=1), axis=1) == 0
        words = (source > 0) & (source != self.turn)
        masks = [words] if self.together else [words & ~behind, words & behind]
        x = ops.concatenate([ops.sum(vectors * ops.cast(mask, vectors.dtype)[..., None], axis=1) for mask in masks], axis=-1)
        x = self.joined(x) if self.joined else x
        for layer in self.dense:
            x = layer(self.drop(x, training=training))
        return x


def _first_alone(shape, dtype=None):
    """Weights before `tune`: of the model's score alone."""
    return ops.one_hot(0, shape[0], dtype=dtype)


def _table(scores, rows, columns):
    """One's own features of a list, checked."""
    found = np.zeros((rows, 0)) if scores is None else arguments.numbers("scores", scores, rank=2)
    if found.shape != (rows, columns):
        arguments.refuse("scores", f"arrays ({rows}, {columns}), as many columns as `features`", scores)
    return found


def _common_runs(lines, others):
    """How many runs of one to four words lines have in common with others: array `(lines, 4)`."""
    found = np.zeros((len(lines), _LONGEST_RUN))
    for row, line, other in zip(found, lines, others):
        for i in range(_LONGEST_RUN):
            known = set(_runs(other, i + 1))
            row[i] = sum(run in known for run in _runs(line, i + 1))
    return found


def _runs(words, length):
    return list(zip(*(words[i:] for i in range(length))))
