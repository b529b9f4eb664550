"""ABS and ABS+: a feed-forward language model that attends to a sentence while it writes its headline.

Paper: Rush, Chopra, Weston 2015, "A Neural Attention Model for Abstractive Sentence Summarization", arXiv 1509.00685. The next word of a
summary is predicted from the last `context` words by a feed-forward network, and from the source text by one of three encoders: the mean of
its words (`"bag_of_words"`), convolutions with pooling in time (`"convolution"`), or attention that the last words direct (`"attention"`).
A beam search writes. ABS+ adds to the log-probabilities of the words how far these copy the source, with weights that `tune` finds as MERT
does: it searches for weights that rank the summaries found so far best by ROUGE, writes anew with them, and so on (sections 3 to 5).

Shapes: word ids `source` `(batch, length)` and `target` `(batch, length)` -> log-probability of the target `(batch,)`, in nats.

Differences from the paper:
1. Adam in place of gradient descent with rate 0.05: small data make too few updates for that. Batches hold 64 texts, not 64 words.
2. Dropout on what the softmax sees. The paper has none, and a thousand times more data.
3. Texts end by themselves, or at a length that is given; the paper's have a fixed one. They are ranked by log-probability over length.
4. The output layers, the hidden layer and the convolutions have biases, as in the authors' code. What stands outside of a text counts as
   zero where attention smooths, and a window of 0 does not smooth.
5. Weights of ABS+ are found by differential evolution on lists of the best summaries, where the paper's come from Z-MERT. The weight of
   the network's log-probability is 1, since the scale of all is free. The best weights of all rounds are kept.
6. Every place of a summary is trained at once.
"""

from functools import partial
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Flag, Index, Positive, Texts, checked
from zoo.decoding import rank_weights
from zoo.families.encoder_decoder import ROWS, EncoderDecoder
from zoo.layers.attention import Attention
from zoo.layers.word_softmax import WordSoftmax
from zoo.metrics.text_overlap import rouge

ENCODERS = ("attention", "convolution", "bag_of_words", "none")
# equation 10: of the network, and of words, pairs and triples of words that the source has, and words in another order
FEATURES = ("log_probability", "unigram", "bigram", "trigram", "reorder")
# below any activation or score
_NEVER = -1e9


