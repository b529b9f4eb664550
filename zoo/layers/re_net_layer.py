"""The layer of ReNet, recurrent networks that sweep an image.

Paper: Visin et al. 2015, "ReNet: A Recurrent Neural Network Based Alternative to Convolutional Networks", arXiv 1505.00393, section 2.
"""

import keras
from keras import layers, ops

from zoo.layers.both_directions import both_directions

CELLS = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}


@keras.saving.register_keras_serializable("zoo")
class ReNetLayer(layers.Layer):
    """Four recurrent networks sweep an image: its patches up and down along the columns, then what they gave left and right along the rows.

    Every output sees the whole image. `(batch, height, width, channels)` -> `(batch, height / p, width / q, 2 * units)` for patches of
    `(p, q)` pixels. Images of any size fit; each sweep is one run of one recurrent network over all columns or rows at once.

    Args:
        units: units of each of the four networks.
        patch_size: height and width of a patch, or one number for both.
        cell: `"gru"`, `"lstm"` or `"rnn"` (tanh).
        padding: `"valid"` refuses images that are not a whole number of patches, `"same"` adds zeros below and to the right.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, units, patch_size=2, cell="gru", padding="valid", **kwargs):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"`cell` must be one of {list(CELLS)}. Received: {cell!r}")
        if padding not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: {padding!r}")
        self.units, self.patch_size, self.cell, self.padding = units, patch_size, cell, padding
        self.patch = (patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)
        if units < 1 or len(self.patch) != 2 or min(self.patch) < 1:
            raise ValueError(f"`units` and the two sides of `patch_size` must be at least 1. Received: {units}, {patch_size}")
        self.vertical, self.horizontal = self._sweep("vertical"), self._sweep("horizontal")

    def _sweep(self, name):
        network = CELLS[self.cell](self.units, return_sequences=True, dtype=self.dtype_policy, name="forward")
        return both_directions(network, dtype=self.dtype_policy, name=name)

    def build(self, input_shape):
        """The weights depend on the channels alone."""
        self.vertical.build((None, None, self.patch[0] * self.patch[1] * input_shape[-1]))
        self.horizontal.build((None, None, 2 * self.units))
        self.built = True

    def call(self, image):
        """Features of every patch in the light of the whole image.

        Args:
            image: `(batch, height, width, channels)`.

        Returns:
            `(batch, height / p, width / q, 2 * units)`.

        Raises:
            ValueError: if a side is no multiple of the patch's and `padding` is `"valid"`.
        """
        columns = ops.transpose(self._patches(image), (0, 2, 1, 3))
        rows = ops.transpose(_along(self.vertical, columns), (0, 2, 1, 3))
        return _along(self.horizontal, rows)

    def _patches(self, image):
        """The patches as vectors, `(batch, rows, columns, p * q * channels)` (equation 1's input)."""
        p, q = self.patch
        if self.padding == "same":
            height, width = ops.shape(image)[1:3]
            image = ops.pad(image, [(0, 0), (0, -height % p), (0, -width % q), (0, 0)])
        else:
            self._check(image.shape)
        height, width = ops.shape(image)[1:3]
        channels = image.shape[-1]
        if p == q == 1:
            return image
        parts = ops.reshape(image, (-1, height // p, p, width // q, q, channels))
        return ops.reshape(ops.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, height // p, width // q, p * q * channels))

    def _check(self, shape):
        for side, patch in zip(shape[1:3], self.patch):
            if side is not None and side % patch:
                raise ValueError(
                    f"`image` must have sides that are multiples of the patch {self.patch}, or the layer `padding='same'`. "
                    f"Received: {shape[1]} x {shape[2]}"
                )

    def compute_output_shape(self, input_shape):
        """`(batch, height / p, width / q, 2 * units)`."""
        if self.padding == "valid":
            self._check(input_shape)
        sides = [None if side is None else -(-side // patch) for side, patch in zip(input_shape[1:3], self.patch)]
        return (input_shape[0], *sides, 2 * self.units)

    def get_config(self):
        """The constructor's arguments."""
        own = {"units": self.units, "patch_size": self.patch_size, "cell": self.cell, "padding": self.padding}
        return {**super().get_config(), **own}


def _along(network, lines):
    """A recurrent network over the third axis of `(batch, lines, steps, features)`, all lines at once."""
    shape = ops.shape(lines)
    swept = network(ops.reshape(lines, (-1, shape[2], lines.shape[-1])))
    return ops.reshape(swept, (-1, shape[1], shape[2], swept.shape[-1]))
