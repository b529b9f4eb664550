"""Standard deviations of a Gaussian that do not depend on the input."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class FreeLogStd(keras.layers.Layer):
    """Means `(..., d)` -> means and logarithms of the standard deviations, `(..., 2 * d)`, for `zoo.distributions.DiagonalGaussian`.

    The logarithms are weights of their own, the same for every input.

    Args:
        initial: logarithm of the standard deviations at the start.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, initial=0.0, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        """Make the weights."""
        self.log_std = self.add_weight(shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="log_std")
        self.built = True

    def call(self, mean):
        """Put them beside the means."""
        return ops.concatenate([mean, ops.broadcast_to(self.log_std, ops.shape(mean))], axis=-1)

    def compute_output_shape(self, input_shape):
        """Twice as many numbers."""
        return (*input_shape[:-1], 2 * input_shape[-1])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "initial": self.initial}
