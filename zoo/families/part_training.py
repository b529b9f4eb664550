"""The training of a part of a method by itself, such as a language model beside a translator."""

import keras
from keras import ops

from zoo import autodiff


class PartTraining(keras.Model):
    """A layer of a method that learns by a loss of its own; everything else stays as it is.

    Args:
        whole: the method.
        nats: function of inputs and `training` to minus the log-probabilities of words and ends, `(batch, length)`, 0 for padding.
        layer: name of the attribute that holds the layer; it does not learn otherwise.
    """

    def __init__(self, whole, nats, layer):
        super().__init__(name=f"{layer}_training")
        self.whole, self.nats, self.layer = whole, nats, layer
        self.built = True

    def learn(self, learning_rate, x, **options):
        """Train with Adam; gives the `History`."""
        parts = [layer for layer in self.whole.layers if layer.trainable]
        mine = getattr(self.whole, self.layer)
        try:
            for layer in parts:
                layer.trainable = False
            mine.trainable = True
            self.compile(keras.optimizers.Adam(learning_rate, global_clipnorm=1.0))
            return self.fit(x, **options)
        finally:
            mine.trainable = False
            for layer in parts:
                layer.trainable = True

    def call(self, x, training=False):
        """Minus the log-probabilities."""
        return self.nats(x, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Their mean."""
        words = ops.sum(ops.cast(y_pred > 0, "float32"))
        return autodiff.per_replica(ops.sum(y_pred) / ops.maximum(words, 1.0))
