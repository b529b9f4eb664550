"""Stochastic pooling.

Paper: Zeiler, Fergus 2013, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks", arXiv 1301.3557.
"""

import keras
from keras import ops

from zoo.layers.max_pooling_dropout import _Pooling2D


@keras.saving.register_keras_serializable("zoo")
class StochasticPooling2D(_Pooling2D):
    """In training, picks a unit of each region with a probability proportional to its activation; afterwards weights units by it.

    After training a region gives `sum_i a_i^2 / sum_i a_i`, the mean of what training picks. Activations must not be negative;
    negative ones count as 0. A region without activation gives 0.

    Args:
        pool_size: height and width of a region, or one number for both.
        strides: rows and columns between regions; `pool_size` by default.
        padding: `"valid"` or `"same"`.
        seed: of the random draws.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, pool_size=2, strides=None, padding="valid", seed=None, **kwargs):
        super().__init__(pool_size, strides, padding, **kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """Pool.

        Args:
            inputs: `(batch, height, width, channels)`, not negative.
            training: whether to pick one unit at random.

        Returns:
            `(batch, height_out, width_out, channels)`.
        """
        units = self.windows(ops.relu(inputs), 0.0)
        total = sum(units)
        if not training:
            safe = ops.where(total > 0, total, ops.ones_like(total))
            return sum(a * (a / safe) for a in units)
        # the last unit before which the activations do not add up to a uniform threshold
        threshold = keras.random.uniform(ops.shape(total), dtype=total.dtype, seed=self.generator) * total
        passed = picked = ops.zeros_like(total)
        for unit in units:
            picked = ops.where(passed <= threshold, unit, picked)
            passed = passed + unit
        return picked

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
