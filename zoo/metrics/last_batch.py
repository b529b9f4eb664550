"""Values of single samples, out of a compiled train step."""

import keras
from keras import ops


class LastBatch(keras.metrics.Metric):
    """Hands what a loss knows of each sample of a batch, such as its TD error, out of the compiled train step, among its logs.

    Args:
        size: of the batch.
        name: key in the logs.
    """

    def __init__(self, size, name="last_batch"):
        super().__init__(name=name)
        self.values = self.add_variable((size,), "zeros", name="values")

    def update_state(self, values, sample_weight=None):
        """Keep the values `(size,)`."""
        self.values.assign(values)

    def reset_state(self):
        """Nothing to do: each batch takes the place of the one before."""

    def result(self):
        """The values `(size,)`."""
        return ops.convert_to_tensor(self.values)
