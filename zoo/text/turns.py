"""Turns of a conversation as one text: what was said last is what a reply has to know first."""

import keras

from zoo import arguments
from zoo.text.words import check_vocabulary, runs_before_the_graph, separate_words

# stands between two turns; texts do not have it, since their marks are words of their own
TURN = "<turn>"


def exchanges(conversations, turns=1):
    """Every turn of conversations that answers another one.

    Args:
        conversations: list of lists of strings.
        turns: so many before it at most, the one that it answers among them.

    Returns:
        Two lists of one length: lists of the turns before, and replies.

    Raises:
        ValueError: if an argument is none of these.
    """
    arguments.count("turns", turns)
    found = arguments.text_lists("conversations", conversations, empty=True)
    places = [(one, i) for one in found for i in range(1, len(one))]
    return [one[max(0, i - turns) : i] for one, i in places], [one[i] for one, i in places]


def joined_turns(conversations):
    """Conversations, each a list of turns or a string, as strings: a line for each turn."""
    return [one if isinstance(one, str) else "\n".join(" ".join(turn.split()) for turn in one) for one in conversations]


def rows_of_exchanges(conversations, exchanges):
    """Conversations in pieces of messages and replies, so that every reply at an even place is learned once.

    Args:
        conversations: list of lists of strings.
        exchanges: messages of a piece, each with its reply.

    Returns:
        Two lists of one length: the turns of each piece but the last, and the last, a reply.

    Raises:
        ValueError: if an argument is none of these.
    """
    size, found = 2 * arguments.count("exchanges", exchanges), arguments.text_lists("conversations", conversations, empty=True)
    pieces = [one[start : start + size] for one in found for start in range(0, len(one) - 1, size)]
    # a message at the end has no reply
    pieces = [piece[: len(piece) // 2 * 2] for piece in pieces]
    return [piece[:-1] for piece in pieces], [piece[-1] for piece in pieces]


def split_turns(texts, turns):
    """The last turns of conversations, a string tensor `(batch,)` with a line for each turn: `(batch * turns,)`.

    Those of one conversation follow one another; turns that it lacks are `""`, in front.
    """
    import tensorflow as tf

    lines = tf.strings.split(tf.strings.strip(texts), sep="\n")
    return tf.reshape(tf.reverse(lines[:, ::-1].to_tensor("", shape=(None, turns)), [1]), [-1])


def turn_vectorization(vocabulary, length, turns):
    """A `keras.layers.TextVectorization` from conversations, a turn a line, to ids `(batch, length)`, padded on the right.

    The last `turns` turns are read, and their last `length` words; `TURN` stands between them and counts as one.

    Args:
        vocabulary: list of words in lower case, `TURN` among them.
        length: words that are read at most.
        turns: likewise.

    Raises:
        ValueError: if an argument is none of these.
    """
    check_vocabulary(vocabulary, lower=True)
    layer = keras.layers.TextVectorization(
        standardize=LastTurns(turns, length), vocabulary=list(vocabulary), output_sequence_length=length, name="vectorization"
    )
    return runs_before_the_graph(layer)


@keras.saving.register_keras_serializable("zoo")
class LastTurns:
    """The last words of the last turns, with spaces between words and `TURN` between turns."""

    def __init__(self, turns, length):
        self.turns, self.length = arguments.count("turns", turns), arguments.count("length", length)

    def __call__(self, text):
        """Of `text`, a string tensor with a line for each turn."""
        import tensorflow as tf

        lines = tf.strings.regex_replace(tf.strings.strip(text), r"\s*\n\s*", "\n")
        recent = tf.strings.regex_replace(lines, rf"(?s)^.*\n((?:[^\n]*\n){{{self.turns - 1}}}[^\n]*)$", r"\1")
        words = tf.strings.split(tf.strings.regex_replace(separate_words(recent), "\n", f" {TURN} "))
        return tf.strings.reduce_join(words[..., -self.length :], axis=-1, separator=" ")

    def get_config(self):
        """The constructor's arguments."""
        return {"turns": self.turns, "length": self.length}

    @classmethod
    def from_config(cls, config):
        """As a layer."""
        return cls(**config)
