"""Sequences of symbols from a network that gives one symbol after another: the best ones by beam search, or random ones."""

import keras
from keras import ops

# far below any sum of log-probabilities, in float32
_NEVER = -1e9


def beam_search(step, state, start, length, beams=1, end=None, given=None, allowed=None):
    """The most probable sequences that a beam of the given width finds, for a batch, in one loop; one beam is the greedy way.

    Args:
        step: `step(ids, state) -> logits, state` for the symbol after `ids (n,)` int32; logits `(n, symbols)`. Symbol 0 is padding and
            never chosen while a sequence goes on.
        state: list of tensors whose first axis is the batch.
        start: `(batch,)` int32, the ids that come before the first symbol.
        length: symbols to give at most.
        beams: sequences that are followed at once.
        end: the symbol that ends a sequence; `None` for none.
        given: `(batch, length)` int32: symbols that are known already, -1 where the search is free. A 0 stands for padding and counts
            nothing. The end is not chosen before a known symbol.
        allowed: `(length, symbols)` bool, the symbols that may come at each place; probabilities are not normalised anew.

    Returns:
        `(batch, beams, length)` int32, the best first, 0 behind the end; and their log-probabilities `(batch, beams)` float32.
    """
    batch = ops.shape(start)[0]
    given = ops.full((batch, length), -1, "int32") if given is None else ops.cast(given, "int32")
    # known symbols from each place on
    awaited = ops.flip(ops.cumsum(ops.cast(ops.flip(given, 1) > 0, "int32"), axis=1), 1) > 0
    scores = ops.concatenate([ops.zeros((batch, 1)), ops.full((batch, beams - 1), _NEVER)], axis=1)
    found = ops.zeros((batch, beams, length), "int32")
    over = ops.zeros((batch, beams), "bool")
    first = ops.arange(batch, dtype="int32")[:, None] * beams

    def chances(place, logits, over):
        chance = keras.activations.log_softmax(ops.cast(logits, "float32"))
        symbols = chance.shape[-1]
        chance, symbol = ops.reshape(chance, (batch, beams, symbols)), ops.arange(symbols, dtype="int32")
        known = ops.take(given, place, axis=1)[:, None, None]
        never = (symbol == 0) | ((known > 0) & (symbol != known))
        if end is not None:
            never = never | ((symbol == end) & (known < 0) & ops.take(awaited, place, axis=1)[:, None, None])
        if allowed is not None:
            never = never | ~ops.take(ops.convert_to_tensor(allowed, "bool"), place, axis=0)
        padding = ops.where(symbol == 0, 0.0, _NEVER)
        return ops.where(over[..., None] | (known == 0), padding, ops.where(never, _NEVER, chance))

    def follow(place, ids, scores, over, found, *state):
        logits, state = step(ids, list(state))
        chance = chances(place, logits, over)
        symbols = chance.shape[-1]
        total = ops.reshape(scores[..., None] + chance, (batch, beams * symbols))
        scores, index = ops.top_k(total, beams)
        index = ops.cast(index, "int32")
        parent, symbol = index // symbols, index % symbols
        found = ops.take_along_axis(found, parent[..., None], axis=1)
        found = ops.where(ops.arange(length) == place, symbol[..., None], found)
        over = ops.take_along_axis(over, parent, axis=1)
        if end is not None:
            over = over | (symbol == end)
        rows = ops.reshape(first + parent, (-1,))
        return place + 1, ops.reshape(symbol, (-1,)), scores, over, found, *(ops.take(part, rows, axis=0) for part in state)

    def goes_on(place, ids, scores, over, *rest):
        return (place < length) & ~ops.all(over)

    state = [ops.repeat(part, beams, axis=0) for part in state]
    ids = ops.repeat(ops.cast(start, "int32"), beams, axis=0)
    _, _, scores, _, found, *_ = ops.while_loop(goes_on, follow, (ops.zeros((), "int32"), ids, scores, over, found, *state))
    return found, scores


def sample_sequences(step, state, start, length, seed, temperature=1.0, end=None):
    """Random sequences, each symbol drawn by its probability, for a batch, in one loop.

    Args:
        step: as in `beam_search`.
        state: list of tensors whose first axis is the batch.
        start: `(batch,)` int32, the ids that come before the first symbol.
        length: symbols to give at most.
        seed: a `keras.random.SeedGenerator` or a whole number.
        temperature: what logits are divided by; below 1 the probable symbols gain.
        end: the symbol that ends a sequence; `None` for none.

    Returns:
        `(batch, length)` int32, 0 behind the end.

    Raises:
        ValueError: if `temperature` is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be above 0. Received: {temperature}")
    batch = ops.shape(start)[0]
    draws = keras.random.uniform((length, batch), seed=seed)

    def follow(place, ids, over, found, *state):
        logits, state = step(ids, list(state))
        chance = ops.softmax(ops.cast(logits[:, 1:], "float32") / temperature)
        below = ops.cumsum(chance, axis=-1)
        draw = ops.take(draws, place, axis=0)[:, None] * below[:, -1:]
        # the last symbol also takes what rounding leaves
        symbol = 1 + ops.sum(ops.cast(below[:, :-1] <= draw, "int32"), axis=-1)
        symbol = ops.where(over, 0, symbol)
        found = ops.where(ops.arange(length) == place, symbol[:, None], found)
        if end is not None:
            over = over | (symbol == end)
        return place + 1, symbol, over, found, *state

    def goes_on(place, ids, over, *rest):
        return (place < length) & ~ops.all(over)

    variables = (ops.zeros((), "int32"), ops.cast(start, "int32"), ops.zeros((batch,), "bool"), ops.zeros((batch, length), "int32"), *state)
    return ops.while_loop(goes_on, follow, variables)[3]
