"""A recurrent network that writes: one set of weights that training runs over whole texts and that a search runs symbol by symbol."""

import keras
from keras import layers, ops

from zoo import arguments
from zoo.layers.attention import SCORINGS, Attention
from zoo.layers.recurrent_encoder import CELLS
from zoo.layers.rows import RowEmbedding

READOUTS = ("tanh", "maxout", "linear")


@keras.saving.register_keras_serializable("zoo")
class RecurrentDecoder(layers.Layer):
    """Features for the next symbol, from the symbols so far, and perhaps from a memory and from a vector that stays.

    `call` is for all places of texts at once, `step` for one place of `beam_search` and `sample_sequences`: the same function.

    Attention stands where one of two papers has it. Behind the layers, the query is the state of the last one after the symbol was read
    (Luong, Pham, Manning 2015, arXiv 1508.04025, section 3), and all places of a text attend at once. With `feed_context` the query is the
    state of the first layer before, which then reads symbol and context (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473, appendix A.1.2).

    Args:
        symbols: number of ids that are read.
        embedding_size: length of the vector of a symbol.
        units: of each layer.
        num_layers: layers on one another.
        cell: `"lstm"`, `"gru"` or `"rnn"`, a simple one.
        memory_dim: length of a place of the memory; 0 for none.
        attention: how it is scored, see `zoo.layers.Attention`.
        feed_context: whether the first layer reads the context.
        readout: of what the features are made: `None`: the state of the last layer alone, unless there is a context behind it; `"tanh"`:
            tanh of a dense layer of state and context; `"linear"`: the same without tanh; `"maxout"`: the larger numbers of pairs of a
            dense layer of state, symbol and context.
        readout_dim: length of the features of a readout; `None` for `units`.
        constant_dim: length of a vector that every step reads beside its symbol; 0 for none.
        dropout: rate on what each layer reads, and on the features.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        symbols,
        embedding_size,
        units,
        num_layers=1,
        cell="lstm",
        memory_dim=0,
        attention="additive",
        feed_context=False,
        readout="tanh",
        constant_dim=0,
        dropout=0.0,
        readout_dim=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"symbols": symbols, "embedding_size": embedding_size, "units": units, "num_layers": num_layers}
        for name, value in sizes.items():
            arguments.count(name, value)
        for name, value in {"memory_dim": memory_dim, "constant_dim": constant_dim}.items():
            arguments.count(name, value, low=0)
        arguments.one_of("cell", cell, tuple(CELLS))
        arguments.one_of("attention", attention, SCORINGS)
        arguments.one_of("readout", readout, (None, *READOUTS))
        if readout_dim is not None:
            arguments.count("readout_dim", readout_dim)
        if feed_context and not memory_dim:
            raise ValueError(f"`memory_dim` must be above 0 to feed a context. Received: {memory_dim}")
        self.symbols, self.embedding_size, self.units, self.num_layers, self.cell = symbols, embedding_size, units, num_layers, cell
        self.memory_dim, self.attention, self.feed_context, self.readout = memory_dim, attention, feed_context, readout
        self.constant_dim, self.dropout, self.readout_dim = constant_dim, dropout, readout_dim
        self.embedding = RowEmbedding(symbols, embedding_size, name="embedding")
        self.embedding.build((None, None))
        self.drop = layers.Dropout(dropout)
        self.attend = Attention(units, memory_dim, attention, name="attend") if memory_dim else None
        inputs = embedding_size + constant_dim
        self.writers = [CELLS[cell](units, return_sequences=True, dtype=self.dtype_policy, name=f"writer_{i}") for i in range(num_layers)]
        for i, writer in enumerate(self.writers):
            writer.build((None, None, units if i else inputs + (memory_dim if feed_context else 0)))
        self.dense = self._dense(units + memory_dim, inputs)
        self.built = True

    def _dense(self, width, inputs):
        """The layer of the readout."""
        if self.readout is None:
            return None
        width, size = (width + inputs, 2 * self.width) if self.readout == "maxout" else (width, self.width)
        dense = layers.Dense(size, activation="tanh" if self.readout == "tanh" else None, dtype=self.dtype_policy, name="readout")
        dense.build((None, None, width))
        return dense

    @property
    def width(self):
        """Length of the features."""
        return (self.readout_dim or self.units) if self.readout else self.units + self.memory_dim

    @property
    def states_per_layer(self):
        """2 for LSTMs, `h` and `c`; else 1."""
        return 2 if self.cell == "lstm" else 1

    def zero_state(self, batch):
        """The state of a text that nothing is known of: a list of zeros `(batch, units)`."""
        return [ops.zeros((batch, self.units), self.compute_dtype) for _ in range(self.states_per_layer * self.num_layers)]

    def call(self, ids, state=None, memory=None, present=None, constant=None, training=False):
        """Features and weights of attention at all places.

        Args:
            ids: what is read, `(batch, length)` int32: the symbol before each place.
            state: list of tensors `(batch, units)` at the start, as `RecurrentEncoder` gives them; `None` for zeros.
            memory: `(batch, places, memory_dim)`.
            present: which of its places count, `(batch, places)` bool; `None` for all.
            constant: `(batch, constant_dim)`.
            training: whether to drop numbers.

        Returns:
            Features `(batch, length, width)`, and weights `(batch, length, places)` float32, `None` without memory.
        """
        parts, weights = self.parts(ids, state, memory, present, constant, training)
        return self.drop(self._features(parts), training=training), weights

    def read(self, ids, state=None, memory=None, present=None, constant=None, training=False):
        """As `call`, for texts behind which something goes on: padding, on the right, moves nothing.

        Returns:
            Features `(batch, length, width)`, which say nothing behind a text, and the states behind its last symbol, as `call` takes them.
        """
        state = self.zero_state(ops.shape(ids)[0]) if state is None else state
        inputs = x = self._read(ids, constant, ops.shape(ids)[1], training)
        words, contexts, states = ops.not_equal(ids, 0), [], []
        for i, writer in enumerate(self.writers):
            fed, own = i == 0 and self.feed_context, self._own(state, i)
            x = x if i == 0 else self.drop(x, training=training)
            if fed:
                # Keras's mask does not fit a cell that gives more than its state
                cell = self._fed_cell(state[0], memory, present, masked=True)
                x = ops.concatenate([x, ops.cast(words, x.dtype)[..., None]], axis=-1)
            run = layers.RNN(cell if fed else writer.cell, return_sequences=True, return_state=True, dtype=self.dtype_policy)
            x, *own = run(x, initial_state=own, mask=None if fed else words)
            # the product ends Keras's own mask
            x, states = x * ops.cast(words, x.dtype)[..., None], [*states, *own]
            if fed:
                x, before = ops.split(x, 2, axis=-1)
                contexts = [self.attend(before, memory, present)[0]]
        if self.attend and not self.feed_context:
            contexts = [self.attend(x, memory, present)[0]]
        return self.drop(self._features([x, *contexts, inputs]), training=training), states

    def parts(self, ids, state=None, memory=None, present=None, constant=None, training=False):
        """What features are made of, at all places: a list of states, of contexts if there is a memory, and of what was read, each `(batch,
        length, any)`; and the weights of attention. Arguments as in `call`."""
        state = self.zero_state(ops.shape(ids)[0]) if state is None else state
        inputs = x = self._read(ids, constant, ops.shape(ids)[1], training)
        contexts, weights = [], None
        for i, writer in enumerate(self.writers):
            own = self._own(state, i)
            if i == 0 and self.feed_context:
                x, context, weights = self._fed(x, own, memory, present)
                contexts = [context]
            else:
                x = writer(x if i == 0 else self.drop(x, training=training), initial_state=own)
        if self.attend and not self.feed_context:
            context, weights = self.attend(x, memory, present)
            contexts = [context]
        return [x, *contexts, inputs], weights

    def _own(self, state, i):
        return state[i * self.states_per_layer : (i + 1) * self.states_per_layer]

    def _read(self, ids, constant, length, training=False):
        """Vectors of symbols `(batch, length, inputs)`, with the constant behind each."""
        x = self.embedding(ids)
        if self.constant_dim:
            constant = ops.broadcast_to(ops.cast(constant, x.dtype)[:, None], (ops.shape(x)[0], length, self.constant_dim))
            x = ops.concatenate([x, constant], axis=-1)
        return self.drop(x, training=training)

    def _features(self, parts):
        if self.readout == "maxout":
            return maxout(self.dense(ops.concatenate(parts, axis=-1)))
        # without what was read
        x = ops.concatenate(parts[:-1], axis=-1) if len(parts) > 2 else parts[0]
        return self.dense(x) if self.readout else x

    def _fed(self, x, state, memory, present):
        """The first layer where each step reads a context: outputs, contexts and weights of all steps."""
        cell = self._fed_cell(state[0], memory, present)
        found, before = ops.split(layers.RNN(cell, return_sequences=True, dtype=self.dtype_policy)(x, initial_state=state), 2, axis=-1)
        # the loop keeps the queries, from which all contexts come again at once, so that it need not carry what is as long as the memory
        return found, *self.attend(before, memory, present)

    def _fed_cell(self, start, memory, present, masked=False):
        start = ops.cast(start, self.compute_dtype)
        return _Fed(self.writers[0].cell, self.attend, memory, present, start, masked, dtype=self.dtype_policy)

    def stepper(self, memory=None, present=None, constant=None, parts=False):
        """A function `step(ids, state) -> features, state` for rows of ids `(n,)`, `n` a multiple of the batch of the memory: row `i` is
        of text `i // (n // batch)`.

        Args:
            memory: as in `call`.
            present: as in `call`.
            constant: as in `call`.
            parts: whether the function gives what `parts` does in place of features.

        Returns:
            The function; its features are `(n, width)`.
        """
        keys = None if memory is None else self.attend.keys(memory)

        def context_of(query):
            rows = ops.reshape(query, (ops.shape(memory)[0], -1, self.units))
            return ops.reshape(self.attend(rows, memory, present, keys)[0], (-1, self.memory_dim))

        def step(ids, state):
            given = None if constant is None else ops.repeat(constant, ops.shape(ids)[0] // ops.shape(constant)[0], axis=0)
            inputs = x = self._read(ids[:, None], given, 1)[:, 0]
            contexts = [context_of(state[0])] if self.feed_context else []
            x, moved = ops.concatenate([x, *contexts], axis=-1), []
            for i, writer in enumerate(self.writers):
                x, new = writer.cell(x, self._own(state, i))
                moved += new
            if self.attend and not self.feed_context:
                contexts = [context_of(x)]
            found = [x, *contexts, inputs]
            return found if parts else self._features(found), moved

        return step

    def get_config(self):
        """The constructor's arguments."""
        names = ("symbols", "embedding_size", "units", "num_layers", "cell", "memory_dim", "attention", "feed_context", "readout")
        own = {name: getattr(self, name) for name in (*names, "constant_dim", "dropout", "readout_dim")}
        return {**super().get_config(), **own}


