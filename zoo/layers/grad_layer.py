"""A layer that turns from one layer into another while a model trains.

Paper: Almeida, Sauder 2015, "GradNets: Dynamic Interpolation Between Neural Architectures", arXiv 1511.06827.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class GradLayer(keras.Layer):
    """`(1 - g) simple(x) + g complex(x)`, where g goes from 0 to 1 during training.

    `zoo.callbacks.GradSchedule` moves g; `finalize` takes the simple layers out of a model when the blend is done. Any two layers or
    models that give the same shape can be blended::

        GradLayer(None, keras.layers.ReLU())                                         # linear to rectified
        GradLayer(keras.layers.AveragePooling2D(2), keras.layers.MaxPooling2D())
        GradLayer(keras.layers.BatchNormalization(), None)                           # normalised to not
        GradLayer(Pick(0), Pick(1))([x, block(x)])                                   # skipped to passed
        GradLayer(keras.layers.Add(), Pick(1))([x, block(x)])                        # residual to plain

    Args:
        simple: layer that is easy to train, or `None` for the identity.
        complex: layer that shall remain, or `None` for the identity.
        learned: whether g may run ahead of its schedule: `g = blend + (1 - blend) * sigmoid(logit)` with a trainable `logit`.
        blend: what the schedule has reached, a weight that is not trained; its first value.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, simple, complex, learned=False, blend=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, layer in (("simple", simple), ("complex", complex)):
            if not (layer is None or isinstance(layer, keras.Layer)):
                raise ValueError(f"`{name}` must be a Keras layer or None. Received: {layer!r}")
        if not 0 <= blend <= 1:
            raise ValueError(f"`blend` must lie in [0, 1]. Received: {blend}")
        self.simple, self.complex, self.learned, self.first_blend = simple, complex, learned, blend
        self.supports_masking = True

    def build(self, input_shape):
        """Build both layers.

        Raises:
            ValueError: if their outputs differ in shape.
        """
        shapes = []
        for layer in (self.simple, self.complex):
            if layer is not None and not layer.built:
                layer.build(input_shape)
            shapes.append(tuple(input_shape if layer is None else layer.compute_output_shape(input_shape)))
        if shapes[0] != shapes[1]:
            raise ValueError(f"`simple` and `complex` must give the same shape. Received: {shapes[0]} and {shapes[1]}")
        fixed = {"shape": (), "dtype": "float32", "autocast": False}
        self.blend = self.add_weight(name="blend", initializer=_constant(self.first_blend), trainable=False, **fixed)
        # sigmoid(-2) = 0.12
        self.logit = self.add_weight(name="logit", initializer=_constant(-2.0), **fixed) if self.learned else None
        self.built = True

    @property
    def weight(self):
        """The weight g of the complex layer, a float32 scalar."""
        if not self.learned:
            return ops.convert_to_tensor(self.blend)
        return self.blend + (1 - self.blend) * ops.sigmoid(self.logit)

    def call(self, inputs):
        """Blend.

        Args:
            inputs: what both layers take.

        Returns:
            A tensor of the shape that both give.
        """
        simple, complex = (inputs if layer is None else layer(inputs) for layer in (self.simple, self.complex))
        g = ops.cast(self.weight, complex.dtype)
        return (1 - g) * simple + g * complex

    def compute_output_shape(self, input_shape):
        """The shape that both layers give."""
        layer = self.simple if self.complex is None else self.complex
        return input_shape if layer is None else layer.compute_output_shape(input_shape)

    def get_config(self):
        """The constructor's arguments."""
        branches = {"simple": self.simple, "complex": self.complex}
        branches = {name: keras.saving.serialize_keras_object(layer) for name, layer in branches.items()}
        return {**super().get_config(), **branches, "learned": self.learned, "blend": self.first_blend}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild from `get_config`."""
        branches = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects) for name in ("simple", "complex")
        }
        return cls(**{**config, **branches})


@keras.saving.register_keras_serializable("zoo")
class Pick(keras.Layer):
    """One of several inputs, so that what skips a layer and what passes it can be blended.

    Args:
        index: of the input.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, index, **kwargs):
        super().__init__(**kwargs)
        self.index = index

    def call(self, inputs):
        """The tensor at `index` of the list."""
        return inputs[self.index]

    def compute_output_shape(self, input_shape):
        """The shape of that input."""
        return tuple(input_shape[self.index])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "index": self.index}


def grad_layers(model):
    """All `GradLayer`s of a model, at any depth."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, GradLayer)]


def finalize(model):
    """A copy of a model without the simple layers, once they have no weight any more.

    Args:
        model: Functional or Sequential, nested or not, with `GradLayer`s whose `blend` is 1.

    Returns:
        A model, not compiled, with copied weights and the same outputs; each `GradLayer` is replaced by its complex layer.

    Raises:
        ValueError: if a blend is not done, or a `GradLayer` sits inside a layer that is no such model.
    """
    copied = []

    def final(layer):
        if isinstance(layer, GradLayer):
            if float(layer.blend) < 1:
                raise ValueError(
                    f"`model` must have blended completely; train on with GradSchedule, or assign 1 to `blend` of {layer.name!r}. "
                    f"Received: blend {float(layer.blend):.3g}"
                )
            new = keras.layers.Identity() if layer.complex is None else final(layer.complex)
            new.name = layer.name
            return new
        if hasattr(layer, "inputs") and hasattr(layer, "outputs"):
            return keras.models.clone_model(layer, clone_function=final)
        copied.append((layer, type(layer).from_config(layer.get_config())))
        return copied[-1][1]

    result = final(model)
    left = [layer.name for layer in grad_layers(result)]
    if left:
        raise ValueError(f"`model` must have its GradLayers in Functional or Sequential models. Received: {left} in other layers")
    for old, new in copied:
        new.set_weights(old.get_weights())
    return result


def _constant(value):
    return keras.initializers.Constant(value)
