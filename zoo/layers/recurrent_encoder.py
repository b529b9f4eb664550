"""A text as states: stacked recurrent layers over word vectors, in one direction or in both."""

import keras
from keras import layers, ops

from zoo import arguments
from zoo.layers.both_directions import both_directions
from zoo.layers.rows import RowEmbedding

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}


@keras.saving.register_keras_serializable("zoo")
class RecurrentEncoder(layers.Layer):
    """Ids of a text to a memory of its symbols and to the last state of every layer.

    Args:
        symbols: number of ids; 0 is padding, on the right.
        embedding_size: length of the vector of a symbol.
        units: of each layer, of both directions together.
        num_layers: layers on one another.
        cell: `"lstm"`, `"gru"` or `"rnn"`, a simple one.
        bidirectional: whether every layer reads in both directions, with half of the units each.
        reverse: whether the text is read from its last symbol to the first (Sutskever, Vinyals, Le 2014, arXiv 1409.3215, section 3.3).
        dropout: rate on what each layer reads.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self, symbols, embedding_size, units, num_layers=1, cell="lstm", bidirectional=False, reverse=False, dropout=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        sizes = {"symbols": symbols, "embedding_size": embedding_size, "units": units, "num_layers": num_layers}
        for name, value in sizes.items():
            arguments.count(name, value)
        arguments.one_of("cell", cell, tuple(CELLS))
        if bidirectional and units % 2:
            raise ValueError(f"`units` must be even to read in both directions. Received: {units}")
        self.symbols, self.embedding_size, self.units, self.num_layers = symbols, embedding_size, units, num_layers
        self.cell, self.bidirectional, self.reverse, self.dropout = cell, bidirectional, reverse, dropout
        self.embedding = RowEmbedding(symbols, embedding_size, name="embedding")
        self.embedding.build((None, None))
        self.drop = layers.Dropout(dropout)
        self.readers = [self._reader(i) for i in range(num_layers)]
        for i, reader in enumerate(self.readers):
            reader.build((None, None, units if i else embedding_size))
        self.built = True

    def _reader(self, i):
        options = {"return_sequences": True, "return_state": True, "dtype": self.dtype_policy}
        if self.bidirectional:
            return both_directions(CELLS[self.cell](self.units // 2, **options), name=f"reader_{i}")
        return CELLS[self.cell](self.units, name=f"reader_{i}", **options)

    @property
    def states_per_layer(self):
        """2 for LSTMs, `h` and `c`; else 1."""
        return 2 if self.cell == "lstm" else 1

    def call(self, ids, state=None, training=False):
        """The memory, its states, and what of it is text.

        Args:
            ids: `(batch, length)` int32.
            state: list of tensors `(batch, units)` to start from, as it gives them; `None` for zeros. Not for both directions.
            training: whether to drop numbers.

        Returns:
            Memory `(batch, length, units)`, zeros at padding; a list of the last states, `(batch, units)` each, for every layer its `h` and
            that of an LSTM its `c`; and where there is text, `(batch, length)` bool.
        """
        ids = ops.flip(ids, axis=1) if self.reverse else ids
        x, present, states = self.embedding(ids), ops.not_equal(ids, 0), []
        for i, reader in enumerate(self.readers):
            own = None if state is None else state[i * self.states_per_layer : (i + 1) * self.states_per_layer]
            x, *parts = reader(self.drop(x, training=training), mask=present, initial_state=own)
            half = len(parts) // 2
            states += [ops.concatenate(pair, axis=-1) for pair in zip(parts[:half], parts[half:])] if self.bidirectional else parts
            # the product ends Keras's own mask
            x = x * ops.cast(present, x.dtype)[..., None]
        if self.reverse:
            x, present = ops.flip(x, axis=1), ops.flip(present, axis=1)
        return x, states, present

    def get_config(self):
        """The constructor's arguments."""
        names = ("symbols", "embedding_size", "units", "num_layers", "cell", "bidirectional", "reverse", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
