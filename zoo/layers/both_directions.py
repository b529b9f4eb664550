"""Bidirectional recurrent layers that a saved model can hold."""

import types

from keras import layers


def both_directions(layer, **kwargs):
    """`keras.layers.Bidirectional` of a recurrent layer, for constructors that run while Keras loads a file.

    While it loads, Keras takes two objects of one `id` for one object. `Bidirectional` copies the layer it is given so and lets it go;
    a later layer can get its `id` and would become a layer of the earlier one. So the given layer is kept as long as its copies.

    Args:
        layer: a recurrent layer, such as `keras.layers.LSTM`.
        **kwargs: of `keras.layers.Bidirectional`.

    Returns:
        The `keras.layers.Bidirectional`.
    """
    wrapper = layers.Bidirectional(layer, **kwargs)
    # in a namespace, where Keras does not see a layer with weights to build
    wrapper.copied_from = types.SimpleNamespace(layer=layer)
    return wrapper
