"""A softmax over words: over all of them, over few that were drawn while it trains, or over a list of candidates."""

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.layers.rows import gather_rows
from zoo.layers.word_prediction import UnigramSampler
from zoo.losses.sequence_crossentropy import sequence_crossentropy
from zoo.text.words import PADDING

# far below any score, in float32
_NEVER = -1e9
# the bias of what never comes; small enough to learn from, if it does
_RARE = -20.0


@keras.saving.register_keras_serializable("zoo")
class WordSoftmax(keras.layers.Layer):
    """Cross-entropy of words, exact or estimated, and the logits of a search.

    Args:
        symbols: number of ids: padding, unknown, the words from the most frequent to the rarest, and the end of a text.
        units: length of the inputs.
        samples: ids drawn for a batch in training, by Zipf's law; `None` for all.
        tied: whether the rows of the softmax are those of a table of word vectors, which `tie` takes (Press, Wolf 2016, arXiv 1608.05859).
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, symbols, units, samples=None, tied=False, **kwargs):
        super().__init__(**kwargs)
        arguments.count("symbols", symbols, low=2)
        arguments.count("units", units)
        if samples is not None:
            arguments.count("samples", samples)
        self.symbols, self.units, self.samples, self.tied = symbols, units, samples, tied
        self._table = None if tied else self.add_weight((symbols, units), "glorot_uniform", name="kernel", autocast=False)
        self.bias = self.add_weight((symbols, 1), "zeros", name="bias", autocast=False)
        if samples is not None:
            self.shares = _zipf_shares(symbols)
            self.sampler = UnigramSampler(self.shares, power=1)
            self.seed_generator = keras.random.SeedGenerator()
        self.bias.assign(self._first_bias()[:, None])
        self.built = True

    def _first_bias(self):
        """Biases before anything is known, `(symbols,)`. Padding is never drawn, so that a sample could not teach that it never comes."""
        bias = np.zeros(self.symbols, "float32")
        bias[PADDING] = 0 if self.samples is None else _RARE
        return bias

    def tie(self, table):
        """Take `table`, a variable `(symbols, units)` of another layer, for the rows."""
        if not self.tied or tuple(table.shape) != (self.symbols, self.units):
            arguments.refuse("table", f"a variable {(self.symbols, self.units)}, for a layer with tied=True", table)
        # a list that Keras does not track: the variable stays the other layer's
        self._tied_table = (lambda: table,)

    @property
    def kernel(self):
        """The rows, a variable `(symbols, units)`."""
        return self._tied_table[0]() if self.tied else self._table

    def start_from(self, ids):
        """Give biases that have not learned yet the logarithms of the words' shares in `ids` `(texts, length)`, each text with its end.

        Else the quickest way to learn these is through the network, whose outputs become large constants that say nothing about a text.
        """
        if np.array_equal(ops.convert_to_numpy(self.bias)[:, 0], self._first_bias()):
            self.bias.assign(log_shares(ids, self.symbols)[:, None])

    def logits(self, inputs):
        """Logits `(..., symbols)` float32."""
        return ops.matmul(ops.cast(inputs, "float32"), ops.transpose(self.kernel)) + self.bias[:, 0]

    def scorer(self, shared, own, none=None):
        """A function that gives logits of candidates, for a search: it fetches their rows once.

        Args:
            shared: ids `(count,)` int32, candidates in every text.
            own: ids `(texts, more)` int32, candidates in one.
            none: where `own` only fills up, `(texts, more)` bool; their logits are far below all others.

        Returns:
            Function of inputs `(n, units)`, where `n` is a multiple of the texts and row `i` is of text `i // (n // texts)`; its logits are
            `(n, count + more)` float32, those of `shared` first.
        """
        rows, biases = zip(*((gather_rows(self.kernel, ids), gather_rows(self.bias, ids)[..., 0]) for ids in (shared, own)))
        mine = biases[1] if none is None else ops.where(none, _NEVER, biases[1])

        def logits(inputs):
            inputs = ops.cast(inputs, "float32")
            found = _by_text(inputs, rows[1], mine)
            return ops.concatenate([ops.matmul(inputs, ops.transpose(rows[0])) + biases[0], found], axis=-1)

        return logits

    def candidate_logits(self, inputs, candidates):
        """Logits of candidates alone.

        Args:
            inputs: `(n, units)`, where `n` is a multiple of the texts: row `i` is of text `i // (n // texts)`.
            candidates: ids `(texts, count)` int32.

        Returns:
            `(n, count)` float32.
        """
        rows, biases = ops.take(self.kernel, candidates, axis=0), ops.take(self.bias[:, 0], candidates, axis=0)
        return _by_text(ops.cast(inputs, "float32"), rows, biases)

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets` `(batch, length)`, 0 for padding; inputs are `(batch, length, units)`."""
        if self.samples is None or not training:
            return self.exact(inputs, targets)
        return self.estimate(inputs, targets, self.sampler((self.samples,), self.seed_generator))

    def exact(self, inputs, targets):
        """Cross-entropies `(batch, length)` by the softmax over all symbols."""
        return sequence_crossentropy(targets, self.logits(inputs))

    def scores(self, inputs, targets):
        """Logits of targets alone `(batch, length)` float32."""
        inputs = ops.cast(inputs, "float32")
        return ops.sum(inputs * gather_rows(self.kernel, targets), axis=-1) + gather_rows(self.bias, targets)[..., 0]

    def within(self, inputs, targets, subset):
        """Losses by a softmax over a subset of the ids alone: its other ids are taken to be impossible.

        That is importance sampling with all of the subset for samples, drawn with equal probability, which cancels (Jean, Cho, Memisevic,
        Bengio 2014, arXiv 1412.2007, equations 8 to 10).

        Args:
            inputs: `(batch, length, units)`.
            targets: ids `(batch, length)` int32, all in the subset; 0 for padding.
            subset: ids `(count,)` int32 in ascending order; one that comes several times counts once.

        Returns:
            `(batch, length)` float32.
        """
        scores = ops.matmul(ops.cast(inputs, "float32"), ops.transpose(gather_rows(self.kernel, subset)))
        scores = scores + gather_rows(self.bias, subset)[:, 0]
        again = ops.pad(ops.equal(subset[1:], subset[:-1]), [[0, 1]])
        places = ops.searchsorted(subset, ops.reshape(targets, (-1,)), side="right") - 1
        losses = sequence_crossentropy(ops.reshape(ops.cast(places, "int32"), ops.shape(targets)), ops.where(again, _NEVER, scores))
        return losses * ops.cast(ops.not_equal(targets, PADDING), "float32")

    def estimate(self, inputs, targets, draws):
        """Losses whose sum over all ids but the right one is estimated from `draws` `(samples,)`, each divided by its expected number."""
        inputs = ops.cast(inputs, "float32")
        bias, shares = gather_rows(self.bias, draws)[:, 0], ops.take(ops.convert_to_tensor(self.shares), draws)
        others = ops.matmul(inputs, ops.transpose(gather_rows(self.kernel, draws))) + bias - ops.log(shares * draws.shape[0])
        others = ops.where(ops.equal(targets[..., None], draws), _NEVER, others)
        right = self.scores(inputs, targets)
        losses = ops.logsumexp(ops.concatenate([right[..., None], others], axis=-1), axis=-1) - right
        return losses * ops.cast(ops.not_equal(targets, PADDING), "float32")

    def get_config(self):
        """The constructor's arguments."""
        names = ("symbols", "units", "samples", "tied")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def log_shares(ids, symbols):
    """Logarithms of the shares of words in texts, each with its end; what never comes counts as if it came once.

    Args:
        ids: `(texts, length)`, 0 for padding.
        symbols: number of ids; the last is the end.

    Returns:
        float32 `(symbols,)`.
    """
    counts = np.bincount(np.asarray(ids).astype("int64").ravel(), minlength=symbols)
    counts[PADDING], counts[-1] = 0, len(ids)
    return np.log((counts + 1) / (counts + 1).sum()).astype("float32")


def zipf_ranks(symbols):
    """Ranks of ids in the order of frequency, `(symbols,)`; the end of a text, which has the last id, is as frequent as the first one."""
    ranks = np.maximum(1, np.arange(symbols))
    ranks[-1] = 1
    return ranks


def _zipf_shares(symbols):
    """Of ids by Zipf's law, padding never."""
    shares = 1 / zipf_ranks(symbols)
    shares[PADDING] = 0
    return (shares / shares.sum()).astype("float32")


def _by_text(inputs, rows, biases):
    """Logits `(n, count)` of candidates of texts, `(texts, count, units)` and `(texts, count)`, for inputs `(n, units)`."""
    grouped = ops.reshape(inputs, (ops.shape(rows)[0], -1, rows.shape[2]))
    return ops.reshape(ops.matmul(grouped, ops.transpose(rows, (0, 2, 1))) + biases[:, None], (-1, rows.shape[1]))
