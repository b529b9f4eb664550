"""Softmaxes over many words that learn from few of them at a time, and are exact when they are asked.

As output layers of neural language models they were compared by Chen, Grangier, Auli 2015, arXiv 1512.04906.
"""

import keras
from keras import ops

from zoo import arguments
from zoo.layers.rows import gather_rows
from zoo.layers.word_softmax import WordSoftmax
from zoo.text.words import PADDING


@keras.saving.register_keras_serializable("zoo")
class TargetSampling(WordSoftmax):
    """Learns by a softmax over all words that a batch has to predict, and so many others, drawn uniformly (section 3.4; Jean et al. 2014).

    Args:
        symbols: as in `WordSoftmax`.
        units: length of the inputs.
        samples: words drawn for a batch beside those it has to predict.
        **kwargs: of `WordSoftmax`.
    """

    def __init__(self, symbols, units, samples=1000, **kwargs):
        super().__init__(symbols, units, samples, **kwargs)

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets`, 0 for padding; exact but for training."""
        if not training:
            return self.exact(inputs, targets)
        return self.among(inputs, targets, keras.random.randint((self.samples,), 1, self.symbols, seed=self.seed_generator))

    def among(self, inputs, targets, draws):
        """Losses by a softmax over the targets, padding among them, and `draws` `(any,)`, each word once."""
        words = ops.concatenate([ops.reshape(targets, (-1,)), ops.cast(draws, targets.dtype)], axis=0)
        return self.within(inputs, targets, ops.sort(words))


@keras.saving.register_keras_serializable("zoo")
class NoiseContrastive(WordSoftmax):
    """Learns to tell words from noise, words drawn by Zipf's law, by scores that it takes for log-probabilities (section 3.5; Gutmann,
    Hyvarinen 2010; Mnih, Teh 2012, arXiv 1206.6426).

    A word is told from `noise` draws; all words of a batch share `samples` draws, each weighted by `noise / samples`, which has the same
    mean and is one matrix product. Biases start at the logarithms of the words' shares, with which scores are nearly normalised.

    Args:
        symbols: as in `WordSoftmax`.
        units: length of the inputs.
        samples: words drawn for a batch.
        noise: draws that a word is told from; `None` for as many as are drawn.
        **kwargs: of `WordSoftmax`.
    """

    def __init__(self, symbols, units, samples=1000, noise=None, **kwargs):
        super().__init__(symbols, units, samples, **kwargs)
        if noise is not None:
            arguments.count("noise", noise)
        self.noise = noise
        self.bias.assign(ops.log(self.shares)[:, None])

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets`, 0 for padding; exact cross-entropies but for training."""
        if not training:
            return self.exact(inputs, targets)
        return self.against(inputs, targets, self.sampler((self.samples,), self.seed_generator))

    def against(self, inputs, targets, draws):
        """Losses by telling targets from `draws` `(any,)`."""
        inputs, noise = ops.cast(inputs, "float32"), float(self.noise or draws.shape[0])
        expected = ops.log(noise * ops.convert_to_tensor(self.shares))
        right = self.scores(inputs, targets) - ops.take(expected, targets)
        others = ops.matmul(inputs, ops.transpose(gather_rows(self.kernel, draws))) + gather_rows(self.bias, draws)[:, 0]
        wrong = ops.mean(ops.softplus(others - ops.take(expected, draws)), axis=-1) * noise
        return (ops.softplus(-right) + wrong) * ops.cast(targets != PADDING, "float32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "noise": self.noise}


@keras.saving.register_keras_serializable("zoo")
class InfrequentNormalization(WordSoftmax):
    """Learns scores that are log-probabilities by themselves: the squared logarithms of their sums are kept small, and computed for a share
    of the places alone (section 3.6; Andreas, Klein 2015).

    Args:
        symbols: as in `WordSoftmax`.
        units: length of the inputs.
        share: of the places whose sums are computed; one in `round(1 / share)`.
        strength: weight of their squared logarithms.
        **kwargs: of `WordSoftmax`.
    """

    def __init__(self, symbols, units, share=0.1, strength=1.0, **kwargs):
        super().__init__(symbols, units, **kwargs)
        self.share, self.strength = arguments.number("share", share, above=0, high=1), arguments.number("strength", strength, above=0)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets`, 0 for padding; exact cross-entropies but for training."""
        if not training:
            return self.exact(inputs, targets)
        every = round(1 / self.share)
        return self.normalized(inputs, targets, every, keras.random.randint((), 0, every, seed=self.seed_generator))

    def normalized(self, inputs, targets, every, first):
        """Minus scores, and at place `first` of each `every` places, counted through the batch, `every` times the penalty."""
        inputs, (batch, length) = ops.cast(inputs, "float32"), ops.shape(targets)
        count = (batch * length + every - 1) // every
        places = ops.cast(first, "int32") + every * ops.arange(count, dtype="int32")
        inside = places < batch * length
        places = ops.where(inside, places, 0)
        rows = ops.take(ops.reshape(inputs, (-1, self.units)), places, axis=0)
        penalty = self.strength * every * ops.square(ops.logsumexp(self.logits(rows), axis=-1)) * ops.cast(inside, "float32")
        penalty = ops.segment_sum(penalty, places, batch * length)
        losses = ops.reshape(penalty, (batch, length)) - self.scores(inputs, targets)
        return losses * ops.cast(targets != PADDING, "float32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "share": self.share, "strength": self.strength}
