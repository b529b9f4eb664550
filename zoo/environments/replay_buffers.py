"""Replay memories of agents: uniform, proportional and rank-based. NumPy alone; every operation takes a batch.

Prioritized variants follow Schaul et al. 2015, "Prioritized Experience Replay", arXiv 1511.05952, section 3.3. With m transitions in
memory, transition i is drawn with probability P(i) = p_i^alpha / sum_k p_k^alpha and weighs (m P(i))^-beta, divided by the batch's largest.

    memory = ProportionalReplay(10_000, {"observation": ((4,), "float32"), "action": ((), "int32")})
    memory.add(observation=observations, action=actions)
    batch = memory.sample(32, beta=0.4)
    memory.update(batch.indices, td_errors)
"""

import json
from typing import NamedTuple

import numpy as np

# of the sum tree: values that share a sum, and sums that are searched at once
BLOCK, TOP = 64, 4096


class Batch(NamedTuple):
    """What `sample` gives.

    Args:
        transitions: dict name -> array `(batch, *shape)`.
        indices: places in the memory `(batch,)`, for `update`.
        probabilities: P(i) of each draw `(batch,)`.
        weights: importance weights `(batch,)` float32 in (0, 1].
    """

    transitions: dict
    indices: np.ndarray
    probabilities: np.ndarray
    weights: np.ndarray


class UniformReplay:
    """A ring of transitions, each drawn with equal probability; the oldest give way.

    Args:
        capacity: number of transitions.
        fields: name -> (shape, dtype) of the arrays of a transition.
        seed: of the draws.
    """

    def __init__(self, capacity, fields, seed=None):
        if capacity < 1:
            raise ValueError(f"`capacity` must be at least 1. Received: {capacity}")
        self.capacity = int(capacity)
        self.fields = {name: (tuple(shape), str(np.dtype(dtype))) for name, (shape, dtype) in fields.items()}
        self.arrays = {name: np.zeros((self.capacity, *shape), dtype) for name, (shape, dtype) in self.fields.items()}
        self.added = 0
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return min(self.added, self.capacity)

    def add(self, **transitions):
        """Store a batch of transitions.

        Args:
            **transitions: one array `(n, *shape)` for each field.

        Returns:
            Their places in the memory `(n,)`.

        Raises:
            ValueError: if a field is missing, unknown or of another shape, or if there are more transitions than places.
        """
        if set(transitions) != set(self.fields):
            raise ValueError(f"`transitions` must be the fields {sorted(self.fields)}. Received: {sorted(transitions)}")
        arrays = {name: np.asarray(array) for name, array in transitions.items()}
        n = len(next(iter(arrays.values())))
        for name, array in arrays.items():
            if array.shape != (n, *self.fields[name][0]) or n > self.capacity:
                expected = f"(n, {', '.join(map(str, self.fields[name][0]))}) with one n of at most {self.capacity}"
                raise ValueError(f"`{name}` must have shape {expected}. Received: {array.shape}")
        indices = np.arange(self.added, self.added + n) % self.capacity
        for name, array in arrays.items():
            self.arrays[name][indices] = array
        self.added += n
        return indices

    def sample(self, batch_size, beta=1.0):
        """Draw a `Batch`, with replacement.

        Args:
            batch_size: number of draws.
            beta: how much of the bias the weights correct, from 0 (none, weights of one) to 1 (all).

        Raises:
            ValueError: if the memory is empty.
        """
        if not len(self):
            raise ValueError("`sample` needs transitions in memory. Received: none so far")
        indices, probabilities = self._draw(batch_size)
        weights = (probabilities / probabilities.min()) ** -beta
        transitions = {name: array[indices] for name, array in self.arrays.items()}
        return Batch(transitions, indices, probabilities, weights.astype("float32"))

    def update(self, indices, td_errors):
        """Tell the memory the TD errors of what it drew; a uniform one does not care."""

    def save(self, file):
        """Write everything, the state of the random numbers included, to an `.npz` file (path or stream)."""
        arrays = {f"field/{name}": array[: len(self)] for name, array in self.arrays.items()}
        arrays.update({f"state/{name}": np.asarray(value) for name, value in self._state().items()})
        arrays["rng"] = np.asarray(json.dumps(self.rng.bit_generator.state))
        np.savez(file, **arrays)

    def restore(self, file):
        """Read back what `save` wrote for a memory of the same class, capacity and fields.

        Raises:
            ValueError: if the file holds another kind of memory.
        """
        with np.load(file, allow_pickle=False) as saved:
            state = {name[6:]: saved[name] for name in saved.files if name.startswith("state/")}
            kind, capacity, names = str(state["kind"]), int(state["capacity"]), {n[6:] for n in saved.files if n.startswith("field/")}
            ours, theirs = (type(self).__name__, self.capacity, set(self.fields)), (kind, capacity, names)
            if ours != theirs:
                raise ValueError(f"`file` must hold a memory of kind, capacity and fields {ours}. Received: {theirs}")
            self.added = int(state["added"])
            for name, array in self.arrays.items():
                array[: len(self)] = saved[f"field/{name}"]
            self.rng.bit_generator.state = json.loads(str(saved["rng"]))
        self._set_state(state)

    def _draw(self, batch_size):
        return self.rng.integers(len(self), size=batch_size), np.full(batch_size, 1 / len(self))

    def _state(self):
        return {"kind": type(self).__name__, "capacity": self.capacity, "added": self.added}

    def _set_state(self, state):
        pass


