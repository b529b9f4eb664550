"""Identity initialisation of convolutions: a stack of them starts by passing its input through.

Paper: Yu, Koltun 2015, "Multi-Scale Context Aggregation by Dilated Convolutions", arXiv 1511.07122, equations 4 and 5.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class IdentityConvolution(keras.initializers.Initializer):
    """Kernels whose centre passes each of `groups` groups of channels on to the same group (equation 5).

    With `groups = C`, `c_in` and `c_out` channels, the centre is `C / c_out` where `floor(a C / c_in) = floor(b C / c_out)` for input
    channel `a` and output channel `b`; everything else is noise. Without noise, a stack of any widths that starts and ends with `C`
    channels is the identity. With `c_in = c_out = C` it is equation 4, the identity matrix at the centre.

    Args:
        groups: the paper's C; `None` means the number of output channels.
        stddev: standard deviation of the noise at all other places; it breaks the symmetry between copies and must be much smaller
            than `groups / c_out`.
        seed: of the noise.
    """

    def __init__(self, groups=None, stddev=0.0, seed=None):
        if groups is not None and (not isinstance(groups, int) or groups < 1):
            raise ValueError(f"`groups` must be None or a whole number of at least 1. Received: {groups}")
        if stddev < 0:
            raise ValueError(f"`stddev` must not be negative. Received: {stddev}")
        self.groups, self.stddev, self.seed = groups, stddev, seed
        self.noise = keras.initializers.RandomNormal(stddev=stddev, seed=seed)

    def __call__(self, shape, dtype=None):
        """Draw a kernel.

        Args:
            shape: `(*window, c_in, c_out)` with odd sides of the window.
            dtype: of the kernel.

        Raises:
            ValueError: if a side is even, or the channels are not multiples of `groups`.
        """
        *window, incoming, outgoing = shape
        groups = self.groups or outgoing
        if not window or any(n % 2 == 0 for n in window) or incoming % groups or outgoing % groups:
            raise ValueError(
                "`shape` must be (*window, c_in, c_out) with odd sides, and channels that are multiples of "
                f"groups={groups}. Received: {tuple(shape)}"
            )
        same = np.arange(incoming)[:, None] * groups // incoming == np.arange(outgoing)[None] * groups // outgoing
        passed = np.zeros(shape, bool)
        passed[tuple(n // 2 for n in window)] = same
        noise = self.noise(shape, dtype="float32") if self.stddev else 0.0
        return ops.cast(ops.where(passed, groups / outgoing, noise), dtype or keras.config.floatx())

    def get_config(self):
        """The constructor's arguments."""
        return {"groups": self.groups, "stddev": self.stddev, "seed": self.seed}
