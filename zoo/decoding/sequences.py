"""Sequences of symbols from networks that give one symbol after another: the best ones by beam search, or random ones.

A network is a function `step(ids, state) -> logits, state`. Its state is what changes from symbol to symbol; only that is carried on from
sequence to sequence. What stays as it is, such as the states of the words of a source text, is closed over: in a search with `k` beams row
`i` of `ids` belongs to text `i // k`.
"""

import keras
from keras import ops

# far below any sum of log-probabilities, in float32
_NEVER = -1e9


def beam_search(
    step,
    state,
    start,
    length,
    beams=1,
    end=None,
    given=None,
    allowed=None,
    candidates=None,
    length_power=0.0,
    normalize=True,
    closed=False,
):
    """The most probable sequences that a beam of the given width finds, for a batch, in one loop; one beam is the greedy way.

    Sequences that have ended stay in the beam until better ones push them out, so that what comes back is a list of finished sequences, the
    best first, but for those that `length` cut.

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
        allowed: `(length, symbols)` bool, the symbols that may come at each place, or `(symbols,)`, those that may come at all;
            probabilities are not normalised anew.
        candidates: `(batch, count)` int32: the only symbols that may come in each text, 0 the first of them, none twice. `step` then gives
            logits of these alone, `(n, count)`, over which probabilities are normalised.
        length_power: sequences are ranked by their log-probability over the number of their symbols, the end included, to this power: 0
            is for the log-probability itself, which prefers short ones, 1 for the mean of a symbol.
        normalize: whether what `step` gives are logits; else they are scores that are added up as they are, such as those of `fused`.
        closed: whether every sequence has to end: in the last place the end alone may come.

    Returns:
        `(batch, beams, length)` int32, the best first, 0 behind the end; and their log-probabilities (sums of scores if these are not
        normalised) `(batch, beams)` float32.
    """
    batch, end = ops.shape(start)[0], -1 if end is None else end
    given = ops.full((batch, length), -1, "int32") if given is None else ops.cast(given, "int32")
    # known symbols from each place on
    awaited = ops.flip(ops.cumsum(ops.cast(ops.flip(given, 1) > 0, "int32"), axis=1), 1) > 0
    scores = ops.concatenate([ops.zeros((batch, 1)), ops.full((batch, beams - 1), _NEVER)], axis=1)
    found = ops.zeros((batch, beams, length), "int32")
    over = ops.zeros((batch, beams), "bool")
    first = ops.arange(batch, dtype="int32")[:, None] * beams

    def chances(place, logits, over):
        chance = ops.cast(logits, "float32")
        if normalize:
            chance = keras.activations.log_softmax(chance)
        symbols = chance.shape[-1]
        chance = ops.reshape(chance, (batch, beams, symbols))
        symbol = ops.arange(symbols, dtype="int32") if candidates is None else ops.cast(candidates, "int32")[:, None]
        known, later = (ops.take(part, place, axis=1)[:, None, None] for part in (given, awaited))
        never = (symbol == 0) | ((known > 0) & (symbol != known)) | ((symbol == end) & (known < 0) & later)
        if closed:
            never = never | ((place == length - 1) & (symbol != end))
        if allowed is not None:
            possible = ops.convert_to_tensor(allowed, "bool")
            here = ops.take(possible, place, axis=0) if len(possible.shape) > 1 else possible
            never = never | ~ops.take(here, symbol, axis=0)
        padding = ops.where(symbol == 0, 0.0, _NEVER)
        return ops.where(over[..., None] | (known == 0), padding, ops.where(never, _NEVER, chance))

    def best(total, over, found):
        """Places of the best continuations `(batch, beams)` among those of all beams, whose log-probabilities are given."""
        if length_power:
            written = ops.sum(ops.cast(found > 0, "float32"), axis=-1) + ops.cast(~over, "float32")
            total = total / ops.maximum(written, 1.0)[..., None] ** length_power
        return ops.cast(ops.top_k(ops.reshape(total, (batch, -1)), beams)[1], "int32")

    def follow(place, ids, scores, over, found, *state):
        logits, state = step(ids, list(state))
        total = scores[..., None] + chances(place, logits, over)
        symbols = total.shape[-1]
        index = best(total, over, found)
        scores = ops.take_along_axis(ops.reshape(total, (batch, beams * symbols)), index, axis=1)
        parent, symbol = index // symbols, index % symbols
        if candidates is not None:
            symbol = ops.take_along_axis(ops.cast(candidates, "int32"), symbol, axis=1)
        found = ops.take_along_axis(found, parent[..., None], axis=1)
        found = ops.where(ops.arange(length) == place, symbol[..., None], found)
        over = ops.take_along_axis(over, parent, axis=1) | (symbol == end)
        rows = ops.reshape(first + parent, (-1,))
        return place + 1, ops.reshape(symbol, (-1,)), scores, over, found, *(ops.take(part, rows, axis=0) for part in state)

    def goes_on(place, ids, scores, over, *rest):
        return (place < length) & ~ops.all(over)

    state = [ops.repeat(part, beams, axis=0) for part in state]
    ids = ops.repeat(ops.cast(start, "int32"), beams, axis=0)
    _, _, scores, _, found, *_ = ops.while_loop(goes_on, follow, (ops.zeros((), "int32"), ids, scores, over, found, *state))
    return found, scores


