"""Replies that say something: a conversational model that is asked for the most informative reply, not for the most probable one.

Paper: Li, Galley, Brockett, Gao, Dolan 2015, "A Diversity-Promoting Objective Function for Neural Conversation Models", arXiv 1510.03055.
The most probable reply to nearly everything is "I don't know". In place of the probability of a reply T given the turns S, the search
maximises their mutual information. Three networks are trained by likelihood as ever: p(T | S) (`fit`), a language model p(T)
(`fit_language_model`) and p(S | T) (`fit_backward`). Two criteria use them (section 4):

- `"antilm"`: log p(T | S) - w log U(T) + r |T|, where U is the language model over the first `threshold` words alone, since what is said is
  decided there, and a penalty on later words makes them ungrammatical.
- `"bidi"`: a beam finds many probable replies, which log p(T | S) + w log p(S | T) + r |T| ranks anew.

`tune` finds the weights w and the rewards r for length.

Shapes: word ids `source` `(batch, length)`, turns with `<turn>` between them, and `target` `(batch, length)` -> log-probability of the
reply `(batch,)`, in nats.

Differences from the paper:
1. Weights are those of the grid with the best BLEU on held-out pairs, where the paper has minimum error rate training.
2. Adam in place of gradient descent whose rate is halved.
3. Default sizes are those that a laptop trains: the paper has 4 layers of 1000 units, vectors of 1000 numbers, 50,000 words, and lists of
   200 replies.
4. |T| counts the end of the reply as well.
"""

from itertools import product
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Callbacks, Count, Flag, Numbers, Positive, Sentences, Share, TextLists, Texts, Verbose, checked
from zoo.families.encoder_decoder import ROWS
from zoo.families.part_training import LanguageModelBeside, PartTraining
from zoo.families.responder import Responder
from zoo.layers.attention import SCORINGS
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.recurrent_encoder import RecurrentEncoder
from zoo.layers.word_softmax import WordSoftmax
from zoo.layers.word_writer import WordWriter
from zoo.metrics.text_overlap import bleu, chrf

CRITERIA = ("likelihood", "antilm", "bidi")
_TERMS = ("likelihood", "language_model", "backward", "length")
_METRICS = {"bleu": lambda texts, wanted: bleu(texts, wanted, tokenize="none"), "chrf": chrf}


