"""LSTM over the two dimensions of an image, computed diagonal by diagonal.

Paper: Theis, Bethge 2015, "Generative Image Modeling Using Spatial LSTMs", arXiv 1506.03478, section 2.3 (after Graves, Schmidhuber 2009).
"""

import keras
import numpy as np
from keras import ops

from zoo import autodiff

# blocks of the kernel: candidate, output gate, input gate, gate that forgets the left neighbour, gate that forgets the upper one
GATES = 5


@keras.saving.register_keras_serializable("zoo")
class SpatialLSTM(keras.layers.Layer):
    """Units that see their input, and themselves at the left and at the upper neighbour (equations 7 to 9).

    `c = g * i + c_left * f_left + c_above * f_above` and `h = tanh(c * o)`, where `g` is a tanh and the gates are sigmoids of one affine
    map of the input, `h_left` and `h_above`. Outside of the image both states are zero.

    Pixels of a diagonal do not depend on each other: the rows are shifted so that diagonals become columns, and one loop of H + W - 1 steps
    runs over these, in place of one of H * W. A batch of known size goes through in a few groups, image behind image, since half of the
    shifted rows of one image is empty.

    Args:
        units: number of units.
        extended: whether the affine map sees both memories `c` as well, as an option of the authors' code has it.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `units` is below 1.
    """

    def __init__(self, units, extended=False, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: {units}")
        self.units, self.extended = units, extended

    def build(self, input_shape):
        """Make the weights for inputs `(batch, height, width, channels)`."""
        outputs = GATES * self.units
        self.kernel = self.add_weight((input_shape[-1], outputs), "glorot_uniform", name="kernel")
        rows = (4 if self.extended else 2) * self.units
        self.recurrent_kernel = self.add_weight((rows, outputs), "glorot_uniform", name="recurrent_kernel")
        self.bias = self.add_weight((outputs,), "zeros", name="bias")

    def call(self, x):
        """States of all pixels: `(batch, height, width, channels)` -> `(batch, height, width, units)`; sizes must be known."""
        batch, (height, width) = ops.shape(x)[0], x.shape[1:3]
        # shifted rows of one image leave half of the columns empty; so several images go through one after the other
        queue = _queue(batch, height, width)
        drive = _side_by_side(self.drive(x), queue)
        drive = ops.moveaxis(skewed(drive), 2, 0)
        columns = np.arange(queue * width + height - 1)[:, None] - np.arange(height)
        # nothing is to the left of a row's first pixel, whatever the image before has left there
        has_left = columns % width > 0
        # states of empty columns would grow without bound
        inside = (columns >= 0) & (columns < queue * width)

        def step(state, rows):
            drive, has_left, inside = rows
            above = ops.pad(state[:, :-1], [[0, 0], [1, 0], [0, 0]])
            state = self.step(drive, state * has_left, above) * inside
            return state, state[..., : self.units]

        masks = [ops.cast(ops.convert_to_tensor(mask[:, None, :, None]), drive.dtype) for mask in (has_left, inside)]
        start = ops.zeros_like(drive[0])[..., : 2 * self.units]
        found = autodiff.scan(step, start, [drive, *masks])[1]
        return _apart(straightened(ops.moveaxis(found, 0, 2), queue * width), queue)

    def drive(self, x):
        """What inputs `(..., channels)` add to the affine map: `(..., 5 * units)`."""
        return ops.matmul(x, ops.cast(self.kernel, self.compute_dtype)) + ops.cast(self.bias, self.compute_dtype)

    def step(self, drive, left, above):
        """The states of pixels, `h` before `c` on the last axis, `(..., 2 * units)`, by their drive and those of two neighbours."""
        h_left, c_left = ops.split(left, 2, axis=-1)
        h_above, c_above = ops.split(above, 2, axis=-1)
        seen = [h_left, h_above, *([c_left, c_above] if self.extended else [])]
        x = drive + ops.matmul(ops.concatenate(seen, axis=-1), ops.cast(self.recurrent_kernel, self.compute_dtype))
        g = ops.tanh(x[..., : self.units])
        o, i, f_left, f_above = ops.split(ops.sigmoid(x[..., self.units :]), 4, axis=-1)
        c = g * i + c_left * f_left + c_above * f_above
        return ops.concatenate([ops.tanh(c * o), c], axis=-1)

    def compute_output_shape(self, input_shape):
        """`(batch, height, width, units)`."""
        return (*input_shape[:-1], self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "extended": self.extended}


def skewed(x):
    """`(batch, height, width, channels)` with row i shifted to the right by i: `(batch, height, height + width - 1, channels)`."""
    height, width, channels = x.shape[1:]
    # rows of one more than the new width, cut anew
    x = ops.reshape(ops.pad(x, [[0, 0], [0, 0], [0, height], [0, 0]]), (-1, height * (height + width), channels))
    return ops.reshape(x[:, :-height], (-1, height, height + width - 1, channels))


def straightened(x, width):
    """The inverse of `skewed`."""
    height, columns, channels = x.shape[1:]
    x = ops.pad(ops.reshape(x, (-1, height * columns, channels)), [[0, 0], [0, height], [0, 0]])
    return ops.reshape(x, (-1, height, columns + 1, channels))[:, :, :width]


def _queue(batch, height, width):
    """How many images follow each other: a part of the batch that shortens the work and makes the loop at most four times as long."""
    if not isinstance(batch, int):
        return 1
    longest = max(1, min(batch, 4 * (height + width - 1) // width))
    return max(n for n in range(1, longest + 1) if batch % n == 0)


def _side_by_side(x, queue):
    """`(batch, height, width, channels)` -> `(batch / queue, height, queue * width, channels)`."""
    height, width, channels = x.shape[1:]
    x = ops.transpose(ops.reshape(x, (-1, queue, height, width, channels)), (0, 2, 1, 3, 4))
    return ops.reshape(x, (-1, height, queue * width, channels))


def _apart(x, queue):
    """The inverse of `_side_by_side`."""
    height, columns, channels = x.shape[1:]
    x = ops.transpose(ops.reshape(x, (-1, height, queue, columns // queue, channels)), (0, 2, 1, 3, 4))
    return ops.reshape(x, (-1, height, columns // queue, channels))
