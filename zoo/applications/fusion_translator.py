"""Shallow and deep fusion: a neural translator and a language model of its target language, trained apart, that write together.

Paper: Gulcehre, Firat, Xu, Cho, Barrault, Lin, Bougares, Schwenk, Bengio 2015, "On Using Monolingual Corpora in Neural Machine
Translation", arXiv 1503.03535. There is much more text in one language than in two. The translator (`fit`) is RNNsearch: gated recurrent
units read the source in both directions, and others write with attention and a deep output of maxout units. The language model
(`fit_language_model`) is an LSTM over target texts. Shallow fusion adds its log-probabilities, times a weight that `tune` finds, to those
of the translator in the search. Deep fusion (`fit_fusion`) feeds its state, times a gate, to the deep output; gate and deep output alone
are then trained.

Shapes: word ids `source` `(batch, length)` and `target` `(batch, length)` -> log-probability of the target `(batch,)`, in nats.

Differences from the paper:
1. The deep output sees the state after the last word was read, where the paper's code has the one before; all decoders start from a dense
   layer of the last states of both directions.
2. Deep fusion has a deep output and a softmax of its own, which start as the translator's, so that one model can write with all three.
3. Adam in place of Adadelta; no weight noise; dropout on word vectors and on deep outputs.
4. Default sizes are a quarter of the paper's, which are `embedding_size=620, units=1000, lm_units=2400`.
5. The gate starts at s(-1), as the paper's; the language model's part of the deep output starts at zero.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Callbacks, Count, Flag, Numbers, Positive, Texts, Verbose, checked
from zoo.decoding import fused
from zoo.families.encoder_decoder import ROWS, Translator
from zoo.families.part_training import LanguageModelBeside, PartTraining
from zoo.layers.recurrent_decoder import maxout
from zoo.layers.word_softmax import WordSoftmax
from zoo.layers.word_writer import WordWriter
from zoo.metrics.text_overlap import bleu

FUSIONS = ("none", "shallow", "deep")


class FusionTranslator(LanguageModelBeside, Translator):
    """Translator that a language model helps (Gulcehre et al. 2015, arXiv 1503.03535).

    Args:
        source_vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        target_vocabulary: list of words of the other language, which the language model shares.
        source_length: words read of a text.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: of the reader, for each direction, and of the writer.
        lm_units: cells of the language model.
        attention: how attention is scored, see `zoo.layers.Attention`.
        dropout: rate on word vectors and on deep outputs, in training.
        fusion: what `translate` and the exported model do unless told otherwise: `"none"`, `"shallow"` or `"deep"`.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    # section 5.3
    default_batch_size = 80

    def __init__(
        self,
        source_vocabulary,
        target_vocabulary,
        source_length=50,
        target_length=50,
        embedding_size=128,
        units=256,
        lm_units=256,
        attention="additive",
        dropout=0.2,
        fusion="none",
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.count("lm_units", lm_units)
        arguments.one_of("fusion", fusion, FUSIONS)
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.source_length, self.target_length, self.embedding_size, self.units = source_length, target_length, embedding_size, units
        self.lm_units, self.attention, self.dropout, self.fusion = lm_units, attention, dropout, fusion
        self._build(
            embedding_size,
            units,
            encoder={"units": 2 * units, "cell": "gru", "bidirectional": True, "dropout": dropout},
            decoder={"cell": "gru", "attention": attention, "feed_context": True, "readout": "maxout", "dropout": dropout},
        )
        symbols = self.end + 1
        self.language_model = WordWriter(symbols, embedding_size, lm_units, dropout, name="language_model")
        self.deep_output = _DeepOutput(symbols, self.decoder.dense.kernel.shape[0], units, lm_units, dropout, name="deep_output")
        self.shallow_weight = self.add_weight((), keras.initializers.Constant(0.1), trainable=False, name="shallow_weight")
        self.language_model.trainable = self.deep_output.trainable = False
        self.compile()

    # --- the network ---

    def _stepper(self, source, fusion=None):
        fusion = fusion or self.fusion
        if fusion == "deep":
            return self._deep_stepper(source)
        models = [super()._stepper(source), (self.language_model.step, self.language_model.writer.zero_state(ops.shape(source)[0]))]
        return models[0] if fusion == "none" else fused(models, [1.0, self.shallow_weight])

    def _deep_stepper(self, source):
        state, stays = self._read(source)
        decode, listen = self.decoder.stepper(**stays, parts=True), self.language_model.writer.stepper()
        own = len(state)

        def step(ids, state):
            parts, moved = decode(ids, state[:own])
            heard, listened = listen(ids, state[own:])
            return self.deep_output.logits(parts, heard), [*moved, *listened]

        return step, [*state, *self.language_model.writer.zero_state(ops.shape(source)[0])]

    def _fused_nats(self, x, training=False):
        """Minus the log-probabilities of words under deep fusion `(batch, length + 1)`, and the gate before each."""
        target = ops.cast(x["target"], "int32")
        before = text.behind_end(target, self.end)
        # nothing below the deep output learns, nor drops
        state, stays = self._read(x["source"])
        parts = [ops.stop_gradient(part) for part in self.decoder.parts(before, state, **stays)[0]]
        heard = ops.stop_gradient(self.language_model.writer(before)[0])
        nats = self.deep_output(parts, heard, text.with_end(target, self.end), training=training)
        return nats, self.deep_output.gate(heard)[..., 0]

    # --- learning ---

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    @checked
    def fit_fusion(
        self,
        sources: Texts,
        targets: Texts,
        epochs: Count = 5,
        batch_size: Count = 80,
        learning_rate: Positive = 1e-3,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Train gate and deep output of deep fusion, after translator and language model (section 4.2); these stay as they are.

        The first call starts from the translator's deep output and softmax.

        Args:
            sources: list of strings.
            targets: list of as many strings.
            epochs: passes.
            batch_size: pairs in a batch.
            learning_rate: of Adam.
            callbacks: of `keras.Model.fit`.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History`; `loss` is the cross-entropy of a word in nats.
        """
        x = {name: text.trimmed(ids) for name, ids in self.encode(sources, targets).items()}
        self.deep_output.start_from(self.decoder.dense, self.word_softmax)
        options = {"batch_size": batch_size, "epochs": epochs, "callbacks": callbacks, "verbose": verbose}
        return PartTraining(self, lambda x, training: self._fused_nats(x, training)[0], "deep_output").learn(learning_rate, x, **options)

    @checked
    def tune(
        self, sources: Texts, targets: Texts, weights: Numbers = (0.0, 0.05, 0.1, 0.2, 0.3), beams: Count = 5, length_power: Amount = 1.0
    ) -> dict:
        """Choose the weight of shallow fusion by BLEU on held-out pairs, and keep it with the model.

        Args:
            sources: list of strings.
            targets: list of as many strings.
            weights: what is tried; none negative.
            beams: of the search.
            length_power: of the search.

        Returns:
            Dict from each weight to its BLEU, of words as the model knows them.
        """
        self.encode(sources, targets)
        tried = [arguments.number("weights", float(weight), low=0) for weight in arguments.numbers("weights", weights, rank=1)]
        wanted, scores = [" ".join(line) for line in text.tokenize(targets)], {}
        for weight in tried:
            self.shallow_weight.assign(weight)
            scores[weight] = bleu(self.translate(sources, beams, length_power, fusion="shallow"), wanted, tokenize="none")
        self.shallow_weight.assign(max(scores, key=scores.__getitem__))
        return scores

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "source_vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "target_vocabulary": ["a", "the", "cat", "mat", "sat"],
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "lm_units": 3,
            "attention": "general",
            "dropout": 0.1,
            "fusion": "deep",
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        pairs = {name: found["encode"][name] for name in ("sources", "targets")}
        training = {"epochs": 1, "batch_size": 2, "learning_rate": 0.01, "verbose": 0}
        return {
            **found,
            "translate": {**found["translate"], "fusion": "shallow"},
            "fit_language_model": {"texts": pairs["targets"], "validation_split": 0.0, **training},
            "fit_fusion": {**pairs, **training},
            "tune": {**pairs, "weights": [0.0, 0.5], "beams": 2, "length_power": 1.0},
            "fused_log_likelihood": {**pairs, "batch_size": 1},
            "gates": {**pairs, "batch_size": 1},
            "language_model_log_likelihood": {"texts": pairs["targets"], "batch_size": 1},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256]),
            "units": hp.Choice("units", [128, 256, 512]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 3e-3, sampling="log"),
        }

    # --- use ---

    @checked
    def translate(  # type: ignore[override]
        self,
        texts: Texts,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
        fusion: Literal["none", "shallow", "deep"] | None = None,
    ) -> list:
        """As `Translator.translate`; `fusion` is how the language model helps, as the constructor says by default."""
        fusion = fusion or self.fusion
        return self._written(texts, beams, length_power, n_best, batch_size, unknown, (fusion,), fusion=fusion)

    def _search(self, source, beams=1, length_power=0.0, unknown=False, fusion=None):
        return self._searched(source, self._stepper(source, fusion), beams, length_power, unknown, (fusion or self.fusion) != "shallow")

    @checked
    def fused_log_likelihood(self, sources: Texts, targets: Texts, batch_size: Count = ROWS) -> np.ndarray:
        """`log_likelihood` under deep fusion."""
        return -self._of_fusion(sources, targets, batch_size)[0].sum(axis=1)

    @checked
    def gates(self, sources: Texts, targets: Texts, batch_size: Count = ROWS) -> list:
        """How far deep fusion listens to the language model while it writes each word.

        Args:
            sources: list of strings.
            targets: list of as many strings.
            batch_size: texts at once.

        Returns:
            For each pair an array `(words of the target + 1,)` float32 in [0, 1]; the last is before the end.
        """
        gates, words = self._of_fusion(sources, targets, batch_size)[1], self.encode(sources, targets)["target"]
        return [row[: np.count_nonzero(ids) + 1] for row, ids in zip(gates, words)]

    def _of_fusion(self, sources, targets, batch_size):
        x = self.encode(sources, targets)
        run = self._graph("fusion", lambda source, target: list(self._fused_nats({"source": source, "target": target})))
        return autodiff.in_batches(run, [x["source"], x["target"]], batch_size)

    @checked
    def language_model_log_likelihood(self, texts: Texts, batch_size: Count = ROWS) -> np.ndarray:
        """Log-probabilities of texts under the language model, in nats: float32 array `(texts,)`."""
        run = self._graph("language_model", lambda ids: self.language_model.nats(ids, self.end))
        return -autodiff.in_batches(run, [self._ids("texts", texts, self.target_vectorization)], batch_size)[0].sum(axis=1)


class _DeepOutput(layers.Layer):
    """Maxout of what the translator and, through a gate, the language model know; and a softmax (section 4.2)."""

    def __init__(self, symbols, width, units, lm_units, dropout, **kwargs):
        super().__init__(**kwargs)
        self.gate = layers.Dense(1, "sigmoid", bias_initializer=keras.initializers.Constant(-1.0), name="gate")
        self.dense = layers.Dense(2 * units, name="dense")
        self.listen = layers.Dense(2 * units, use_bias=False, kernel_initializer="zeros", name="listen")
        self.drop = layers.Dropout(dropout)
        self.word_softmax = WordSoftmax(symbols, units, name="word_softmax")
        for layer, size in ((self.gate, lm_units), (self.dense, width), (self.listen, lm_units)):
            layer.build((None, None, size))
        self.started = self.add_weight((), "zeros", "int32", trainable=False, name="started")
        self.built = True

    def start_from(self, dense, word_softmax):
        """Take the weights of the translator's deep output and softmax, the first time."""
        if not int(self.started):
            for mine, theirs in ((self.dense, dense), (self.word_softmax, word_softmax)):
                for variable, value in zip(mine.weights, theirs.weights):
                    variable.assign(ops.convert_to_numpy(value))
            self.started.assign(1)

    def _features(self, parts, heard, training=False):
        heard = self.gate(heard) * heard
        return self.drop(maxout(self.dense(ops.concatenate(parts, axis=-1)) + self.listen(heard)), training=training)

    def logits(self, parts, heard):
        """Scores of the next word."""
        return self.word_softmax.logits(self._features(parts, heard))

    def call(self, parts, heard, targets, training=False):
        """Minus the log-probabilities of targets."""
        return self.word_softmax(self._features(parts, heard, training), targets, training=training)