class MMIConversationalModel(LanguageModelBeside, Responder):
    """Conversations to replies that maximise mutual information (Li et al. 2015, arXiv 1510.03055).

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts, 20000)` gives.
        turns: so many of the last turns are read.
        source_length: words read of them, the last ones.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: cells of each layer of all three networks.
        num_layers: layers on one another, in readers and writers.
        attention: how the words of the conversation are looked at, see `zoo.layers.Attention`; `None` for not at all.
        criterion: what `respond` and the exported model maximise unless told otherwise: `"bidi"`, `"antilm"` or `"likelihood"`.
        threshold: words of a reply, from its first, that `"antilm"` holds against the language model.
        dropout: rate on what each layer reads, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 64
    _attention_argument = "attention"

    def __init__(
        self,
        vocabulary,
        turns=1,
        source_length=50,
        target_length=30,
        embedding_size=128,
        units=128,
        num_layers=1,
        attention=None,
        criterion: Literal["likelihood", "antilm", "bidi"] = "bidi",
        threshold=5,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("attention", attention, (None, *SCORINGS))
        arguments.one_of("criterion", criterion, CRITERIA)
        arguments.count("threshold", threshold)
        self.vocabulary, self.turns, self.source_length, self.target_length = vocabulary, turns, source_length, target_length
        self.embedding_size, self.units, self.num_layers, self.attention = embedding_size, units, num_layers, attention
        self.criterion, self.threshold, self.dropout = criterion, threshold, dropout
        self._build_network()
        self.language_model = WordWriter(self.end + 1, embedding_size, units, dropout, name="language_model")
        sizes = {"embedding_size": embedding_size, "units": units, "num_layers": num_layers, "dropout": dropout}
        self.backward = _Backward(self.end, len(self._symbols()[0]) + 2, sizes, name="backward")
        self.mmi_weights = {
            name: self.add_weight((2,), keras.initializers.Constant(start), trainable=False, name=f"{name}_weights")
            for name, start in {"antilm": (0.3, 0.0), "bidi": (0.5, 0.0)}.items()
        }
        self.language_model.trainable = self.backward.trainable = False
        self.compile()

    # --- the network ---

    def _anti_stepper(self, source):
        """`step` and state of a search by scores of words: those of the language model count against the first ones."""
        (one, own), weights = self._stepper(source), self.mmi_weights["antilm"]
        batch, count = ops.shape(source)[0], len(own)

        def step(ids, state):
            place = state[-1]
            logits, moved = one(ids, state[:count])
            heard, listened = self.language_model.step(ids, state[count:-1])
            chance, dull = (keras.activations.log_softmax(ops.cast(part, "float32")) for part in (logits, heard))
            early = ops.cast(place < self.threshold, "float32")[:, None]
            return chance - weights[0] * early * dull + weights[1], [*moved, *listened, place + 1]

        return step, [*own, *self.language_model.writer.zero_state(batch), ops.zeros((batch,), "int32")]

    def _search(self, source, beams=1, length_power=0.0, unknown=False, criterion=None):
        criterion = criterion or self.criterion
        if criterion == "likelihood":
            return super()._search(source, beams, length_power, unknown)
        if criterion == "antilm":
            return self._searched(source, self._anti_stepper(source), beams, 0.0, unknown, normalize=False)
        found, scores = super()._search(source, beams, 0.0, unknown)
        weights = self.mmi_weights["bidi"]
        flat = ops.reshape(found, (-1, found.shape[-1]))
        back = self._back(ops.where(flat == self.end, 0, flat)[:, :-1], ops.repeat(source, beams, axis=0))
        lengths = ops.sum(ops.cast(found > 0, "float32"), axis=-1)
        scores, order = ops.top_k(scores + weights[0] * ops.reshape(back, ops.shape(scores)) + weights[1] * lengths, beams)
        return [ops.take_along_axis(found, order[..., None], axis=1), scores]

    def _back(self, target, source):
        """Log-probabilities of conversations given replies `(batch,)`."""
        return -ops.sum(self.backward.nats(target, source), axis=1)

    def _terms(self, source, target):
        """What criteria add up, each `(batch,)`: `_TERMS`."""
        nats = self.language_model.nats(target, self.end)[:, : self.threshold]
        lengths = 1.0 + ops.sum(ops.cast(target != text.PADDING, "float32"), axis=1)
        return [self({"source": source, "target": target}), -ops.sum(nats, axis=1), self._back(target, source), lengths]

    # --- learning ---

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    @checked
    def fit_backward(
        self,
        sources: Sentences,
        targets: Texts,
        epochs: Count = 10,
        batch_size: Count = 64,
        learning_rate: Positive = 1e-3,
        validation_split: Share = 0.0,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Train p(S | T), for `"bidi"`, on conversations and replies; all else stays as it is.

        Args:
            sources: as `encode` takes them.
            targets: likewise.
            epochs: passes.
            batch_size: pairs in a batch.
            learning_rate: of Adam.
            validation_split: share of the pairs, the last ones, to watch `val_loss` on.
            callbacks: of `keras.Model.fit`.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History`; `loss` is the cross-entropy of a word of the conversations in nats.
        """
        x = {name: text.trimmed(ids) for name, ids in self.encode(sources, targets).items()}
        part = PartTraining(self, lambda x, training: self.backward.nats(x["target"], x["source"], training), "backward")
        options = {"batch_size": batch_size, "epochs": epochs, "callbacks": callbacks, "verbose": verbose}
        return part.learn(learning_rate, x, validation_split=validation_split, **options)

    @checked
    def tune(
        self,
        sources: Sentences,
        targets: Texts,
        criterion: Literal["antilm", "bidi"] = "bidi",
        weights: Numbers = (0.0, 0.1, 0.3, 0.5, 1.0),
        rewards: Numbers = (0.0, 0.25, 0.5, 1.0),
        beams: Count = 20,
        metric: Literal["bleu", "chrf"] = "bleu",
    ) -> dict:
        """Choose weight and reward for length of a criterion on held-out pairs, and keep them with the model.

        Args:
            sources: as `encode` takes them.
            targets: likewise.
            criterion: whose.
            weights: what is tried, of the language model or of p(S | T); none negative.
            rewards: what is tried for each word.
            beams: of the search.
            metric: of the corpus, by which the best pair is chosen.

        Returns:
            Dict from each pair of weight and reward to the metric.
        """
        self.encode(sources, targets)
        tried = product(
            [arguments.number("weights", float(one), low=0) for one in arguments.numbers("weights", weights, rank=1)],
            [float(one) for one in arguments.numbers("rewards", rewards, rank=1)],
        )
        wanted = [" ".join(words) for words in text.tokenize(targets)]
        run = self._rewritten(sources, beams) if criterion == "antilm" else self._reranked(sources, beams)
        scores = {pair: float(_METRICS[metric](run(pair), wanted)) for pair in tried}
        self.mmi_weights[criterion].assign(max(scores, key=scores.__getitem__))
        return scores

    def _rewritten(self, sources, beams):
        """A function from weights to replies, which a search finds with them."""

        def run(weights):
            self.mmi_weights["antilm"].assign(weights)
            return self.respond(sources, beams, criterion="antilm")

        return run

    def _reranked(self, sources, beams):
        """A function from weights to replies, out of lists that are searched once."""
        lists = self.respond(sources, beams, 0.0, n_best=beams, criterion="likelihood")
        pairs = [(i, reply) for i, row in enumerate(lists) for reply, _ in row if reply]
        found = self.terms([sources[i] for i, _ in pairs], [reply for _, reply in pairs])

        def run(weights):
            scores = self._total("bidi", found, weights)
            best: dict = {}
            for (i, reply), score in zip(pairs, scores):
                best[i] = max(best.get(i, (-np.inf, "")), (score, reply))
            return [best.get(i, (0.0, ""))[1] for i in range(len(lists))]

        return run

    # --- use ---

    @checked
    def respond(  # type: ignore[override]
        self,
        conversations: Sentences,
        beams: Count = 20,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
        criterion: Literal["likelihood", "antilm", "bidi"] | None = None,
    ) -> list:
        """The best replies by a criterion.

        Args:
            conversations: list of lists of turns, or of strings.
            beams: replies that are followed at once, and that `"bidi"` ranks anew.
            length_power: of `"likelihood"`, which is ranked by log-probability over length to this power.
            n_best: give so many to each conversation, with scores.
            unknown: whether `<unknown>` may be written.
            batch_size: conversations at once.
            criterion: as the constructor says by default.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each conversation a list of pairs (string, score), best first.

        Raises:
            ValueError: if a conversation has no word.
        """
        criterion = criterion or self.criterion
        return self._written(conversations, beams, length_power, n_best, batch_size, unknown, (criterion,), criterion=criterion)

    @checked
    def terms(self, conversations: Sentences, replies: Texts, batch_size: Count = ROWS) -> dict:
        """What the criteria are made of.

        Args:
            conversations: list of lists of turns, or of strings.
            replies: list of as many strings.
            batch_size: pairs at once.

        Returns:
            Dict of float32 arrays `(n,)`: `likelihood`, log p(T | S); `language_model`, log U(T); `backward`, log p(S | T); `length`, words
            and the end.
        """
        x = self.encode(conversations, replies)
        run = self._graph("terms", self._terms)
        return dict(zip(_TERMS, autodiff.in_batches(run, [x["source"], x["target"]], batch_size)))

    @checked
    def rank(  # type: ignore[override]
        self,
        conversations: Sentences,
        candidates: TextLists,
        length_power: Amount = 0.0,
        batch_size: Count = ROWS,
        criterion: Literal["likelihood", "antilm", "bidi"] | None = None,
    ) -> list:
        """As `Responder.rank`, by a criterion, as the constructor says by default."""
        return self._ranked(conversations, candidates, length_power, batch_size, criterion=criterion or self.criterion)

    def _scores(self, conversations, replies, batch_size, criterion="likelihood"):
        if criterion == "likelihood":
            return super()._scores(conversations, replies, batch_size)
        weights = ops.convert_to_numpy(self.mmi_weights[criterion])
        return self._total(criterion, self.terms(conversations, replies, batch_size), weights)

    def _total(self, criterion, terms, weights):
        """Scores of replies by their terms."""
        other = -terms["language_model"] if criterion == "antilm" else terms["backward"]
        return terms["likelihood"] + weights[0] * other + weights[1] * terms["length"]

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        pairs = {name: found["encode"][name] for name in ("sources", "targets")}
        training = {"epochs": 1, "batch_size": 2, "learning_rate": 0.01, "validation_split": 0.5, "verbose": 0}
        return {
            **found,
            "respond": {**found["respond"], "criterion": "antilm"},
            "rank": {**found["rank"], "criterion": "bidi"},
            "terms": {"conversations": pairs["sources"], "replies": pairs["targets"], "batch_size": 1},
            "fit_language_model": {"texts": pairs["targets"], **training},
            "fit_backward": {**pairs, **training},
            "tune": {**pairs, "criterion": "bidi", "weights": [0.0, 0.5], "rewards": [0.0], "beams": 2, "metric": "chrf"},
        }

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "turns": 2,
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "attention": "dot",
            "criterion": "antilm",
            "threshold": 2,
            "dropout": 0.1,
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, layers, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256]),
            "units": hp.Choice("units", [64, 128, 256, 512]),
            "num_layers": hp.Int("num_layers", 1, 4),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 5e-3, sampling="log"),
        }


class _Backward(layers.Layer):
    """Replies to conversations: what was said before, as one text, given what was answered."""

    def __init__(self, reply_symbols, symbols, sizes, **kwargs):
        super().__init__(**kwargs)
        self.end = symbols
        self.encoder = RecurrentEncoder(reply_symbols, **sizes, name="encoder")
        self.decoder = RecurrentDecoder(symbols + 1, **sizes, readout=None, name="decoder")
        self.word_softmax = WordSoftmax(symbols + 1, sizes["units"], name="word_softmax")
        self.built = True

    def nats(self, target, source, training=False):
        """Minus the log-probabilities of the words of the conversation and of its end `(batch, length + 1)`."""
        target, source = ops.cast(target, "int32"), ops.cast(source, "int32")
        state = self.encoder(target, training=training)[1]
        before = text.behind_end(source, self.end)
        features = self.decoder(before, state, training=training)[0]
        return self.word_softmax(features, text.with_end(source, self.end), training=training)
