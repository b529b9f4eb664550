"""A gated recurrent unit whose gates and candidate also see a vector that stays the same over time, such as that of a sentence."""

import keras
from keras import ops

# closes a gate, and fits float16
_CLOSED = -1e4


@keras.saving.register_keras_serializable("zoo")
class ConditionalGRU(keras.layers.Layer):
    """The GRU of Kiros et al. 2015, arXiv 1506.06726, section 2: equations 1 to 4, with a context equations 5 to 8.

    With r = s(W_r x + U_r h + C_r c), z = s(W_z x + U_z h + C_z c) and a = tanh(W x + U (r * h) + C c), the next state is
    (1 - z) * h + z * a. (`keras.layers.GRU` calls z what is 1 - z here.) What does not depend on the state is one product for all steps.

    Args:
        units: length of the state.
        input_dim: length of the inputs.
        context_dim: length of the context c, or `None` for none.
        go_backwards: whether to start with the last step.
        kernel_initializer: of the weights of inputs and context; by default uniform in [-0.1, 0.1], as in the paper.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, units, input_dim, context_dim=None, go_backwards=False, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        if min(units, input_dim, context_dim or 1) < 1:
            raise ValueError(f"`units`, `input_dim` and `context_dim` must be at least 1. Received: {units}, {input_dim}, {context_dim}")
        self.units, self.input_dim, self.context_dim, self.go_backwards = units, input_dim, context_dim, go_backwards
        self.kernel_initializer, width = keras.initializers.get(kernel_initializer), 3 * units
        start = self.kernel_initializer or keras.initializers.RandomUniform(-0.1, 0.1)
        # in the order r, z, candidate
        self.kernel = self.add_weight((input_dim, width), start, name="kernel")
        if context_dim:
            self.context_kernel = self.add_weight((context_dim, width), start, name="context_kernel")
        self.bias = self.add_weight((width,), "zeros", name="bias")
        self.cell = _Recurrence(units, dtype=self.dtype_policy, name="recurrence")
        self.rnn = keras.layers.RNN(self.cell, return_sequences=True, go_backwards=go_backwards, dtype=self.dtype_policy, name="rnn")
        self.rnn.build((None, None, width))
        self.built = True

    def call(self, inputs, context=None, present=None, initial_state=None):
        """Run over sequences.

        Args:
            inputs: `(batch, steps, input_dim)`.
            context: `(batch, context_dim)`, if the layer has one.
            present: `(batch, steps)` bool; the state stays as it is where it is False.
            initial_state: `(batch, units)`; zeros by default.

        Returns:
            The states after each step `(batch, steps, units)`, in the order in which the layer came by.
        """
        drive = self.drive(inputs, context)
        if present is not None:
            # a closed update gate, in place of Keras's masks: these would also change how losses are averaged
            update = drive[..., self.units : 2 * self.units]
            update = ops.where(present[..., None], update, ops.full_like(update, _CLOSED))
            drive = ops.concatenate([drive[..., : self.units], update, drive[..., 2 * self.units :]], axis=-1)
        return self.rnn(drive, initial_state=initial_state)

    def drive(self, inputs, context=None):
        """What inputs `(..., input_dim)` and context add to gates and candidate, `(..., 3 * units)`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        found = ops.matmul(inputs, ops.cast(self.kernel, self.compute_dtype)) + ops.cast(self.bias, self.compute_dtype)
        if self.context_dim:
            given = ops.matmul(ops.cast(context, self.compute_dtype), ops.cast(self.context_kernel, self.compute_dtype))
            found = found + (given[:, None] if len(inputs.shape) == 3 else given)
        return found

    def step(self, inputs, state, context=None):
        """The state `(batch, units)` after one step, of inputs `(batch, input_dim)` and the state before."""
        return self.cell(self.drive(inputs, context), [state])[0]

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        """Shape of the states."""
        return (*inputs_shape[:2], self.units)

    def get_config(self):
        """The constructor's arguments."""
        names = ("units", "input_dim", "context_dim", "go_backwards")
        start = keras.initializers.serialize(self.kernel_initializer) if self.kernel_initializer else None
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, "kernel_initializer": start}


class _Recurrence(keras.layers.Layer):
    """One step, of inputs that are multiplied already."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = units
        # two weights: a slice of one, taken inside the loop, would be copied at every step, and kept for the gradient
        self.gates_kernel = self.add_weight((units, 2 * units), _orthogonal_blocks, name="gates_kernel")
        self.candidate_kernel = self.add_weight((units, units), "orthogonal", name="candidate_kernel")
        self.built = True

    def call(self, inputs, states, training=False):
        units, before = self.state_size, states[0]
        gates = ops.sigmoid(inputs[:, : 2 * units] + ops.matmul(before, self.gates_kernel))
        reset, update = gates[:, :units], gates[:, units:]
        candidate = ops.tanh(inputs[:, 2 * units :] + ops.matmul(reset * before, self.candidate_kernel))
        state = before + update * (candidate - before)
        return state, [state]


def _orthogonal_blocks(shape, dtype=None):
    """Each of the square matrices side by side is orthogonal by itself."""
    units = shape[0]
    return ops.concatenate([keras.initializers.Orthogonal()((units, units), dtype=dtype) for _ in range(shape[1] // units)], axis=1)
