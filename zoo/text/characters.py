"""Characters: the alphabet of Zhang and LeCun, and the layer that turns strings into ids of characters.

Ids are those of words: 0 is padding, 1 a character outside the alphabet, character i of an alphabet has the id i + 2.
"""

import keras

from zoo.text.words import check_vocabulary, runs_before_the_graph

# 69 characters: the paper counts 70, since its list holds the hyphen twice
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}\n"
# what TensorFlow takes for white space
SPACE = " \t\n\v\f\r"


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


def split_vectorization(characters, vocabulary):
    """A layer from strings to ids of the words of `vocabulary` that the white space among `characters` separates."""
    layer = keras.layers.TextVectorization(
        standardize=KnownSpaces(characters), split="whitespace", vocabulary=list(vocabulary), name="word_vectorization"
    )
    return runs_before_the_graph(layer)


@keras.saving.register_keras_serializable("zoo")
class KnownSpaces:
    """Lower case; white space that is not in the alphabet is an unknown character of a word, as it is for the characters."""

    def __init__(self, characters):
        self.characters = "".join(characters)

    def __call__(self, texts):
        """Strings to strings."""
        import tensorflow as tf

        others = "".join(character for character in SPACE if character not in self.characters)
        texts = lower_case(texts)
        return tf.strings.regex_replace(texts, f"[{others}]", "\N{REPLACEMENT CHARACTER}") if others else texts

    def get_config(self):
        """The constructor's arguments."""
        return {"characters": self.characters}