def maxout(pairs):
    """The larger number of each pair of neighbours: `(..., 2 * n)` to `(..., n)` (Goodfellow et al. 2013, arXiv 1302.4389)."""
    return ops.max(ops.reshape(pairs, (*ops.shape(pairs)[:-1], pairs.shape[-1] // 2, 2)), axis=-1)


class _Fed(layers.Layer):
    """A cell whose inputs are a symbol and what its state finds in a memory; it gives its state and the one before.

    A masked one has a last input, 0 where nothing moves.
    """

    def __init__(self, cell, attend, memory, present, start, masked=False, **kwargs):
        super().__init__(**kwargs)
        self.masked = masked
        self.inner, self.attend, self.memory, self.present = cell, attend, memory, present
        self.keys = attend.keys(memory)
        self.state_size, self.output_size = cell.state_size, 2 * cell.units
        self.built = True

    def call(self, x, states, training=False):
        context = self.attend(states[0][:, None], self.memory, self.present, self.keys)[0][:, 0]
        x, moves = (x[:, :-1], x[:, -1:] > 0) if self.masked else (x, None)
        output, state = self.inner(ops.concatenate([x, context], axis=-1), states)
        if self.masked:
            state = [ops.where(moves, new, old) for new, old in zip(state, states)]
        return ops.concatenate([output, states[0]], axis=-1), state