def sample_sequences(step, state, start, length, seed, temperature=1.0, end=None, top_k=None, top_p=None, given=None):
    """Random sequences, each symbol drawn by its probability, for a batch, in one loop.

    Args:
        step: as in `beam_search`.
        state: list of tensors whose first axis is the batch.
        start: `(batch,)` int32, the ids that come before the first symbol.
        length: symbols to give at most.
        seed: a `keras.random.SeedGenerator` or a whole number.
        temperature: what logits are divided by; below 1 the probable symbols gain.
        end: the symbol that ends a sequence; `None` for none.
        top_k: draw from so many of the most probable symbols; `None` for all.
        top_p: draw from the fewest symbols that have this probability together (the nucleus; Holtzman et al. 2019, arXiv 1904.09751);
            `None` for all. With `top_k` it is a share of theirs.
        given: as in `beam_search`.

    Returns:
        `(batch, length)` int32, 0 behind the end.

    Raises:
        ValueError: if `temperature` is not above 0, `top_k` below 1, or `top_p` not above 0 and at most 1.
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be above 0. Received: {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"`top_k` must be at least 1. Received: {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be above 0 and at most 1. Received: {top_p}")
    batch = ops.shape(start)[0]
    draws = keras.random.uniform((length, batch), seed=seed)
    given = ops.full((batch, length), -1, "int32") if given is None else ops.cast(given, "int32")

    def follow(place, ids, over, found, *state):
        logits, state = step(ids, list(state))
        chance = ops.softmax(_kept(ops.cast(logits[:, 1:], "float32") / temperature, top_k, top_p))
        below = ops.cumsum(chance, axis=-1)
        draw = ops.take(draws, place, axis=0)[:, None] * below[:, -1:]
        # the last symbol also takes what rounding leaves
        symbol = 1 + ops.sum(ops.cast(below[:, :-1] <= draw, "int32"), axis=-1)
        known = ops.take(given, place, axis=1)
        symbol = ops.where(over, 0, ops.where(known < 0, symbol, known))
        found = ops.where(ops.arange(length) == place, symbol[:, None], found)
        if end is not None:
            over = over | (symbol == end)
        return place + 1, symbol, over, found, *state

    def goes_on(place, ids, over, *rest):
        return (place < length) & ~ops.all(over)

    variables = (ops.zeros((), "int32"), ops.cast(start, "int32"), ops.zeros((batch,), "bool"), ops.zeros((batch, length), "int32"), *state)
    return ops.while_loop(goes_on, follow, variables)[3]


def _kept(logits, top_k, top_p):
    """Logits `(n, symbols)`, far below all others where a symbol is not to be drawn."""
    if top_k is not None and top_k < logits.shape[-1]:
        logits = ops.where(logits < ops.top_k(logits, top_k)[0][:, -1:], _NEVER, logits)
    if top_p is not None:
        ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        chance = ops.softmax(ordered)
        # a symbol is of the nucleus if those before it have less; the first always is
        inside = ops.cumsum(chance, axis=-1) - chance < top_p
        least = ops.min(ops.where(inside, ordered, -_NEVER), axis=-1, keepdims=True)
        logits = ops.where(logits < least, _NEVER, logits)
    return logits


def fused(models, weights=None, mean="geometric"):
    """One `step` and state out of several models that write the same symbols.

    Args:
        models: list of pairs `(step, state)`, as `beam_search` takes them.
        weights: of the models, a number or a scalar tensor each. By default 1 over their number.
        mean: `"geometric"`: the weighted sum of log-probabilities, such as those of a translator and a language model (shallow fusion,
            Gulcehre et al. 2015, equation 5). `"arithmetic"`: the log of the weighted sum of probabilities (an ensemble).

    Returns:
        The pair `(step, state)`, for a search with `normalize=False`. The scores of an arithmetic mean whose weights add up to 1 are
        log-probabilities.

    Raises:
        ValueError: if there are no models, weights do not fit them, or `mean` is none of these.
    """
    weights = [1.0 / len(models)] * len(models) if weights is None and models else weights
    if not models or len(weights) != len(models):
        raise ValueError(f"`weights` must be one for each of one or more models. Received: {len(models)} models and {weights}")
    if mean not in ("geometric", "arithmetic"):
        raise ValueError(f"`mean` must be 'geometric' or 'arithmetic'. Received: {mean!r}")
    ends = [sum(len(state) for _, state in models[: i + 1]) for i in range(len(models))]

    def step(ids, state):
        chances, moved = [], []
        for (one, own), last in zip(models, ends):
            logits, parts = one(ids, state[last - len(own) : last])
            chances.append(keras.activations.log_softmax(ops.cast(logits, "float32")))
            moved += parts
        if mean == "geometric":
            return sum(weight * chance for weight, chance in zip(weights, chances)), moved
        logs = [ops.log(ops.cast(weight, "float32")) for weight in weights]
        return ops.logsumexp(ops.stack([log + chance for log, chance in zip(logs, chances)], axis=0), axis=0), moved

    return step, [part for _, state in models for part in state]
