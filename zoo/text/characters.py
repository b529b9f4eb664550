"""Characters: the alphabet of Zhang and LeCun, and the layer that turns strings into ids of characters.

Ids are those of words: 0 is padding, 1 a character outside the alphabet, character i of an alphabet has the id i + 2.
"""

import keras

from zoo.text.words import check_vocabulary, runs_before_the_graph

# 69 characters: the paper counts 70, since its list holds the hyphen twice
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}\n"


@keras.saving.register_keras_serializable("zoo")
def lower_case(text):
    """`text`, a string tensor, in lower case."""
    import tensorflow as tf

    return tf.strings.lower(text, encoding="utf-8")


def char_vectorization(alphabet, length):
    """A `keras.layers.TextVectorization` from strings to ids of their characters in lower case, cut or padded on the right.

    Args:
        alphabet: string or list of different characters.
        length: characters of a text; `None` pads to the longest of the batch.

    Returns:
        A layer from strings `(batch,)` to ids `(batch, length)`.
    """
    characters = list(alphabet)
    check_vocabulary(characters)
    layer = keras.layers.TextVectorization(
        standardize=lower_case, split="character", vocabulary=characters, output_sequence_length=length, name="vectorization"
    )
    return runs_before_the_graph(layer)
