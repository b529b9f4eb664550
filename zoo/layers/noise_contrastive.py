"""Noise-contrastive estimation: a layer over many words that learns to tell them from noise, and is exact when it is asked."""

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.layers.rows import gather_rows
from zoo.layers.word_softmax import WordSoftmax
from zoo.text.words import PADDING


@keras.saving.register_keras_serializable("zoo")
class NoiseContrastive(WordSoftmax):
    """Learns to tell words from noise, words drawn by Zipf's law, by scores that it takes for log-probabilities (Gutmann, Hyvarinen 2010;
    Mnih, Teh 2012, arXiv 1206.6426).

    A word is told from `noise` draws; all words of a batch share `samples` draws, each weighted by `noise / samples`, which has the same
    mean and is one matrix product. Biases start at the logarithms of the shares by Zipf's law, or of those that `start_from` counts, with
    which scores are nearly normalised.

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

    def _first_bias(self):
        """Padding is as rare as the rarest word."""
        return np.log(np.maximum(self.shares, self.shares[self.shares > 0].min()))

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets`, 0 for padding; exact cross-entropies but for training."""
        if not training:
            return self.exact(inputs, targets)
        return self.against(inputs, targets, self.sampler((self.samples,), self.seed_generator))

    def against(self, inputs, targets, draws):
        """Losses by telling targets from `draws` `(any,)`."""
        inputs, noise = ops.cast(inputs, "float32"), float(self.noise or draws.shape[0])
        # padding is never drawn; what stands for its logarithm is not used
        expected = ops.log(noise * ops.convert_to_tensor(np.where(self.shares > 0, self.shares, 1)))
        right = self.scores(inputs, targets) - ops.take(expected, targets)
        others = ops.matmul(inputs, ops.transpose(gather_rows(self.kernel, draws))) + gather_rows(self.bias, draws)[:, 0]
        wrong = ops.mean(ops.softplus(others - ops.take(expected, draws)), axis=-1) * noise
        return (ops.softplus(-right) + wrong) * ops.cast(targets != PADDING, "float32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "noise": self.noise}
