"""The best sequence of tags under scores of tags and of moves between them."""

import keras
import numpy as np
from keras import ops

# finite, so that a sum of forbidden moves stays comparable, also in half precision; below any sum of log-probabilities
FORBIDDEN = -1e4


def viterbi(scores, transitions, start=None, mask=None):
    """The tags with the largest sum of scores and transitions, for a batch, in one loop over time.

    Args:
        scores: `(batch, length, tags)`, such as log-probabilities.
        transitions: `(tags, tags)`; what a move from the first to the second tag adds, `FORBIDDEN` where it may not happen.
        start: `(tags,)`, what a first tag adds; `None` means nothing.
        mask: `(batch, length)`, true for what is no padding; padding is on the right.

    Returns:
        `(batch, length)` int32, -1 where `mask` is false.
    """
    scores, transitions = ops.cast(scores, "float32"), ops.cast(transitions, "float32")
    tags = scores.shape[-1]
    mask = ops.ones(ops.shape(scores)[:2], "bool") if mask is None else ops.cast(mask, "bool")
    best = scores[:, 0] + (0.0 if start is None else ops.cast(start, "float32"))
    stay = ops.broadcast_to(ops.arange(tags, dtype="float32"), ops.shape(best))

    def forward(step, best):
        score, real = step[:, :-1], step[:, -1:] > 0
        moves = best[:, :, None] + transitions
        came_from = ops.where(real, ops.cast(ops.argmax(moves, axis=1), "float32"), stay)
        return came_from, ops.where(real, ops.max(moves, axis=1) + score, best)

    def backward(came_from, tag):
        previous = ops.take_along_axis(came_from, ops.cast(tag, "int32"), axis=1)
        return previous, previous

    # one step more than moves, a padded one, so that a sentence of one word is no special case
    steps = ops.concatenate([scores, ops.cast(mask, "float32")[..., None]], axis=-1)
    steps = ops.concatenate([steps[:, 1:], ops.zeros_like(steps[:, :1])], axis=1)
    came_from, best = _loop(forward, steps, best)
    last = ops.cast(ops.argmax(best, axis=-1), "float32")[:, None]
    path = ops.flip(_loop(backward, ops.flip(came_from, axis=1), last)[0][..., 0], axis=1)
    return ops.where(mask, ops.cast(path, "int32"), -1)


def _loop(step, inputs, state):
    """`step(input, state) -> output, state` over the second axis; all outputs `(batch, length, n)`, and the last state.

    Keras's own recurrent layer, since `ops.scan` takes no free length on TensorFlow.
    """

    class Cell(keras.Layer):
        state_size = output_size = state.shape[-1]

        def call(self, x, states):
            output, new = step(x, states[0])
            return output, [new]

    cell = Cell()
    cell.built = True
    return keras.layers.RNN(cell, return_sequences=True, return_state=True)(inputs, initial_state=[state])


def seen_transitions(labels, num_tags):
    """The moves between tags that occur in sequences, as scores for `viterbi`.

    Args:
        labels: `(sequences, length)` int, -1 for padding on the right.
        num_tags: number of tags.

    Returns:
        `transitions (tags, tags)` and `start (tags,)` float32: 0 for what occurs, `FORBIDDEN` for the rest.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min() < -1 or labels.max() >= num_tags:
        raise ValueError(
            f"`labels` must be (sequences, length) whole numbers from -1 to {num_tags - 1}. Received: {labels.dtype}, {labels.shape}"
        )
    transitions = np.full((num_tags, num_tags), FORBIDDEN, "float32")
    both = (labels[:, :-1] >= 0) & (labels[:, 1:] >= 0)
    transitions[labels[:, :-1][both], labels[:, 1:][both]] = 0
    start = np.full(num_tags, FORBIDDEN, "float32")
    start[labels[:, 0][labels[:, 0] >= 0]] = 0
    return transitions, start


def scheme_transitions(tags, scheme="iob2"):
    """The moves that a scheme of span tags allows, as scores for `viterbi`.

    Args:
        tags: names such as `"B-NP"`, `"I-NP"`, `"O"`; with `"iobes"` also `"E-NP"` and `"S-NP"`.
        scheme: `"iob1"`, `"iob2"` or `"iobes"`.

    Returns:
        `transitions (tags, tags)` and `start (tags,)` float32: 0 for what is allowed, `FORBIDDEN` for the rest.
    """
    if scheme not in ("iob1", "iob2", "iobes"):
        raise ValueError(f"`scheme` must be 'iob1', 'iob2' or 'iobes'. Received: {scheme!r}")
    pairs = [tuple(tag.partition("-")[::2]) for tag in tags]
    wrong = [
        tag
        for tag, (prefix, kind) in zip(tags, pairs)
        if prefix not in ("BIOES" if scheme == "iobes" else "BIO") or (prefix == "O") == bool(kind)
    ]
    if wrong:
        raise ValueError(f"`tags` must be O or a prefix of {scheme}, a dash and a kind. Received: {wrong}")

    def allowed(before, after):
        prefix, kind = after
        inside = before[0] in "BI" and before[1] == kind
        if scheme == "iobes":
            closed = before[0] in "OES"
            return inside if prefix in "IE" else closed
        if scheme == "iob2":
            return prefix != "I" or inside
        # in IOB1 a B only parts two spans of one kind that touch
        return prefix != "B" or (before[0] in "BI" and before[1] == kind)

    def score(before, after):
        return 0.0 if allowed(before, after) else FORBIDDEN

    transitions = np.array([[score(before, after) for after in pairs] for before in pairs], "float32")
    return transitions, np.array([score(("O", ""), after) for after in pairs], "float32")
