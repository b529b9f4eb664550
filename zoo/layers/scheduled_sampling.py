"""Scheduled sampling: a recurrent language model that in training reads some of its own samples in place of the true tokens.

Bengio, Vinyals, Jaitly, Shazeer 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", arXiv 1506.03099; its
inconsistency is a result of Huszar 2015, "How (not) to Train your Generative Model", arXiv 1511.05101, section 2.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, checked

CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell, "rnn": keras.layers.SimpleRNNCell}
# sequences of a compiled pass
ROWS = 500


@keras.saving.register_keras_serializable("zoo")
class ScheduledSampling(keras.layers.Layer):
    """Logits of each token given those before it, by a recurrent network that is a distribution over sequences.

    In training the network reads at each place the true previous token with the probability that the variable `true_probability` holds,
    else its own sample of that token: one draw for each token of each sequence (Bengio et al., figure 1). Samples carry no gradient.
    Otherwise, and with a probability of 1, it reads the true tokens, and the loss is the negative log-likelihood.
    `zoo.callbacks.ScheduledSamplingDecay` moves the variable.

    The loop runs in float32 whatever the policy, since it carries ids.

    Example:
        ```python
        model = keras.Sequential([keras.Input((length,), dtype="int32"), zoo.layers.ScheduledSampling(1000, units=64)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(ids, ids)
        ```

    Args:
        vocabulary_size: number of tokens, whose ids are 0 to `vocabulary_size - 1`.
        units: of the cell.
        embedding_size: length of a token's vector.
        cell: `"gru"`, `"lstm"`, `"rnn"`, or a Keras cell of one's own, whose size then counts in place of `units`.
        true_probability: at first.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, vocabulary_size, units=64, embedding_size=32, cell="gru", true_probability=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.units = arguments.count("vocabulary_size", vocabulary_size), arguments.count("units", units)
        self.embedding_size = arguments.count("embedding_size", embedding_size)
        if isinstance(cell, str):
            arguments.one_of("cell", cell, tuple(CELLS))
        elif not hasattr(cell, "state_size"):
            arguments.refuse("cell", f"one of {', '.join(map(repr, CELLS))}, or a Keras cell", cell)
        self.cell, self.seed = cell, None if seed is None else arguments.count("seed", seed, low=0)
        self.first_probability = arguments.number("true_probability", true_probability, 0, 1)
        inner = CELLS[cell](self.units, dtype="float32", name="cell") if isinstance(cell, str) else cell
        self.step = _Step(self.vocabulary_size, self.embedding_size, inner, dtype="float32", name="step")
        self.rnn = keras.layers.RNN(self.step, return_sequences=True, dtype="float32", name="rnn")
        self.rnn.build((None, None, 3))
        start = keras.initializers.Constant(self.first_probability)
        self.true_probability = self.add_weight((), start, trainable=False, dtype="float32", autocast=False, name="true_probability")
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def call(self, ids, training=False):
        """Logits of every token.

        Args:
            ids: `(batch, length)`.
            training: whether samples may take the place of true tokens.

        Returns:
            `(batch, length, vocabulary_size)` float32: at each place the logits of that token, given those that were read before it.
        """
        # float32 holds ids up to 2 ** 24, and a dataset may give them so
        ids = ops.cast(ids, "float32")
        true = draws = ops.ones_like(ids)
        if training:
            shape = ops.shape(ids)
            true = ops.cast(keras.random.uniform(shape, seed=self.seed_generator) < self.true_probability, "float32")
            draws = keras.random.uniform(shape, seed=self.seed_generator)
        return self._run(ids, true, draws)

    def _run(self, ids, true, draws):
        """Logits, where the token that is read at a place is its predecessor of `ids` if `true` is 1 there, else one by the draw there."""
        start = self.vocabulary_size
        before = ops.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=start)
        # the start is always read: nothing was drawn before it
        kept = ops.pad(true[:, 1:], ((0, 0), (1, 0)), constant_values=1.0)
        return self.rnn(ops.stack([before, kept, draws], axis=-1))

    @checked
    def sample(self, n: Count, length: Count, seed: Index | None = None) -> np.ndarray:
        """Random sequences of the model.

        Args:
            n: how many.
            length: of each.
            seed: an int gives the same ones each time.

        Returns:
            int32 array `(n, length)`.
        """
        draws = keras.random.uniform((n, length), seed=self.seed_generator if seed is None else seed)

        def run(draws):
            nothing = ops.zeros_like(draws)
            return pick(self._run(nothing, nothing, draws), draws)

        return autodiff.in_batches(autodiff.compiled_once(self, "sample", run), [ops.convert_to_numpy(draws)], ROWS)[0]

    def log_likelihood(self, ids) -> np.ndarray:
        """Log-probabilities of sequences.

        Args:
            ids: `(n, length)`, whole numbers from 0 to `vocabulary_size - 1`.

        Returns:
            float32 array `(n,)`, nats.

        Raises:
            ValueError: if `ids` are something else.
        """
        ids = arguments.numbers("ids", ids, rank=2)
        arguments.within("ids", ids, 0, self.vocabulary_size - 1)
        if np.any(ids != np.round(ids)):
            raise ValueError(f"`ids` must hold whole numbers. Received: dtype {ids.dtype}")

        def run(ids):
            chances = ops.log_softmax(self.call(ids))
            return ops.sum(ops.take_along_axis(chances, ids[..., None], axis=-1), axis=(1, 2))

        return autodiff.in_batches(autodiff.compiled_once(self, "log_likelihood", run), [ids.astype("int32")], ROWS)[0]

    def compute_output_shape(self, input_shape):
        """That of the logits."""
        return (*input_shape, self.vocabulary_size)

    def compute_output_spec(self, ids, training=False):
        """Logits are float32, whatever the layer's own dtype."""
        return keras.KerasTensor((*ids.shape, self.vocabulary_size), "float32")

    def get_config(self):
        """The constructor's arguments."""
        cell = self.cell if isinstance(self.cell, str) else keras.saving.serialize_keras_object(self.cell)
        names = ("vocabulary_size", "units", "embedding_size", "seed")
        own = {**{name: getattr(self, name) for name in names}, "cell": cell, "true_probability": self.first_probability}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        """The layer of a config."""
        cell = config["cell"]
        return cls(**{**config, "cell": cell if isinstance(cell, str) else keras.saving.deserialize_keras_object(cell)})


