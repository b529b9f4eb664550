"""Sentences from a continuous space: a variational autoencoder of LSTMs whose code can be drawn, walked through, and searched.

Paper: Bowman, Vilnis, Vinyals, Dai, Jozefowicz, Bengio 2015, "Generating Sentences from a Continuous Space", arXiv 1511.06349. The decoder
is a language model that starts from a Gaussian code of the whole sentence. Two tricks keep it from ignoring the code: the divergence of the
codes from their prior costs nothing at first (annealing), and words that the decoder reads are dropped. `latent_dim=0` leaves the code out:
the paper's baseline, the plain language model (RNNLM), with everything else as it is.

Shapes: word ids `(batch, length)`, 0 for padding on the right and 1 for an unknown word -> a dict with the `mean` and `scale` of the codes
`(batch, latent_dim)`, and `reconstruction` and `kl` `(batch,)`, nats of a sentence; their sum bounds its negative log-likelihood.

Differences from the paper:
1. The end of a sentence is a symbol that is counted in likelihood and perplexity; it also stands before the first word. A sentence of more
   than `length` words is cut, and its end is where it was cut.
2. The paper draws the annealing curve without its numbers and tunes it; `kl_midpoint` and `kl_width` are ours, in steps of training.
3. Sizes are meant to be those of the paper's model for the Penn Treebank; they were not checked against it. Adam is our choice.
4. A decoder without inputs (`word_keep_rate=0`) reads the unknown word at every step, the start included.
5. Text that the model writes never holds the unknown word.
6. In imputation the first code is that of the sentence with unknown words in its blanks.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Count, Flag, Index, Numbers, Positive, Text, Texts, checked
from zoo.decoding.sequences import beam_search, sample_sequences
from zoo.families.word_vectors import WordVectors
from zoo.fields import PaddedField
from zoo.layers.highway import Highway
from zoo.layers.symbol_dropout import SymbolDropout
from zoo.losses.sequence_crossentropy import sequence_crossentropy
from zoo.metrics.perplexity import MeanPerplexity
from zoo.model import Field, Model

SCHEDULES = ("sigmoid", "linear", "constant")
CONDITIONS = ("state", "state_and_inputs")
SCALES = ("exp", "softplus")
CODE_LAYERS = ("highway", "dense")
# the logit of a word that must not be written; small enough to be exact beside others in sums over a sentence
_FORBIDDEN = -100.0
# texts of one compiled call of a verb
ROWS = 256
# a character for private use: the tokenizer leaves it alone, and no text should have it
_BLANK = "\ue000"


class SentenceVAE(WordVectors, Model):
    """Variational autoencoder of sentences with annealed divergence and word dropout; without code, the plain language model.

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        length: words of a sentence, at most.
        embedding_size: length of a word vector; encoder and decoder share them.
        units: cells of the LSTM of the encoder, and of that of the decoder.
        latent_dim: length of the code; 0 for the plain language model, which has no encoder.
        word_keep_rate: share of the words that the decoder reads in training; the others are unknown to it. 0 gives a decoder without
            inputs, in training and later.
        condition: how the decoder knows the code: `"state"`, by its first state, or `"state_and_inputs"`, at every step as well.
        scale: `"exp"` or `"softplus"`, what makes the variance of the code positive.
        code_layers: layers between encoder and code, and as many between code and decoder.
        code_layer: `"highway"` or `"dense"`, which kind.
        kl_schedule: weight of the divergence in training: `"sigmoid"`, `"linear"`, or `"constant"`: 1 from the start.
        kl_midpoint: step at which the weight is 1/2. A model that was trained for fewer steps has codes that are far from the prior, and a
            bound that says nothing; half of an epoch or more should come after it.
        kl_width: steps from there until the weight of `"linear"` is 1, or that of `"sigmoid"` is 0.73.
        right_to_left: whether sentences are written from their end.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        vocabulary,
        length=40,
        embedding_size=353,
        units=191,
        latent_dim=13,
        word_keep_rate=0.62,
        condition="state",
        scale="exp",
        code_layers=0,
        code_layer="highway",
        kl_schedule="sigmoid",
        kl_midpoint=1000,
        kl_width=100,
        right_to_left=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (
            ("condition", condition, CONDITIONS),
            ("scale", scale, SCALES),
            ("code_layer", code_layer, CODE_LAYERS),
            ("kl_schedule", kl_schedule, SCHEDULES),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
        for name, value, least in (
            ("length", length, 1),
            ("embedding_size", embedding_size, 1),
            ("units", units, 1),
            ("latent_dim", latent_dim, 0),
            ("code_layers", code_layers, 0),
            ("kl_midpoint", kl_midpoint, 0),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {value}")
        if not 0 <= word_keep_rate <= 1:
            raise ValueError(f"`word_keep_rate` must lie between 0 and 1. Received: {word_keep_rate}")
        if not kl_width > 0:
            raise ValueError(f"`kl_width` must be above 0. Received: {kl_width}")
        self.vocabulary, self.length, self.embedding_size, self.units = vocabulary, length, embedding_size, units
        self.latent_dim, self.word_keep_rate, self.condition, self.scale = latent_dim, word_keep_rate, condition, scale
        self.code_layers, self.code_layer, self.kl_schedule = code_layers, code_layer, kl_schedule
        self.kl_midpoint, self.kl_width, self.right_to_left = kl_midpoint, kl_width, right_to_left
        # 0 padding, 1 unknown, the words, and the end of a sentence
        self.end = len(vocabulary) + 2
        self.vectorization = text.word_vectorization(vocabulary, length)
        self._lookup = text.name_lookup(vocabulary)
        self._words = np.array(["", "[UNK]", *vocabulary, ""], object)
        self._build_decoder()
        if latent_dim:
            self.encoder = self._build_encoder()
            self.start = self._build_start()
        self.seed_generator = keras.random.SeedGenerator()
        # kept with the weights, so that a loaded model goes on where it was
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", trainable=False, dtype="float32", autocast=False)
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.kl = keras.metrics.Mean("kl")
        self.perplexity = MeanPerplexity("perplexity")
        self.compile()

    # --- the network ---

    def _build_encoder(self):
        """Word ids -> mean and log-variance of the code `(batch, latent_dim)` (figure 1)."""
        words = keras.Input((self.length,), dtype="int32", name="words")
        last = ops.max(ops.where(words != text.PADDING, ops.arange(self.length, dtype="int32"), 0), axis=1)
        # states before the padding do not see it: without a mask the recurrence is twice as fast
        states = layers.LSTM(self.units, return_sequences=True, name="reader")(self.embedding(words))
        x = ops.sum(states * ops.one_hot(last, self.length, dtype=states.dtype)[..., None], axis=1)
        x = self._code_layers(x)
        mean = layers.Dense(self.latent_dim, dtype="float32", name="mean")(x)
        spread = layers.Dense(self.latent_dim, dtype="float32", name="spread")(x)
        log_variance = spread if self.scale == "exp" else ops.log(ops.softplus(spread) + 1e-6)
        return keras.Model(words, [mean, log_variance], name="encoder")

    def _build_start(self):
        """Code -> first state of the decoder, `h` and `c`."""
        code = keras.Input((self.latent_dim,), name="code")
        x = self._code_layers(layers.Dense(self.units, name="widen")(code)) if self.code_layers else code
        return keras.Model(code, [layers.Dense(self.units, name="h")(x), layers.Dense(self.units, name="c")(x)], name="start")

    def _code_layers(self, x):
        for _ in range(self.code_layers):
            x = Highway()(x) if self.code_layer == "highway" else layers.Dense(self.units, activation="relu")(x)
        return x

    def _build_decoder(self):
        self.embedding = layers.Embedding(self.end + 1, self.embedding_size, name="embedding")
        self.embedding.build((None, self.length))
        self.word_dropout = SymbolDropout(1 - self.word_keep_rate if self.word_keep_rate else 0.0, drop_id=text.UNKNOWN)
        given = self.latent_dim if self.condition == "state_and_inputs" else 0
        self.writer = layers.LSTM(self.units, return_sequences=True, name="writer")
        self.writer.build((None, self.length + 1, self.embedding_size + given))
        self.logits = layers.Dense(self.end + 1, dtype="float32", name="logits")
        self.logits.build((None, self.length + 1, self.units))

    def call(self, x, training=False):
        """Codes, and nats of the sentences: at a random code in training, else at the mean (equation 1).

        Args:
            x: word ids `(batch, length)`.
            training: whether to draw codes and to drop words.

        Returns:
            Dict of `mean` and `scale` `(batch, latent_dim)` (unless that is 0), `reconstruction` and `kl` `(batch,)`, float32.
        """
        x = ops.cast(x, "int32")
        if not self.latent_dim:
            nats = self._nats(x, ops.zeros((ops.shape(x)[0], 0)), training)
            return {"reconstruction": nats, "kl": ops.zeros_like(nats)}
        mean, log_variance = self.encoder(x)
        scale = ops.exp(0.5 * log_variance)
        nats = self._nats(x, self._draw(mean, scale) if training else mean, training)
        kl = 0.5 * ops.sum(mean**2 + scale**2 - 1 - log_variance, axis=1)
        return {"mean": mean, "scale": scale, "reconstruction": nats, "kl": kl}

    def _draw(self, mean, scale):
        return mean + scale * keras.random.normal(ops.shape(mean), seed=self.seed_generator)

    def _nats(self, words, codes, training=False):
        """Minus the log-probability of sentences, given their codes: `(batch,)`."""
        targets = text.with_end(_mirrored(words) if self.right_to_left else words, self.end)
        return ops.sum(sequence_crossentropy(targets, self._predict_next(targets, codes, training)), axis=1)

    def _predict_next(self, targets, codes, training):
        """Logits `(batch, length + 1, symbols)` of every symbol, given those before it (teacher forcing)."""
        before = self.word_dropout(targets[:, :-1], training=training)
        before = ops.pad(before, ((0, 0), (1, 0)), constant_values=self.end)
        return self.logits(self.writer(self._inputs(before, codes), initial_state=self._first_state(codes)))

    def _inputs(self, ids, codes):
        """What the decoder reads, `(batch, places, features)`."""
        if not self.word_keep_rate:
            ids = ops.full_like(ids, text.UNKNOWN)
        vectors = self.embedding(ids)
        if not self.latent_dim or self.condition == "state":
            return vectors
        codes = ops.broadcast_to(codes[:, None], (*ops.shape(ids), self.latent_dim))
        return ops.concatenate([vectors, ops.cast(codes, vectors.dtype)], axis=2)

    def _first_state(self, codes):
        if not self.latent_dim:
            return [ops.zeros((ops.shape(codes)[0], self.units), self.compute_dtype)] * 2
        return [ops.cast(part, self.compute_dtype) for part in self.start(codes)]

    def _word_tables(self):
        return [self.embedding.embeddings]

    # --- what goes in ---

    def input_fields(self):
        """Ids of the words, 0 for padding on the right; `encode` makes them."""
        return [PaddedField("words", (self.length,), "int32", 0, self.end - 1)]

    @classmethod
    def example_config(cls):
        """A few words, with every option on."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "length": 6,
            "embedding_size": 5,
            "units": 4,
            "latent_dim": 3,
            "word_keep_rate": 0.7,
            "condition": "state_and_inputs",
            "scale": "softplus",
            "code_layers": 1,
            "kl_schedule": "linear",
            "kl_midpoint": 0,
            "kl_width": 5.0,
            "right_to_left": True,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        texts, how = ["the cat sat", "a mat"], {"beams": 2, "seed": 1}
        coded = {
            "codes": {"texts": texts},
            "reconstruct": {"texts": texts, **how},
            "interpolate": {"first": texts[0], "second": texts[1], "steps": 2, "beams": 1},
        }
        return {
            **super().example_calls(),
            **(coded if self.latent_dim else dict.fromkeys(coded)),
            "kl_weight": {"step": 3},
            "encode": {"texts": texts},
            "log_likelihood": {"texts": texts, "samples": 2, "importance_weighted": True, "seed": 1, "batch_size": 1},
            "decode": {"codes": np.zeros((2, self.latent_dim)), "temperature": 0.5, **how},
            "sample": {"n": 2, "temperature": 0.5, **how},
            "impute": {"texts": ["the _ sat"], "beams": 2, "iterations": 1, "blank": "_", "batch_size": 1},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, both tricks, and the learning rate: what the paper searched at random."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256, 353]),
            "units": hp.Choice("units", [64, 128, 191, 256]),
            "latent_dim": hp.Int("latent_dim", 8, 64, sampling="log"),
            "word_keep_rate": hp.Float("word_keep_rate", 0.0, 1.0, step=0.1),
            "kl_midpoint": hp.Int("kl_midpoint", 200, 5000, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    # --- learning ---

    @checked
    def kl_weight(self, step: Numbers | None = None):
        """Weight of the divergence after so many steps of training (figure 2); by default after those that the model has had."""
        progress = ((self.steps if step is None else step) - self.kl_midpoint) / self.kl_width
        progress = ops.cast(progress, "float32")
        if self.kl_schedule == "constant":
            return ops.ones_like(progress)
        return ops.sigmoid(progress) if self.kl_schedule == "sigmoid" else ops.clip(0.5 + 0.5 * progress, 0.0, 1.0)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Nats of a sentence: minus the lower bound on its log-likelihood (equation 1), in training with the annealed divergence."""
        x = ops.cast(x, "int32")
        nats, kl = y_pred["reconstruction"], y_pred["kl"]
        weight = ops.ones(())
        if training:
            weight = self.kl_weight()
            self.steps.assign_add(1.0)
        elif self.latent_dim:
            # the nats of `call` are at the mean code, which bounds nothing
            nats = self._nats(x, self._draw(y_pred["mean"], y_pred["scale"]))
        rows = ops.ones_like(nats) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        symbols = ops.cast(_sizes(x) + 1, "float32")
        self.reconstruction.update_state(nats, sample_weight=rows)
        self.kl.update_state(kl, sample_weight=rows)
        self.perplexity.update_state((nats + kl) / symbols, sample_weight=rows * symbols)
        return ops.mean(rows * (nats + weight * kl))

    # --- text to codes ---

    @checked
    def encode(self, texts: Texts):
        """The ids that `fit` and `predict` take.

        Args:
            texts: list of strings; of a longer text the first `length` words are read.

        Returns:
            int32 array `(len(texts), length)`.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        return ops.convert_to_numpy(self.vectorization(texts)).astype("int32")

    @checked
    def codes(self, texts: Texts):
        """Mean and scale of the codes of texts (the posterior).

        Args:
            texts: list of strings, each with a word or more.

        Returns:
            Two float32 arrays `(len(texts), latent_dim)`.

        Raises:
            ValueError: if the model has no code, or a text no words.
        """
        self._needs_code("codes")
        found = autodiff.in_batches(self._graph("codes", self._mean_and_scale), [self._checked_ids(texts)], ROWS)
        return found[0], found[1]

    @checked
    def log_likelihood(self, texts: Texts, samples: Count = 10, importance_weighted: Flag = False, seed: Index = 0, batch_size: Count = 64):
        """A lower bound on the log-likelihood of each text, in nats; without code the log-likelihood itself.

        Args:
            texts: list of strings, each with a word or more.
            samples: codes to draw for each.
            importance_weighted: give the tighter bound of Burda et al. 2015 (arXiv 1509.00519) in place of the paper's.
            seed: of the draws.
            batch_size: texts at once.

        Returns:
            float32 array `(len(texts),)`.

        Raises:
            ValueError: if a text has no words, or `samples` is below 1.
        """
        ids = self._checked_ids(texts)
        shape = (len(ids), samples if self.latent_dim else 1, self.latent_dim)
        noise = np.random.default_rng(seed).normal(size=shape).astype("float32")
        return autodiff.in_batches(self._graph("bounds", self._bounds), (ids, noise), batch_size)[int(importance_weighted)]

    def _mean_and_scale(self, ids):
        mean, log_variance = self.encoder(ids)
        return [mean, ops.exp(0.5 * log_variance)]

    def _bounds(self, ids, noise):
        """The bound of the paper, and the importance-weighted one."""
        if not self.latent_dim:
            exact = -self._nats(ids, noise[:, 0])
            return [exact, exact]
        mean, log_variance = self.encoder(ids)
        samples = ops.shape(noise)[1]
        codes = mean[:, None] + ops.exp(0.5 * log_variance)[:, None] * noise
        nats = self._nats(ops.repeat(ids, samples, axis=0), ops.reshape(codes, (-1, self.latent_dim)))
        # log p(code) - log q(code); the constants cancel
        ratio = 0.5 * ops.sum(noise**2 - codes**2 + log_variance[:, None], axis=2)
        kl = 0.5 * ops.sum(mean**2 + ops.exp(log_variance) - 1 - log_variance, axis=1)
        nats = ops.reshape(nats, ops.shape(noise)[:2])
        return [-ops.mean(nats, axis=1) - kl, ops.logsumexp(ratio - nats, axis=1) - ops.log(ops.cast(samples, "float32"))]

    # --- codes to text ---

    @checked
    def decode(self, codes, beams: Count = 1, temperature: Positive | None = None, seed: Index | None = None):
        """The sentences of codes.

        Args:
            codes: float array `(sentences, latent_dim)`.
            beams: sentences that the search follows at once; 1 is greedy.
            temperature: draw words at random in place of the search; 1 draws by the model's own probabilities.
            seed: of such draws; `None` goes on with the model's generator.

        Returns:
            List of strings, words separated by spaces.

        Raises:
            ValueError: if the codes have another shape, or `beams` is below 1.
        """
        codes = arguments.numbers("codes", codes) if self.latent_dim else arguments.as_array("codes", codes)
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim or not len(codes):
            raise ValueError(f"`codes` must have shape (sentences, {self.latent_dim}). Received: {codes.shape}")
        codes = codes.astype("float32")
        if temperature is None:
            run = self._graph(("search", beams), partial(self._search, beams=beams))
        else:
            if seed is not None:
                self.seed_generator.state.assign(np.array([seed, 0], "uint32"))
            run = self._graph(("random", temperature), partial(self._random, temperature=temperature))
        return self._texts(autodiff.in_batches(run, [codes], ROWS)[0])

    @checked
    def sample(self, n: Count, beams: Count = 1, temperature: Positive | None = None, seed: Index | None = None):
        """Sentences of random codes of the prior; the plain language model needs a `temperature`, or all are the same.

        Args:
            n: how many.
            beams: as in `decode`.
            temperature: as in `decode`.
            seed: of codes and words.

        Returns:
            List of strings.

        Raises:
            ValueError: if `n` is below 1.
        """
        codes = np.random.default_rng(seed).normal(size=(n, self.latent_dim))
        return self.decode(codes, beams, temperature, seed)

    @checked
    def reconstruct(self, texts: Texts, beams: Count = 1, temperature: Positive | None = None, seed: Index | None = None):
        """What comes back of texts from their mean codes; the rest as in `decode`."""
        return self.decode(self.codes(texts)[0], beams, temperature, seed)

    @checked
    def interpolate(self, first: Text, second: Text, steps: Count = 5, beams: Count = 1):
        """The sentences on the line between the codes of two (the paper's homotopies).

        Args:
            first: string.
            second: string.
            steps: sentences to write, both ends included; at least 2.
            beams: as in `decode`.

        Returns:
            List of strings; the first and the last are reconstructions.

        Raises:
            ValueError: if `steps` is below 2, or the model has no code.
        """
        arguments.count("steps", steps, low=2)
        start, stop = self.codes([first, second])[0]
        part = np.linspace(0.0, 1.0, steps, dtype="float32")[:, None]
        return self.decode((1 - part) * start + part * stop, beams)

    @checked
    def impute(self, texts: Texts, beams: Count | None = None, iterations: Count = 3, blank: Text = "_", batch_size: Count = 128):
        """Fill in missing words (section 4): the most probable ones, in sum over the sentence, that a beam finds.

        With a code, words and code are improved in turn (iterated conditional modes): the best words given the code, then the mean code
        of the sentence so filled.

        Args:
            texts: list of strings; each `blank`, with spaces around it, is one missing word.
            beams: sentences that the search follows at once; by default the paper's 15 without code, and 5 with one.
            iterations: searches, with a code.
            blank: what marks a missing word.
            batch_size: texts at once.

        Returns:
            List of strings, words separated by spaces; all given words are as they were, in lower case.

        Raises:
            ValueError: if a text has no words or more than `length`, or `beams` or `iterations` is below 1.
        """
        beams = beams or (5 if self.latent_dim else 15)
        lines, gaps = _tokens(texts, blank)
        if not all(0 < len(line) <= self.length for line in lines):
            raise ValueError(f"`texts` must have 1 to {self.length} words. Received: {sorted({len(line) for line in lines})} words")
        missing = np.zeros((len(lines), self.length), bool)
        for row, gap in zip(missing, gaps):
            row[: len(gap)] = gap
        # a blank is no word of the vocabulary
        ids = self.encode([" ".join(line) for line in lines])
        run = self._graph(("fill", beams), partial(self._fill, beams=beams))
        for _ in range(iterations if self.latent_dim else 1):
            ids = autodiff.in_batches(run, (ids, missing), batch_size)[0]
        words = [[self._words[i] if gap else word for word, i, gap in zip(*row)] for row in zip(lines, ids, missing)]
        return [" ".join(line) for line in words]

    def _fill(self, ids, missing, beams):
        """The best words in the places that are missing, given the code of `ids`: ids `(batch, length)`."""
        codes = self.encoder(ids)[0] if self.latent_dim else ops.zeros((ops.shape(ids)[0], 0))
        known = ops.where(missing, -1, ids)
        found = self._search(codes, beams, text.with_end(_mirrored(known) if self.right_to_left else known, self.end))[0]
        return [found]

    def _search(self, codes, beams, given=None):
        found, _ = beam_search(self._step, self._state(codes), self._starts(codes), self.length + 1, beams, self.end, given)
        return [self._without_end(found[:, 0])]

    def _random(self, codes, temperature):
        found = sample_sequences(
            self._step, self._state(codes), self._starts(codes), self.length + 1, self.seed_generator, temperature, self.end
        )
        return [self._without_end(found)]

    def _starts(self, codes):
        return ops.full((ops.shape(codes)[0],), self.end, "int32")

    def _state(self, codes):
        state = self._first_state(codes)
        return [*state, ops.cast(codes, "float32")] if self.latent_dim else state

    def _step(self, ids, state):
        """Logits of the next symbol; the unknown word is never one."""
        h, c, *codes = state
        inputs = self._inputs(ids[:, None], codes[0] if codes else None)[:, 0]
        h, (_, c) = self.writer.cell(inputs, [h, c])
        logits = self.logits(h)
        return ops.where(ops.arange(self.end + 1) == text.UNKNOWN, _FORBIDDEN, logits), [h, c, *codes]

    def _without_end(self, found):
        """Words `(batch, length)` of what was found, in reading order."""
        words = ops.where(found == self.end, 0, found)[:, : self.length]
        return _mirrored(words) if self.right_to_left else words

    def _texts(self, ids):
        return [" ".join(word for word in self._words[row] if word) for row in ids]

    # --- export ---

    def signatures(self):
        """`serve` takes strings, `serve_ids` what `encode` gives; `decode`, with a code, turns codes into text."""
        found = {
            "serve": (lambda texts: self._serve(self.vectorization(texts)), [Field("text", (), "string")]),
            "serve_ids": (self._serve, self.input_fields()),
        }
        if self.latent_dim:
            found["decode"] = (self._serve_decode, [Field("code", (self.latent_dim,), "float32", -3.0, 3.0)])
        return found

    def _serve_decode(self, codes):
        ids = self._search(codes, beams=1)[0]
        return {"words": ids, "text": text.joined(self._lookup(ops.maximum(ids - 1, 0)))}

    # --- helpers ---

    def _needs_code(self, verb):
        if not self.latent_dim:
            raise ValueError(f"`latent_dim` must be above 0 for `{verb}`. Received: a model without code")

    def _checked_ids(self, texts):
        ids = self.encode(texts)
        if not (ids[:, 0] != text.PADDING).all():
            raise ValueError(f"`texts` must each hold a word. Received: {str(list(texts))[:100]}")
        return ids


def _sizes(words):
    """Words of sentences that are padded on the right, `(batch,)` int32."""
    return ops.sum(ops.cast(words != text.PADDING, "int32"), axis=1)


def _mirrored(words):
    """Sentences from their last word to the first, with the padding where it was."""
    place, sizes = ops.arange(words.shape[1], dtype="int32"), _sizes(words)[:, None]
    return ops.take_along_axis(words, ops.where(place < sizes, sizes - 1 - place, place), axis=1)


def _tokens(texts, blank):
    """Lists of words, and where they are blanks; blanks stand as they are, whatever the tokenizer makes of them."""
    lines = text.tokenize([" ".join(_BLANK if word == blank else word for word in line.split()) for line in texts])
    return lines, [[word == _BLANK for word in line] for line in lines]
