"""The context module: convolutions whose dilation grows exponentially, so that each pixel sees far without any loss of resolution.

Paper: Yu, Koltun 2015, "Multi-Scale Context Aggregation by Dilated Convolutions", arXiv 1511.07122, section 3 and table 1.
"""

import itertools

import keras
from keras import layers

from zoo.initializers.identity_convolution import IdentityConvolution

# of the eight layers in table 1: seven of 3 x 3, and the last of 1 x 1, whose dilation means nothing
DILATIONS = (1, 1, 2, 4, 8, 16, 1, 1)


@keras.saving.register_keras_serializable("zoo")
class DilatedContext(keras.Layer):
    """Takes the scores of `num_classes` classes at each pixel and gives better ones, with the context of 67 x 67 pixels.

    It starts as the identity (of what is positive), so that it can be put behind a trained network and trained on.

    Args:
        num_classes: channels of input and output, the paper's C.
        size: `"basic"` (C channels throughout) or `"large"` (2C, 2C, 4C, 8C, 16C, 32C, 32C and C: twice the largest dilation so far).
        dilations: one for each 3 x 3 convolution, and a last one for the final 1 x 1 convolution, where only 1 has a meaning.
            The paper uses fewer or more layers for smaller or larger images; ones everywhere give a plain stack of equal size.
        kernel_initializer: `"identity"` (equations 4 and 5) or any of Keras.
        activation: after every convolution but the last.
        padding: `"same"` (zeros, as in the authors' code) or `"valid"`, which crops `(receptive_field() - 1) / 2` pixels at each side.
        noise: standard deviation of the identity's noise for `size="large"`, much smaller than 1/32.
        **kwargs: of `keras.Layer`.
    """

    def __init__(
        self,
        num_classes,
        size="basic",
        dilations=DILATIONS,
        kernel_initializer="identity",
        activation="relu",
        padding="same",
        noise=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size not in ("basic", "large"):
            raise ValueError(f"`size` must be 'basic' or 'large'. Received: {size!r}")
        if padding not in ("same", "valid"):
            raise ValueError(f"`padding` must be 'same' or 'valid'. Received: {padding!r}")
        self.dilations = tuple(dilations)
        if not self.dilations or any(not isinstance(d, int) or d < 1 for d in self.dilations) or self.dilations[-1] != 1:
            raise ValueError(f"`dilations` must be positive whole numbers, the last of them 1. Received: {dilations}")
        self.num_classes, self.size, self.padding, self.noise = num_classes, size, padding, noise
        self.activation = keras.activations.get(activation)
        self.identity = kernel_initializer == "identity"
        self.kernel_initializer = kernel_initializer if self.identity else keras.initializers.get(kernel_initializer)
        self.convolutions = self._convolutions()

    def _convolutions(self):
        """Table 1."""
        widths = [1] * len(self.dilations)
        if self.size == "large":
            widths = [2 * d for d in itertools.accumulate(self.dilations[:-1], max)] + [1]
        noise = self.noise if self.size == "large" else 0.0
        return [
            layers.Conv2D(
                width * self.num_classes,
                3 if i < len(widths) - 1 else 1,
                dilation_rate=dilation,
                padding=self.padding,
                activation=self.activation if i < len(widths) - 1 else None,
                kernel_initializer=IdentityConvolution(self.num_classes, noise) if self.identity else self.kernel_initializer,
                dtype=self.dtype_policy,
                name=f"conv{i}",
            )
            for i, (width, dilation) in enumerate(zip(widths, self.dilations))
        ]

    def build(self, input_shape):
        """Make the kernels.

        Raises:
            ValueError: if the channels of the input are not `num_classes`.
        """
        if input_shape[-1] != self.num_classes:
            raise ValueError(f"`inputs` must have {self.num_classes} channels, one a class. Received: shape {input_shape}")
        for convolution in self.convolutions:
            convolution.build(input_shape)
            input_shape = convolution.compute_output_shape(input_shape)

    def call(self, inputs):
        """Scores `(batch, height, width, num_classes)` of scores of the same shape (smaller for `padding="valid"`)."""
        for convolution in self.convolutions:
            inputs = convolution(inputs)
        return inputs

    def receptive_field(self):
        """Side of the square that one output depends on, in pixels of the input: 67 for the paper's dilations (table 1)."""
        return 1 + 2 * sum(self.dilations[:-1])

    def compute_output_shape(self, input_shape):
        """The shape of the input, or smaller by `receptive_field() - 1`."""
        lost = self.receptive_field() - 1 if self.padding == "valid" else 0
        batch, *sides, _ = input_shape
        return (batch, *(None if n is None else n - lost for n in sides), self.num_classes)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "size": self.size,
            "dilations": self.dilations,
            "kernel_initializer": "identity" if self.identity else keras.initializers.serialize(self.kernel_initializer),
            "activation": keras.activations.serialize(self.activation),
            "padding": self.padding,
            "noise": self.noise,
        }