def scheduled_sampling_layers(model):
    """All `ScheduledSampling` layers of a model, at any depth."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, ScheduledSampling)]


def pick(logits, draws):
    """Tokens by their probabilities: logits `(..., n)`, draws `(...)` uniform in [0, 1) -> int32 `(...)`."""
    below = ops.cumsum(ops.softmax(logits), axis=-1)
    # the last token also takes what rounding leaves
    return ops.sum(ops.cast(below[..., :-1] <= draws[..., None], "int32"), axis=-1)


class _Step(keras.layers.Layer):
    """One place: reads a token, the true one or the one that was drawn, and gives the logits of the next.

    The state is the token that was drawn for the last place, as a float, and that of the cell.
    """

    def __init__(self, vocabulary_size, embedding_size, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        # the last row is what stands before a sequence
        self.embedding = keras.layers.Embedding(vocabulary_size + 1, embedding_size, dtype="float32", name="embedding")
        self.logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")
        self.embedding.build((None,))
        if not cell.built:
            cell.build((None, embedding_size))
        # those of a stack of cells are nested
        self._sizes = keras.tree.flatten(cell.state_size)
        width = getattr(cell, "output_size", None) or self._sizes[0]
        self.logits.build((None, width))
        self.state_size, self.output_size = [1, *self._sizes], vocabulary_size
        self.built = True

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, size), "float32") for size in self.state_size]

    def call(self, inputs, states, training=False):
        before, is_true, draw = inputs[:, 0], inputs[:, 1], inputs[:, 2]
        drawn, *state = states
        state = keras.tree.pack_sequence_as(self.cell.state_size, state)
        token = ops.cast(ops.where(is_true > 0, before, drawn[:, 0]), "int32")
        output, state = self.cell(self.embedding(token), state, training=training)
        logits = self.logits(output)
        drawn = ops.cast(pick(ops.stop_gradient(logits), draw), "float32")
        return logits, [drawn[:, None], *keras.tree.flatten(state)]