class ABS(EncoderDecoder):
    """Attention-based summarisation of a sentence (Rush et al. 2015, arXiv 1509.00685).

    Args:
        source_vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        target_vocabulary: list of words that summaries are written with.
        source_length: words read of a text.
        target_length: words written at most.
        context: last words of the summary that the next one is predicted from (C in the paper).
        embedding_size: length of a word vector of the summary (D).
        units: of the hidden layer, and of the encoder (H).
        encoder: `"attention"`, `"convolution"`, `"bag_of_words"`, or `"none"` for a language model that sees no source.
        num_layers: convolutions of `"convolution"` (L), each with pooling by 2 behind it.
        window: words on each side that a convolution sees, or over which attention smooths the source (Q).
        dropout: rate on hidden layer and encoder, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    # section 7.2
    default_batch_size = 64
    _attention_argument = "encoder"

    def __init__(
        self,
        source_vocabulary,
        target_vocabulary,
        source_length=50,
        target_length=15,
        context=5,
        embedding_size=200,
        units=400,
        encoder="attention",
        num_layers=3,
        window=2,
        dropout=0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"context": context, "embedding_size": embedding_size, "units": units, "num_layers": num_layers}
        for name, value in sizes.items():
            arguments.count(name, value)
        arguments.count("window", window, low=0)
        arguments.one_of("encoder", encoder, ENCODERS)
        arguments.number("dropout", dropout, low=0, high=0.999)
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.source_length, self.target_length, self.context = source_length, target_length, context
        self.embedding_size, self.units, self.encoder, self.num_layers = embedding_size, units, encoder, num_layers
        self.window, self.dropout = window, dropout
        self._build_words()
        places = {word: i + 2 for i, word in enumerate(target_vocabulary)}
        # the target ids of source words; 0 for those that cannot be written
        self._as_target = np.array([0, 0, *(places.get(word, 0) for word in source_vocabulary)], "int32")
        symbols = (len(source_vocabulary) + 2, self.end + 1)
        self.language_model = _LanguageModel(symbols[1], context, embedding_size, units, name="language_model")
        self.reader = _reader(encoder, symbols, context, embedding_size, units, num_layers, window)
        self.drop = layers.Dropout(dropout)
        self.word_softmax = WordSoftmax(symbols[1], units if encoder == "none" else 2 * units, name="word_softmax")
        self.feature_weights = self.add_weight((len(FEATURES),), _first_alone, trainable=False, name="feature_weights")
        self.compile()

    @property
    def _attends(self):
        return self.encoder == "attention"

    # --- the network (section 3) ---

    def _read(self, source, training=False):
        """What stays the same for a text."""
        return self.reader.read(source) if self.reader else {}

    def _features(self, before, read, training=False):
        """Hidden layer and encoding at all places, from the last words of each."""
        count = ops.shape(before)[1]
        wide = ops.pad(before, ((0, 0), (self.context - 1, 0)), constant_values=self.end)
        windows = ops.arange(count, dtype="int32")[:, None] + ops.arange(self.context, dtype="int32")
        return self._of_windows(ops.take(wide, windows, axis=1), read, training)

    def _of_windows(self, windows, read, training=False):
        """Features of the words behind windows `(batch, places, context)`, and weights of attention or `None`."""
        hidden, weights = self.language_model(windows), None
        if self.reader:
            encoded, weights = self.reader(read, windows)
            hidden = ops.concatenate([hidden, encoded], axis=-1)
        return self.drop(hidden, training=training), weights

    def _stepper(self, source):
        read, batch = self._read(source), ops.shape(source)[0]

        def step(ids, state):
            window = ops.concatenate([state[0][:, 1:], ids[:, None]], axis=1)
            features, _ = self._of_windows(ops.reshape(window, (batch, -1, self.context)), read)
            return self.word_softmax.logits(ops.reshape(features, (-1, features.shape[-1]))), [window]

        return step, [ops.full((batch, self.context), self.end, "int32")]

    # --- extraction (section 5) ---

    def _written_words(self, source):
        """Target ids of the words of a source `(batch, length)`; 0 where there is none."""
        return ops.take(ops.convert_to_tensor(self._as_target), ops.cast(source, "int32"), axis=0)

    def _extractive_stepper(self, source):
        """`step` and state with equation 10 as score: weighted log-probability and features of every word."""
        step, state = self._stepper(source)
        words, symbols = self._written_words(source), self.end + 1
        batch, length = ops.shape(words)[0], ops.shape(words)[1]
        same = ops.cast(_same_words(words), "float32")
        # a word that stands at several places is counted at the first
        first = ops.cast(ops.sum(ops.tril(same, -1), axis=-1) == 0, "float32") * ops.cast(words > 0, "float32")

        def scored(ids, state):
            logits, moved = step(ids, state[1:])
            last, before = (ops.reshape(part, (batch, -1)) for part in (ids, state[0]))
            at_place = ops.einsum("bqmf,bmn->bqnf", _matches(words, last, before, self.end), same)
            found = ops.sum(ops.cast(at_place > 0, "float32") * self.feature_weights[1:], axis=-1) * first[:, None]
            rows = ops.arange(ops.shape(ids)[0], dtype="int32")[:, None] * symbols
            places = ops.reshape(rows + ops.reshape(ops.tile(words[:, None], (1, ops.shape(last)[1], 1)), (-1, length)), (-1,))
            copied = ops.segment_sum(ops.reshape(found, (-1,)), places, ops.shape(ids)[0] * symbols)
            chance = keras.activations.log_softmax(ops.cast(logits, "float32"))
            return self.feature_weights[0] * chance + ops.reshape(copied, (-1, symbols)), [ids, *moved]

        return scored, [self._starts(source), *state]

    def _feature_sums(self, source, target):
        """Sums of the features over the words of targets `(batch, 5)`."""
        chance, target = self({"source": source, "target": target}), ops.cast(target, "int32")
        before = ops.pad(target, ((0, 0), (2, 0)), constant_values=self.end)
        words = self._written_words(source)
        here = ops.cast((words[:, None] == target[..., None]) & (words > 0)[:, None], "float32")
        at_place = _matches(words, before[:, 1:-1], before[:, :-2], self.end) * here[..., None]
        return ops.concatenate([chance[:, None], ops.sum(ops.max(at_place, axis=2), axis=1)], axis=1)

    # --- learning ---

    def default_optimizer(self):
        """Adam."""
        return keras.optimizers.Adam(1e-3)

    def default_callbacks(self):
        """Word vectors longer than 1 are made that long after every epoch (section 4.3)."""
        return [_Renormalize()]

    @checked
    def tune(
        self,
        sources: Texts,
        summaries: Texts,
        rounds: Count = 5,
        beams: Count = 10,
        length: Count | None = None,
        length_power: Amount = 1.0,
        neural: Amount = 1.0,
        metric: Literal["rouge1", "rouge2", "rougeL"] = "rouge1",
        bound: Positive = 10.0,
        seed: Index = 0,
    ) -> dict:
        """Choose the weights of ABS+ by ROUGE on held-out pairs, and keep them with the model (section 5).

        As in minimum error rate training, each round searches for weights that rank lists of summaries best, writes the best summaries with
        them, and adds these to the lists. These begin with the summaries of the weights so far, of a reward for each feature alone, and of
        rewards for copying in order.

        Args:
            sources: list of strings.
            summaries: list of as many strings.
            rounds: of searching and writing, at most.
            beams: of the search, and how many summaries of each source a round adds.
            length: as in `summarize`.
            length_power: as in `summarize`.
            neural: the weight of the log-probability, which gives the others their scale; 0 leaves the network out.
            metric: ROUGE, of which the F1 counts.
            bound: largest size of the other weights.
            seed: of the optimiser.

        Returns:
            Dict: each of the five weights by its name, and `metric`, the mean on these pairs.
        """
        self._encoded(sources, summaries)
        wanted = [" ".join(line) for line in text.tokenize(summaries)]
        lists: list[dict] = [{} for _ in sources]
        tried: dict[tuple, float] = {}

        def attempt(weights):
            self.feature_weights.assign(weights)
            found = self.summarize(sources, beams, length, length_power, n_best=beams)
            self._extend(lists, sources, found, wanted, metric)
            scores = [row[best[0][0]][1] if best[0][0] else 0.0 for row, best in zip(lists, found)]
            tried[tuple(weights.tolist())] = float(np.mean(scores))

        start = np.array([neural, *ops.convert_to_numpy(self.feature_weights)[1:]], "float32")
        # lists with summaries of all kinds: with a reward for each feature alone, and for copying in order
        others = np.eye(len(FEATURES), dtype="float32")[1:]
        for weights in [start, *(start + bound / 2 * np.stack([*others, others[0] + others[1] + others[2] - others[3]]))]:
            attempt(np.clip(weights, -bound, max(bound, neural)))
        for number in range(rounds):
            weights = _best_weights(lists, max(tried, key=tried.__getitem__), length_power, bound, seed + number)
            if tuple(weights.tolist()) in tried:
                break
            attempt(weights)
        best = max(tried, key=tried.__getitem__)
        self.feature_weights.assign(best)
        return {**dict(zip(FEATURES, best)), metric: tried[best]}

    def _extend(self, lists, sources, found, wanted, metric):
        """Put summaries that are new into the list of their source, with features and ROUGE."""
        fresh = [(i, one) for i, row in enumerate(found) for one, _ in row if one and one not in lists[i]]
        fresh = list(dict.fromkeys(fresh))
        if not fresh:
            return
        features = self.features([sources[i] for i, _ in fresh], [one for _, one in fresh])
        for (i, one), row in zip(fresh, features):
            lists[i][one] = row, rouge([one], [wanted[i]], (metric,))[metric]["f1"], len(one.split()) + 1

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "source_vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "target_vocabulary": ["a", "the", "cat", "mat", "sat"],
            "source_length": 6,
            "target_length": 5,
            "context": 3,
            "embedding_size": 4,
            "units": 5,
            "encoder": "attention",
            "num_layers": 2,
            "window": 1,
            "dropout": 0.1,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        pairs = {"sources": found["encode"]["sources"], "summaries": found["encode"]["targets"]}
        search = {"beams": 2, "length": 3, "length_power": 0.5}
        options = {"n_best": 2, "unknown": True, "extractive": True, "from_source": False, "batch_size": 1}
        tune = {**pairs, "rounds": 1, **search, "neural": 0.5, "metric": "rougeL", "bound": 2.0, "seed": 1}
        return {
            **found,
            "summarize": {"texts": pairs["sources"], **search, **options},
            "tune": tune,
            "features": {**pairs, "batch_size": 1},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, dropout and learning rate."""
        return {
            "context": hp.Int("context", 2, 8),
            "embedding_size": hp.Choice("embedding_size", [50, 100, 200]),
            "units": hp.Choice("units", [100, 200, 400]),
            "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 3e-3, sampling="log"),
        }

    # --- use ---

    @checked
    def summarize(
        self,
        texts: Texts,
        beams: Count = 5,
        length: Count | None = None,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        extractive: Flag = True,
        from_source: Flag = False,
        batch_size: Count = ROWS,
    ) -> list:
        """The best summaries that a beam finds (section 4.2).

        Args:
            texts: list of strings, each with a word or more.
            beams: summaries that are followed at once; 1 is greedy.
            length: words of a summary; `None` lets it end, after `target_length` words at most.
            length_power: they are ranked by score over length to this power; 0 prefers short ones.
            n_best: give so many of each text, with scores.
            unknown: whether `<unknown>` may be written.
            extractive: whether the features of ABS+ count, with the weights that `tune` found. Before it they are 0.
            from_source: whether only words of the source may be written.
            batch_size: texts at once.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each text a list of pairs (string, score), best first.

        Raises:
            ValueError: if a text has no word, or `length` is more than `target_length`.
        """
        if length is not None:
            arguments.count("length", length, high=self.target_length)
        options = {"length": length, "extractive": extractive, "from_source": from_source}
        return self._written(texts, beams, length_power, n_best, batch_size, unknown, tuple(options.values()), **options)

    def _search(self, source, beams=1, length_power=0.0, unknown=False, length=None, extractive=True, from_source=False):
        step, state = self._extractive_stepper(source) if extractive else self._stepper(source)
        if from_source:
            step = partial(_restricted, step, self._written_words(source), self.end)
        may = np.ones(((length or self.target_length) + 1, self.end + 1), bool)
        may[:, text.UNKNOWN] = unknown
        if length:
            may[:length, self.end] = False
        return self._searched(source, (step, state), beams, length_power, unknown, not extractive, allowed=may, length=len(may))

    @checked
    def features(self, sources: Texts, summaries: Texts, batch_size: Count = ROWS) -> np.ndarray:
        """Sums of the features of equation 10 over the words of summaries.

        Args:
            sources: list of strings.
            summaries: list of as many strings.
            batch_size: texts at once.

        Returns:
            Float32 array `(texts, 5)`: log-probability in nats, and the numbers of words, pairs and triples that the source has, and of
            words that stand in the source before the word that they follow. The beginning counts as a word of both texts.
        """
        x = self._encoded(sources, summaries)
        return autodiff.in_batches(self._graph("features", self._feature_sums), [x["source"], x["target"]], batch_size)[0]

    def _encoded(self, sources, summaries):
        """`encode`, whose errors speak of summaries."""
        if len(summaries) != len(sources):
            arguments.refuse("summaries", f"{len(sources)} texts, one for each of the sources", summaries)
        return {**self.encode(sources), "target": self._ids("summaries", summaries, self.target_vectorization)}


