"""Huffman codes of words (Huffman 1952), the binary tree of a hierarchical softmax (Morin and Bengio 2005; Mikolov et al. 2013)."""

import heapq

import numpy as np


def huffman_codes(counts):
    """The tree with the shortest mean code, in which a frequent word is few decisions away from the root.

    Args:
        counts: how often each of two or more words occurs.

    Returns:
        `codes`, `nodes` and `mask`, arrays `(words, longest code)`: the branch (0 or 1) that leads to the word at each decision from the
        root down, int32; the number of the inner node that decides, int32, 0 to `words - 2` with the root last; and 1 where there is a
        decision, 0 behind the last, float32.

    Raises:
        ValueError: if there are fewer than two counts, or one is negative.
    """
    counts = np.asarray(counts, "int64")
    if counts.ndim != 1 or len(counts) < 2 or counts.min() < 0:
        raise ValueError(f"`counts` must be two or more numbers, none negative. Received: {str(counts.tolist())[:100]}")
    size = len(counts)
    heap = [(int(count), number) for number, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, branch = np.zeros(2 * size - 1, "int64"), np.zeros(2 * size - 1, "int32")
    for node in range(size, 2 * size - 1):
        (first, left), (second, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[[left, right]], branch[right] = node, 1
        heapq.heappush(heap, (first + second, node))
    return _paths(parent, branch, size)


def _paths(parent, branch, size):
    """All words climb to the root at once; the steps are then turned round."""
    place, root, steps = np.arange(size), 2 * size - 2, []
    while np.any(place != root):
        steps.append((np.where(place == root, 0, branch[place]), np.where(place == root, size, parent[place]) - size, place != root))
        place = np.where(place == root, root, parent[place])
    codes, nodes, mask = (np.stack(kind, axis=1) for kind in zip(*steps))
    length = mask.sum(1, keepdims=True)
    order = np.arange(mask.shape[1])
    order = np.where(order < length, length - 1 - order, order)
    codes, nodes, mask = (np.take_along_axis(table, order, axis=1) for table in (codes, nodes, mask))
    return codes.astype("int32"), nodes.astype("int32"), mask.astype("float32")
