"""A text as its target (a word or phrase that a question is about) and the contexts on both sides of it."""

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
        target: a string that occurs in `text` (its first occurrence counts), or (first character, first character behind it).

    Raises:
        ValueError: if `target` is not in `text`, or empty.
    """
    if isinstance(target, str):
        start = text.find(target)
        end = start + len(target)
    else:
        start, end = (int(place) for place in target)
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise ValueError(f"`targets` must be part of their texts, as a string or (start, end). Received: {target!r} for {text[:80]!r}")
    return text[:start], text[start:end], text[end:]
