"""A text as its target (a word or phrase that a question is about) and the contexts on both sides of it."""

import re
import unicodedata

from zoo.text.words import separate_words


def contexts(left, target, right, lookup, length, target_length):
    """Ids of the way to a target from both ends of a text; the target is part of both.

    Args:
        left: string tensor `(batch,)`, the text before the target.
        target: string tensor `(batch,)`.
        right: string tensor `(batch,)`, the text behind it.
        lookup: of `word_lookup`.
        length: words of a way; of a longer one those near the target are kept.
        target_length: words of the target.

    Returns:
        Dict of ids, 0 behind the end: `left`, from the beginning up to the target `(batch, length)`; `right`, from the end of the text
        back to the target, in this order `(batch, length)`; `target` `(batch, target_length)`; `words`, the last `length` words of the
        whole text.
    """
    import tensorflow as tf

    left, target, right = (lookup(tf.strings.split(separate_words(part))) for part in (left, target, right))
    found = {
        "left": tf.concat([left, target], axis=1)[:, -length:],
        "right": tf.concat([target, right], axis=1)[:, ::-1][:, -length:],
        "target": target[:, :target_length],
        "words": tf.concat([left, target, right], axis=1)[:, -length:],
    }
    return {name: ids.to_tensor(shape=(None, target_length if name == "target" else length)) for name, ids in found.items()}


def split_at(text, target):
    """A text as left context, target, right context.

    Args:
        text: a string.
        target: words that occur in `text`, with capitals or without (their first occurrence counts; "cast" is none of "broadcast"), or
            (first character, first character behind it).

    Returns:
        Three strings, which together are `text`.

    Raises:
        ValueError: if `target` is not in `text`, or empty.
    """
    if isinstance(target, str):
        places = re.finditer(f"(?={re.escape(target)})", text, re.IGNORECASE)
        starts = (match.start() for match in places)
        start = next((at for at in starts if _ends_word(text, at) and _ends_word(text, at + len(target))), -1)
        end = start + len(target)
    else:
        start, end = (int(place) for place in target)
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise ValueError(f"`targets` must be part of their texts, as a string or (start, end). Received: {target!r} for {text[:80]!r}")
    return text[:start], text[start:end], text[end:]


def _ends_word(text, place):
    """Whether a word may end before the character at `place`: not between two letters, digits or marks, as `separate_words` has them."""
    return not all(unicodedata.category(char)[0] in "LNM" for char in text[max(place - 1, 0) : place + 1]) or place in (0, len(text))
