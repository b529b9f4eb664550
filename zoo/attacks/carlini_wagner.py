"""The attacks of Carlini and Wagner (2016, arXiv 1608.04644): the nearest sample of another class, by descent, in l2, linf or l0.

A sample is low + (high - low)(tanh w + 1) / 2, so that it stays between the limits whatever w is. Adam lowers the size of the change plus c
times f, the amount of logit by which the attack still misses (f6 of the paper). What the norms differ in is written around that descent.
The whole attack of a batch is one loop in a graph, every sample with its own c.

Differences from the paper:
1. Every sample gets `steps` times `searches` steps; none stops early.
2. A search of the linf attack that misses doubles c, and one of the l0 attack raises it tenfold; neither has a loop of its own for c.
3. The l0 attack lets go of a fifth of the numbers at once, and of one at the least.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from zoo import autodiff
from zoo.attacks.labels import as_numbers

# searches by default: of c by bisection (l2), of the limit tau (linf), of the set of numbers that may change (l0)
SEARCHES = {"l2": 9, "linf": 30, "l0": 30}
LARGEST = 1e10
# what is left of tau after a success, and the share of the numbers that may change no more
SHRINK, RELEASED = 0.9, 0.2


class Nearest(NamedTuple):
    """What `carlini_wagner` gives: samples `(batch, ...)`, unchanged where it fails; success and distance in the norm, `(batch,)`."""

    samples: object
    success: object
    distance: object


def carlini_wagner(
    logits,
    x,
    y,
    norm="l2",
    targeted=False,
    confidence=0.0,
    low=0.0,
    high=1.0,
    steps=1000,
    rate=0.01,
    searches=None,
    constant=1e-3,
):
    """The smallest change that gives a sample another class, or a given one.

    Args:
        logits: function from `(batch, ...)` to `(batch, classes)`, such as `logits` of a method around a classifier: those behind
            its softmax. Log-probabilities do as well where none is 0.
        x: `(batch, ...)` between the limits.
        y: classes `(batch,)`, or rows with one 1: the ones to leave, or the targets.
        norm: `"l2"`: bisection of c. `"linf"`: what exceeds a limit tau counts, and tau falls to 0.9 of what was reached. `"l0"`: an l2
            attack on fewer and fewer numbers; those that matter least, by derivative times change, are let go.
        targeted: whether `y` are targets.
        confidence: by how much the logit of the class reached must exceed all others, kappa of the paper.
        low: smallest legal number.
        high: largest legal number.
        steps: of Adam in each search; the paper takes 10,000.
        rate: of Adam, in the units of w.
        searches: values of c, tau or sets tried; `None` for 9 in l2 and 30 otherwise.
        constant: the first c.

    Returns:
        `Nearest`.

    Raises:
        ValueError: if an argument is out of range.
    """
    if norm not in SEARCHES:
        raise ValueError(f"`norm` must be one of {tuple(SEARCHES)}. Received: {norm!r}")
    if not low < high:
        raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")
    searches = SEARCHES[norm] if searches is None else searches
    if steps < 1 or searches < 1 or not rate > 0 or not constant > 0 or confidence < 0:
        raise ValueError(
            "`steps` and `searches` must be at least 1, `rate` and `constant` above 0, `confidence` at least 0. "
            f"Received: {steps}, {searches}, {rate}, {constant}, {confidence}"
        )
    shape, y = (-1, *x.shape[1:]), as_numbers(y)
    flat = ops.reshape(ops.stop_gradient(ops.cast(x, "float32")), (-1, int(np.prod(x.shape[1:]))))

    def margin(points):
        return _margin(ops.cast(logits(ops.reshape(points, shape)), "float32"), y, targeted)

    problem = _Problem(margin, flat, confidence, low, high, steps, rate)
    search = {"l2": _smallest_l2, "linf": _smallest_linf, "l0": _smallest_l0}[norm]
    samples, distance = search(problem, searches, constant)
    success = distance < LARGEST
    return Nearest(ops.reshape(samples, ops.shape(x)), success, ops.where(success, distance, 0.0))


class _Problem(NamedTuple):
    """What all searches share. `margin` is how far beyond the boundary `(batch, numbers)` is, in logits; above 0 the class has changed."""

    margin: object
    x: object
    confidence: float
    low: float
    high: float
    steps: int
    rate: float

    def box(self, w):
        """The sample that w stands for."""
        return self.low + (self.high - self.low) * 0.5 * (ops.tanh(w) + 1.0)

    def start(self):
        """The w of the samples themselves, short of infinity."""
        scaled = 2.0 * (self.x - self.low) / (self.high - self.low) - 1.0
        return ops.arctanh(ops.clip(scaled, -1.0, 1.0) * (1.0 - 1e-6))

    def nothing(self):
        """The samples, and a distance that everything is better than."""
        return self.x, ops.full_like(self.x[:, 0], LARGEST)

    def descend(self, w, c, penalty, distance, best, mask=None):
        """Adam on penalty + c f from w.

        Returns:
            The last w, the best (samples, distance) met so far, and whether each sample reached its class this time.
        """

        def point_of(w):
            return self.box(w) if mask is None else ops.where(mask, self.box(w), self.x)

        def terms(w):
            point = point_of(w)
            margin = self.margin(point)
            return ops.stack([penalty(point - self.x) + c * ops.relu(self.confidence - margin), margin], axis=-1)

        pull = ops.stack([ops.ones_like(c), ops.zeros_like(c)], axis=-1)

        def step(i, state):
            w, first, second, samples, shortest, reached = state
            values, slope = autodiff.vjp(terms, w, pull)
            point, there = point_of(w), (values[:, 1] > 0) & (values[:, 1] >= self.confidence)
            size = distance(point - self.x)
            better = there & (size < shortest)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * ops.square(slope)
            t = ops.cast(i + 1, "float32")
            w = w - self.rate * first / (1.0 - 0.9**t) / (ops.sqrt(second / (1.0 - 0.999**t)) + 1e-8)
            samples, shortest = ops.where(better[:, None], point, samples), ops.where(better, size, shortest)
            return w, first, second, samples, shortest, reached | there

        zeros = ops.zeros_like(w)
        state = (w, zeros, zeros, *best, ops.zeros_like(c, dtype="bool"))
        w, _, _, samples, shortest, reached = ops.fori_loop(0, self.steps, step, state)
        return w, (samples, shortest), reached


def _smallest_l2(problem, searches, constant):
    def length(delta):
        return ops.sqrt(ops.sum(ops.square(delta), axis=-1))

    def squared(delta):
        return ops.sum(ops.square(delta), axis=-1)

    def search(_, state):
        lower, upper, c, *best = state
        _, best, reached = problem.descend(problem.start(), c, squared, length, best)
        upper, lower = ops.where(reached, ops.minimum(upper, c), upper), ops.where(reached, lower, ops.maximum(lower, c))
        return lower, upper, ops.where(upper < LARGEST, 0.5 * (lower + upper), 10.0 * c), *best

    samples, distance = problem.nothing()
    state = (ops.zeros_like(distance), ops.full_like(distance, LARGEST), ops.full_like(distance, constant), samples, distance)
    return ops.fori_loop(0, searches, search, state)[3:]


def _smallest_linf(problem, searches, constant):
    def largest(delta):
        return ops.max(ops.abs(delta), axis=-1)

    def search(_, state):
        tau, c, w, samples, distance = state

        def excess(delta):
            return ops.sum(ops.relu(ops.abs(delta) - tau[:, None]), axis=-1)

        moved, (samples, shortest), reached = problem.descend(w, c, excess, largest, (samples, distance))
        nearer = reached & (shortest < distance)
        # a miss starts again from the same place with a larger c
        w = ops.where(nearer[:, None], moved, w)
        return ops.where(nearer, SHRINK * shortest, tau), ops.where(nearer, c, 2.0 * c), w, samples, shortest

    samples, distance = problem.nothing()
    tau, c = ops.full_like(distance, problem.high - problem.low), ops.full_like(distance, constant)
    return ops.fori_loop(0, searches, search, (tau, c, problem.start(), samples, distance))[3:]


def _smallest_l0(problem, searches, constant):
    def squared(delta):
        return ops.sum(ops.square(delta), axis=-1)

    def search(_, state):
        mask, c, samples, distance = state
        count = ops.sum(ops.cast(mask, "float32"), axis=-1)
        _, (found, _), reached = problem.descend(problem.start(), c, squared, squared, problem.nothing(), mask)
        changed = ops.cast(ops.not_equal(found, problem.x), "float32")
        counted = ops.sum(changed, axis=-1)
        better = reached & (counted < distance)
        slope = autodiff.grad(lambda points: ops.sum(problem.margin(points)), found)
        worth = ops.where(mask & (changed > 0), ops.abs(slope * (found - problem.x)), -1.0)
        # the set that is left: the numbers of most worth, one fewer at least
        left = ops.floor(ops.minimum((1.0 - RELEASED) * counted, counted - 1.0))
        rank = ops.argsort(ops.argsort(-worth, axis=-1), axis=-1)
        smaller = mask & (ops.cast(rank, "float32") < left[:, None])
        mask = ops.where((reached & (count > 0))[:, None], smaller, mask)
        samples, distance = ops.where(better[:, None], found, samples), ops.where(better, counted, distance)
        return mask, ops.where(reached, c, 10.0 * c), samples, distance

    samples, distance = problem.nothing()
    mask = ops.ones_like(samples, dtype="bool")
    return ops.fori_loop(0, searches, search, (mask, ops.full_like(distance, constant), samples, distance))[2:]


def _margin(logits, y, targeted):
    """By how much the logit of class `y` exceeds all others, or is exceeded by one."""
    own = ops.one_hot(y, logits.shape[-1], dtype="float32")
    difference = ops.sum(own * logits, axis=-1) - ops.max(logits - own * 1e9, axis=-1)
    return difference if targeted else -difference
