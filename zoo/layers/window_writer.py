"""A feed-forward network that writes, with the interface of `RecurrentDecoder` (Bengio et al. 2003)."""

import keras
from keras import layers, ops

from zoo import arguments


@keras.saving.register_keras_serializable("zoo")
class WindowWriter(layers.Layer):
    """Features for the next symbol from the last few symbols: their vectors, one behind the other, go through dense layers.

    Args:
        symbols: number of ids that are read.
        embedding_size: length of the vector of a symbol.
        units: of each dense layer.
        num_layers: dense layers.
        window: symbols that are read; before the first there are zeros.
        activation: of the dense layers.
        dropout: rate on what each layer reads, and on the features.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, symbols, embedding_size, units, num_layers=1, window=5, activation="tanh", dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        sizes = {"symbols": symbols, "embedding_size": embedding_size, "units": units, "num_layers": num_layers, "window": window}
        for name, value in sizes.items():
            setattr(self, name, arguments.count(name, value))
        self.activation, self.dropout, self.width = activation, dropout, units
        self.embedding = layers.Embedding(symbols, embedding_size, name="embedding")
        self.embedding.build((None, None))
        self.drop = layers.Dropout(dropout)
        widths = [window * embedding_size, *[units] * (num_layers - 1)]
        self.hidden = [layers.Dense(units, activation, dtype=self.dtype_policy, name=f"hidden_{i}") for i in range(num_layers)]
        for layer, width in zip(self.hidden, widths):
            layer.build((None, None, width))
        self.built = True

    def zero_state(self, batch):
        """The state of a text that nothing is known of: the vectors of the last `window - 1` symbols, a list of one tensor."""
        return [ops.zeros((batch, (self.window - 1) * self.embedding_size), self.compute_dtype)]

    def call(self, ids, training=False):
        """Features `(batch, length, units)` at all places, given the symbol before each, `(batch, length)` int32; and `None`."""
        length = ops.shape(ids)[1]
        padded = ops.pad(self.embedding(ids), ((0, 0), (self.window - 1, 0), (0, 0)))
        return self._features(ops.concatenate([padded[:, i : i + length] for i in range(self.window)], axis=-1), training), None

    def _features(self, x, training=False):
        for layer in self.hidden:
            x = layer(self.drop(x, training=training))
        return self.drop(x, training=training)

    def stepper(self):
        """A function `step(ids, state) -> features, state` for rows of ids `(n,)`; features are `(n, units)`."""

        def step(ids, state):
            seen = ops.concatenate([state[0], self.embedding(ids)], axis=-1)
            return self._features(seen), [seen[:, self.embedding_size :]]

        return step

    def get_config(self):
        """The constructor's arguments."""
        names = ("symbols", "embedding_size", "units", "num_layers", "window", "activation", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
