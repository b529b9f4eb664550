"""Softmaxes over many words that learn from few of them at a time, and are exact when they are asked.

As output layers of neural language models they were compared by Chen, Grangier, Auli 2015, arXiv 1512.04906.
"""

import keras
from keras import ops

from zoo import arguments
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