def _first_alone(shape, dtype=None):
    """Weights before `tune`: of the log-probability alone."""
    return ops.one_hot(0, shape[0], dtype=dtype)


# --- parts ---


class _LanguageModel(layers.Layer):
    """h = tanh(U [E y]) of a window of words (equation 7)."""

    def __init__(self, symbols, context, embedding_size, units, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(symbols, embedding_size, name="embedding")
        self.dense = layers.Dense(units, "tanh", name="dense")
        self.embedding.build(None)
        self.dense.build((None, None, context * embedding_size))
        self.built = True

    def call(self, windows):
        """Windows `(batch, places, context)` -> `(batch, places, units)`."""
        return self.dense(_flat(self.embedding(windows)))


def _flat(vectors):
    """`(batch, places, context, size)` -> `(batch, places, context * size)`."""
    return ops.reshape(vectors, (ops.shape(vectors)[0], -1, vectors.shape[2] * vectors.shape[3]))


def _reader(encoder, symbols, context, embedding_size, units, num_layers, window):
    if encoder == "attention":
        return _AttentionReader(*symbols, context, embedding_size, units, window, name="reader")
    if encoder == "convolution":
        return _ConvolutionReader(symbols[0], units, num_layers, window, name="reader")
    return _BagReader(symbols[0], units, name="reader") if encoder == "bag_of_words" else None


class _Reader(layers.Layer):
    """Word vectors of the source; `read` gives what stays the same for a text, `call` encodings for windows of the summary."""

    def __init__(self, symbols, units, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(symbols, units, name="embedding")
        self.embedding.build(None)
        self.built = True

    def _words(self, source):
        """Word vectors, 0 for padding, and where there are words, `(batch, length, 1)`."""
        source = ops.cast(source, "int32")
        present = (source != text.PADDING)[..., None]
        return ops.where(present, self.embedding(source), 0.0), present

    def call(self, read, windows):
        """The same encoding `(batch, places, units)` at all places; no attention."""
        return ops.repeat(read["encoding"][:, None], ops.shape(windows)[1], axis=1), None


class _BagReader(_Reader):
    """The mean of the words (enc1)."""

    def read(self, source):
        words, present = self._words(source)
        return {"encoding": ops.sum(words, axis=1) / ops.sum(ops.cast(present, words.dtype), axis=1)}


class _ConvolutionReader(_Reader):
    """Convolutions in time, each with the larger of two neighbours and a tanh behind it, and the largest of all (enc2)."""

    def __init__(self, symbols, units, num_layers, window, **kwargs):
        super().__init__(symbols, units, **kwargs)
        self.convolutions = [layers.Conv1D(units, 2 * window + 1, padding="same", name=f"convolution_{i}") for i in range(num_layers)]
        for layer in self.convolutions:
            layer.build((None, None, units))

    def read(self, source):
        words, present = self._words(source)
        for layer in self.convolutions:
            words, present = _pooled(layer(words), present)
            words = ops.where(present, ops.tanh(words), 0.0)
        return {"encoding": ops.max(ops.where(present, words, -1.0), axis=1)}


def _pooled(words, present):
    """The larger of each two neighbours that are present, and whether one of them is."""
    even = (ops.shape(words)[1] + 1) // 2 * 2
    words, present = ops.where(present, words, _NEVER), ops.cast(present, "int32")
    pairs = [ops.pad(part, ((0, 0), (0, 1), (0, 0)), constant_values=fill)[:, :even] for part, fill in ((words, _NEVER), (present, 0))]
    words, present = (ops.max(ops.reshape(part, (ops.shape(part)[0], -1, 2, part.shape[2])), axis=2) for part in pairs)
    return words, present > 0


class _AttentionReader(_Reader):
    """The mean of smoothed words, weighted by how well each word fits the last ones of the summary (enc3)."""

    def __init__(self, symbols, target_symbols, context, embedding_size, units, window, **kwargs):
        super().__init__(symbols, units, **kwargs)
        self.context_embedding = layers.Embedding(target_symbols, embedding_size, name="context_embedding")
        self.context_embedding.build(None)
        self.attention = Attention(context * embedding_size, units, "general", name="attention")
        self.smooth = layers.AveragePooling1D(2 * window + 1, 1, "valid")
        # the paper divides the sum over 2Q + 1 places by Q
        self.window, self.scale = window, (2 * window + 1) / max(window, 1)

    def read(self, source):
        words, present = self._words(source)
        wide = ops.pad(words, ((0, 0), (self.window, self.window), (0, 0)))
        return {"memory": self.scale * self.smooth(wide), "present": present[..., 0], "keys": self.attention.keys(words)}

    def call(self, read, windows):
        """Encodings `(batch, places, units)`, and the weights `(batch, places, length)`."""
        return self.attention(_flat(self.context_embedding(windows)), **read)


class _Renormalize(keras.callbacks.Callback):
    """Scales word vectors longer than 1 to length 1 after every epoch."""

    def on_epoch_end(self, epoch, logs=None):
        """Scale them."""
        model = self.model
        tables = [model.language_model.embedding]
        for name in ("embedding", "context_embedding"):
            tables += [getattr(model.reader, name)] if hasattr(model.reader, name) else []
        for table in tables:
            rows = ops.convert_to_numpy(table.embeddings)
            table.embeddings.assign(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0))


# --- features and their weights ---


def _same_words(words):
    """Whether words at two places are the same, and can be written `(batch, length, length)`."""
    return (words[:, :, None] == words[:, None]) & (words > 0)[:, None]


def _matches(words, last, before, start):
    """Where the source has the next word, if it is the word of that place, as equation 10 asks.

    Args:
        words: target ids of the source `(batch, length)`, 0 for none.
        last: the last words of summaries `(batch, places)`.
        before: those before them.
        start: the id that stands before the first word of both texts.

    Returns:
        `(batch, places, length, 4)` float32, 0 or 1: the word, with the one before it, with two before it; and the word stands before some
        place of the last one.
    """
    length = ops.shape(words)[1]
    wide = ops.pad(words, ((0, 0), (2, 0)), constant_values=start)
    can = (words > 0)[:, None] & ops.ones_like(last, "bool")[..., None]
    pair = can & (wide[:, None, 1 : length + 1] == last[..., None])
    triple = pair & (wide[:, None, :length] == before[..., None])
    is_last = ops.cast((words[:, None] == last[..., None]) & can, "int32")
    # how many places behind this one have the last word
    behind = ops.sum(is_last, axis=-1, keepdims=True) - ops.cumsum(is_last, axis=-1)
    return ops.stack([ops.cast(part, "float32") for part in (can, pair, triple, can & (behind > 0))], axis=-1)


def _restricted(step, words, end, ids, state):
    """A step that scores only words of the source, and the end."""
    scores, state = step(ids, state)
    symbols = scores.shape[-1]
    rows = ops.arange(ops.shape(words)[0], dtype="int32")[:, None] * symbols
    count = ops.segment_sum(ops.ones_like(ops.reshape(words, (-1,))), ops.reshape(words + rows, (-1,)), ops.shape(words)[0] * symbols)
    may = (ops.reshape(count, (-1, 1, symbols)) > 0) | (ops.arange(symbols) == end)
    grouped = ops.reshape(scores, (ops.shape(words)[0], -1, symbols))
    return ops.reshape(ops.where(may, grouped, _NEVER), (-1, symbols)), state


def _best_weights(lists, start, length_power, bound, seed):
    """Weights that rank lists of summaries best: those whose first ones have the highest mean score.

    Args:
        lists: for each source a dict from a summary to its features, score and length.
        start: weights so far, of which the first stays.
        length_power: of the length, which sums are divided by.
        bound: largest size of the others.
        seed: of the optimiser.

    Returns:
        Float32 array `(5,)`.
    """
    rows = [list(row.values()) for row in lists if row]
    features = [np.stack([found / size**length_power for found, _, size in row]) for row in rows]
    return rank_weights(features, [np.array([score for _, score, _ in row]) for row in rows], start, bound=bound, seed=seed)