class ProportionalReplay(UniformReplay):
    """Draws in proportion to (|TD error| + floor)^alpha, by a sum tree; the total is cut into equal ranges, one draw from each.

    Args:
        capacity: number of transitions.
        fields: name -> (shape, dtype) of the arrays of a transition.
        alpha: how much priorities matter; 0 is uniform.
        floor: added to each |TD error|, so that no transition is lost for good.
        seed: of the draws.
    """

    def __init__(self, capacity, fields, alpha=0.6, floor=1e-6, seed=None):
        super().__init__(capacity, fields, seed)
        self.alpha, self.floor = alpha, floor
        self.tree = SumTree(self.capacity)
        self.largest = 1.0

    def add(self, **transitions):
        """Store a batch of transitions with the largest priority met so far; see `UniformReplay.add`."""
        indices = super().add(**transitions)
        self.tree[indices] = self.largest**self.alpha
        return indices

    def update(self, indices, td_errors):
        """Set the priorities of the transitions at `indices` by their TD errors, both `(n,)`."""
        priorities = np.abs(np.asarray(td_errors, "float64")) + self.floor
        self.largest = max(self.largest, priorities.max())
        self.tree[np.asarray(indices)] = priorities**self.alpha

    def _draw(self, batch_size):
        shares = (np.arange(batch_size) + self.rng.random(batch_size)) / batch_size
        indices = self.tree.find(shares)
        return indices, self.tree[indices] / self.tree.total

    def _state(self):
        return {**super()._state(), "largest": self.largest, "priorities": self.tree[np.arange(len(self))]}

    def _set_state(self, state):
        self.largest = float(state["largest"])
        self.tree = SumTree(self.capacity)
        self.tree[np.arange(len(self))] = state["priorities"]


class RankReplay(UniformReplay):
    """Draws in proportion to rank^-alpha, with rank 1 for the largest |TD error|; one draw from each range of ranks of equal probability.

    Args:
        capacity: number of transitions.
        fields: name -> (shape, dtype) of the arrays of a transition.
        alpha: how much ranks matter; 0 is uniform.
        seed: of the draws.
    """

    def __init__(self, capacity, fields, alpha=0.7, seed=None):
        super().__init__(capacity, fields, seed)
        self.alpha = alpha
        self.order = SortedOrder(self.capacity)
        self._shares = np.arange(1.0, self.capacity + 1) ** -alpha
        self._until = np.cumsum(self._shares)

    def add(self, **transitions):
        """Store a batch of transitions at the top of the order; see `UniformReplay.add`."""
        indices = super().add(**transitions)
        self.order[indices] = np.full(len(indices), np.inf)
        return indices

    def update(self, indices, td_errors):
        """Move the transitions at `indices` to the ranks of their TD errors, both `(n,)`."""
        self.order[np.asarray(indices)] = np.abs(np.asarray(td_errors, "float64"))

    def _draw(self, batch_size):
        until, total = self._until[: len(self)], self._until[len(self) - 1]
        shares = (np.arange(batch_size) + self.rng.random(batch_size)) / batch_size
        ranks = np.minimum(np.searchsorted(until, shares * total, side="right"), len(self) - 1)
        return self.order.select(ranks), self._shares[ranks] / total

    def _state(self):
        return {**super()._state(), "priorities": self.order[np.arange(len(self))]}

    def _set_state(self, state):
        self.order = SortedOrder(self.capacity)
        self.order[np.arange(len(self))] = state["priorities"]


