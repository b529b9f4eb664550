"""Which sentences stand beside which, within documents."""

import numpy as np


def neighbours(lengths):
    """Numbers of each sentence, the one before and the one behind, none of them across the border of a document.

    Args:
        lengths: sentences of each document; all sentences are numbered one after the other.

    Returns:
        Three arrays `(sentences,)` int64: sentence, previous, next; -1 where there is none. A sentence that is alone in its document is
        left out.

    Raises:
        ValueError: if no document has two sentences.
    """
    lengths = np.asarray(lengths, "int64")
    if lengths.ndim != 1 or not len(lengths) or lengths.min() < 0 or lengths.max() < 2:
        raise ValueError(f"`lengths` must not be negative, and 2 or more somewhere. Received: {str(lengths)[:100]}")
    ends = np.repeat(np.cumsum(lengths), lengths)
    starts = ends - np.repeat(lengths, lengths)
    number = np.arange(len(ends))
    together = ends - starts > 1
    previous, following = np.where(number > starts, number - 1, -1), np.where(number + 1 < ends, number + 1, -1)
    return number[together], previous[together], following[together]