class SumTree:
    """Non-negative values with the sums of blocks of 64, sums of those, and so on: O(log n) to set a value or to find a running sum.

    `tree[indices]` reads values, `tree[indices] = values` sets them. Sums are formed anew from their block, so that errors do not add up.

    Args:
        size: number of values, all zero at first.
    """

    def __init__(self, size):
        self._levels = []
        while not self._levels or size > TOP:
            size = -(-size // BLOCK)
            self._levels.append(np.zeros((size, BLOCK)))
        self._sums = [*(level.reshape(-1) for level in self._levels[1:]), np.zeros(size)]
        self._values = self._levels[0].reshape(-1)

    @property
    def total(self):
        """The sum of all values."""
        return self._sums[-1].sum()

    def __getitem__(self, indices):
        return self._values[indices]

    def __setitem__(self, indices, values):
        self._values[indices] = values
        for level, sums in zip(self._levels, self._sums):
            indices = indices // BLOCK
            sums[indices] = level[indices].sum(1)

    def find(self, shares):
        """Index of the value in whose range of the running sum each of `shares` of the total (0 <= share < 1) falls; both `(n,)`."""
        running = np.cumsum(self._sums[-1])
        # rounding must not carry a sum past the end of its block: places that were never filled are there
        sums = np.minimum(shares * running[-1], np.nextafter(running[-1], -1))
        indices, rows = np.searchsorted(running, sums, side="right"), np.arange(len(sums))
        sums = sums - (running[indices] - self._sums[-1][indices])
        for level in self._levels[::-1]:
            block = level[indices]
            running = np.cumsum(block, 1)
            sums = np.minimum(sums, np.nextafter(running[:, -1], -1))
            children = (running > sums[:, None]).argmax(1)
            sums = sums - (running[rows, children] - block[rows, children])
            indices = indices * BLOCK + children
        return indices


class SortedOrder:
    """Places in exact order of falling value, while batches of values change: a long sorted run, and a short one of what changed since.

    The short run is merged into the long one when it has outgrown the square root of its length, so that a change costs O(sqrt n) moves of
    memory and a look-up O(log n). `order[places]` reads values, `order[places] = values` sets them; a place exists once it is set.

    Args:
        size: number of places.
    """

    def __init__(self, size):
        self.values = np.zeros(size)
        self._long, self._long_keys = np.zeros(0, "int64"), np.zeros(0)
        self._short, self._short_keys = np.zeros(0, "int64"), np.zeros(0)
        self._stale = np.zeros(0, "int64")  # sorted positions in the long run whose place has moved to the short one
        self._position = np.full(size, -1)  # of a place in the long run, -1 for one that is not (or stale) there
        self._marked = np.zeros(size, bool)

    def __getitem__(self, places):
        return self.values[places]

    def __setitem__(self, places, values):
        self.values[places] = values
        self._marked[places] = True
        kept = ~self._marked[self._short]
        self._marked[places] = False
        changed = np.unique(places)
        moved = self._position[changed]
        self._stale = np.sort(np.concatenate([self._stale, moved[moved >= 0]]))
        self._position[changed] = -1
        places = np.concatenate([self._short[kept], changed])
        keys = -self.values[places]
        ascending = np.argsort(keys, kind="stable")
        self._short, self._short_keys = places[ascending], keys[ascending]
        if len(places) > 64 + 2 * len(self._long) ** 0.5:
            self._merge()

    def select(self, ranks):
        """The places at `ranks` (0 for the largest value), `(n,)`."""
        before = np.searchsorted(self._long_keys, self._short_keys)
        rank_of_short = before - np.searchsorted(self._stale, before) + np.arange(len(self._short))
        passed = np.searchsorted(rank_of_short, ranks)
        in_short = passed < len(self._short)
        in_short[in_short] = rank_of_short[passed[in_short]] == ranks[in_short]
        result = np.empty(len(ranks), "int64")
        result[in_short] = self._short[passed[in_short]]
        # the k-th position that is not stale, as many steps further as there are stale ones before it
        k = (ranks - passed)[~in_short]
        fresh_before = self._stale - np.arange(len(self._stale))
        result[~in_short] = self._long[k + np.searchsorted(fresh_before, k, side="right")]
        return result

    def _merge(self):
        places, keys = np.delete(self._long, self._stale), np.delete(self._long_keys, self._stale)
        at = np.searchsorted(keys, self._short_keys)
        self._long, self._long_keys = np.insert(places, at, self._short), np.insert(keys, at, self._short_keys)
        self._position[self._long] = np.arange(len(self._long))
        self._short, self._short_keys, self._stale = self._short[:0], self._short_keys[:0], self._stale[:0]
