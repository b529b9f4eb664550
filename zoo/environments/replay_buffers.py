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

from zoo.environments.frames import FrameStore, StackedFrames

# of the sum tree: values that share a sum, and the longest level that one running sum goes over
BLOCK, TOP = 32, 1024
# of the sorted order: keys in a full row; the bits of float32 infinity, the bits of a key that are the place, and no key
WIDTH, INFINITY, PLACE, FREE = 64, 0x7F800000, 0xFFFFFFFF, np.iinfo("int64").max


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
        stacks: name -> axis along which frames are stacked, of fields that hold stacks of one size; each frame is then kept once.
    """

    def __init__(self, capacity, fields, seed=None, stacks=None):
        if capacity < 1:
            raise ValueError(f"`capacity` must be at least 1. Received: {capacity}")
        self.capacity = int(capacity)
        self.fields = {name: (tuple(shape), str(np.dtype(dtype))) for name, (shape, dtype) in fields.items()}
        self.stacks = dict(stacks or {})
        self.frames = self._new_store() if self.stacks else None
        self.arrays = {name: self._new_array(name) for name in self.fields}
        self.added = 0
        self.rng = np.random.default_rng(seed)

    def _new_store(self):
        """One store for all stacks, whose frames and dtype must be the same."""
        kinds = {(tuple(np.delete(self.fields[name][0], axis).tolist()), self.fields[name][1]) for name, axis in self.stacks.items()}
        if len(kinds) > 1:
            raise ValueError(f"`stacks` must hold frames of one shape and dtype. Received: {sorted(kinds)}")
        return FrameStore(*kinds.pop())

    def _new_array(self, name):
        shape, dtype = self.fields[name]
        if name in self.stacks:
            return StackedFrames(self.capacity, shape, self.stacks[name], self.frames)
        return np.zeros((self.capacity, *shape), dtype)

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
        start = self.added % self.capacity
        indices = np.arange(start, start + n)
        places = slice(start, start + n)
        if start + n > self.capacity:
            places = indices = indices % self.capacity
        for name, array in arrays.items():
            self.arrays[name][places] = array
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
        transitions = {name: array.take(indices, 0) for name, array in self.arrays.items()}
        return Batch(transitions, indices, probabilities, weights.astype("float32"))

    def update(self, indices, td_errors):
        """Tell the memory the TD errors of what it drew; a uniform one does not care."""

    def save(self, file):
        """Write everything, the state of the random numbers included, to an `.npz` file (path or stream)."""
        arrays = {f"field/{name}": array[: len(self)] for name, array in self.arrays.items() if name not in self.stacks}
        if self.stacks:
            frames, numbers = self.frames.pack(np.stack([self.arrays[name].places[: len(self)] for name in self.stacks]))
            arrays |= {"frames": frames, **{f"field/{name}": rows for name, rows in zip(self.stacks, numbers)}}
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
            fields = {name: saved[f"field/{name}"] for name in self.fields}
            if self.stacks:
                places = self.frames.unpack(saved["frames"], np.stack([fields.pop(name) for name in self.stacks]))
                for name, rows in zip(self.stacks, places):
                    self.arrays[name].assign(slice(len(self)), rows)
            for name, array in fields.items():
                self.arrays[name][: len(self)] = array
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
        floor: added to each |TD error|, so that no transition is lost for good. With 0, a transition without error is drawn no more, but
            while none has an error all are drawn equally.
        seed: of the draws.
        stacks: as in `UniformReplay`.
    """

    def __init__(self, capacity, fields, alpha=0.6, floor=1e-6, seed=None, stacks=None):
        super().__init__(capacity, fields, seed, stacks)
        if floor < 0:
            raise ValueError(f"`floor` must not be negative. Received: {floor}")
        self.alpha, self.floor = alpha, floor
        self.tree = SumTree(self.capacity)
        self.largest = 1.0

    def add(self, **transitions):
        """Store a batch of transitions with the largest priority met so far; see `UniformReplay.add`."""
        indices = super().add(**transitions)
        self.tree[indices] = self.largest**self.alpha
        return indices

    def update(self, indices, td_errors):
        """Set the priorities of the transitions at `indices` by their TD errors, both `(n,)`; `ValueError` if one is NaN or infinite."""
        priorities = np.abs(np.asarray(td_errors, "float64")) + self.floor
        self.largest = max(self.largest, _finite(priorities.max()))
        self.tree[np.asarray(indices)] = priorities**self.alpha

    def _draw(self, batch_size):
        if not self.tree.total > 0:
            return super()._draw(batch_size)
        shares = (np.arange(batch_size) + self.rng.random(batch_size)) / batch_size
        return self.tree.find(shares)

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
        stacks: as in `UniformReplay`.
    """

    def __init__(self, capacity, fields, alpha=0.7, seed=None, stacks=None):
        super().__init__(capacity, fields, seed, stacks)
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
        """Move the transitions at `indices` to the ranks of their TD errors, both `(n,)`; `ValueError` if one is NaN or infinite."""
        priorities = np.abs(np.asarray(td_errors, "float64"))
        _finite(priorities.max())
        self.order[np.asarray(indices)] = priorities

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


def _finite(largest):
    if not largest < np.inf:
        raise ValueError(f"`td_errors` must be finite; the values may have diverged. Received: {largest}")
    return largest


class SumTree:
    """Non-negative values with the sums of blocks of 32, sums of those, and so on, up to a level short enough for one running sum.

    `tree[indices]` reads values, `tree[indices] = values` sets them. Sums are formed anew from their block, so that errors do not add up.

    Args:
        size: number of values, all zero at first.
    """

    def __init__(self, size):
        self._blocks = []
        while size > TOP:
            size = -(-size // BLOCK)
            self._blocks.append(np.zeros((size, BLOCK)))
        self._top = np.zeros(size)
        # values, their sums, ... in a row each; the last is the top
        self._levels = [*(blocks.reshape(-1) for blocks in self._blocks), self._top]

    @property
    def total(self):
        """The sum of all values."""
        return self._top.sum()

    def __getitem__(self, indices):
        return self._levels[0][indices]

    def __setitem__(self, indices, values):
        self._levels[0][indices] = values
        for blocks, sums in zip(self._blocks, self._levels[1:]):
            indices = indices // BLOCK
            sums[indices] = blocks.take(indices, 0).sum(1)

    def find(self, shares):
        """Look up running sums.

        Args:
            shares: of the total, 0 <= share < 1, `(n,)`.

        Returns:
            Index of the value in whose range of the running sum each falls, and the share of the total that this value has; both `(n,)`.
        """
        values, running = self._top, self._top.cumsum()
        # rounding must not carry a sum past the end of its block: places that were never filled are there
        total = running[-1]
        sums = np.minimum(shares * total, np.nextafter(total, -1))
        indices = chosen = running.searchsorted(sums, side="right")
        for blocks in self._blocks[::-1]:
            sums -= running[chosen] - values[chosen]
            values = blocks.take(indices, 0)
            running = values.cumsum(1)
            np.minimum(sums, running[:, -1] * (1 - 2**-52), out=sums)
            children = (running > sums[:, None]).argmax(1)
            indices = indices * BLOCK + children
            chosen = np.arange(0, values.size, BLOCK) + children
            values, running = values.reshape(-1), running.reshape(-1)
        return indices, values[chosen] / total


class SortedOrder:
    """Places in exact order of falling value, while batches of values change.

    A value (as float32) and its place make one whole number, its key. Keys lie in sorted rows of up to 64. A look-up first brings in what
    changed since the last one: it sorts the rows concerned and splits those that are too full; then it goes over the running sum of their
    lengths. `order[places]` reads values, `order[places] = values` sets them; a place exists once it is set.

    Args:
        size: number of places.
    """

    def __init__(self, size):
        self._keys = np.full(size, -1)
        self._kept = self._keys.copy()  # as they lie in the rows
        self._changed = []
        self._rows = np.empty((8 + 4 * size // WIDTH, WIDTH), "int64")
        self._arrange()

    def __getitem__(self, places):
        return (INFINITY - (self._keys[places] >> 32)).astype("uint32").view("float32")

    def __setitem__(self, places, values):
        self._keys[places] = (INFINITY - np.asarray(values, "float32").view("uint32").astype("int64") << 32) | places
        self._changed.append(places)

    def select(self, ranks):
        """The places at `ranks` (0 for the largest value), `(n,)`."""
        if self._changed:
            self._bring_in(_distinct(np.concatenate(self._changed)))
        until = self._lengths.cumsum()
        at = until.searchsorted(ranks, side="right")
        return self._rows[self._order[at], ranks - until[at] + self._lengths[at]] & PLACE

    def _bring_in(self, places):
        self._changed = []
        if 16 * len(places) > len(self._keys):
            self._arrange()
            return
        old, new = self._kept[places], self._keys[places]
        self._kept[places] = new
        old = old[old >= 0]
        old.sort()
        new.sort()
        self._change(old, new)

    def _arrange(self):
        """Lay out all keys anew."""
        self._kept[:] = self._keys
        rows, self._lengths = _half_full(np.sort(self._keys[self._keys >= 0]))
        self._rows[: len(rows)] = rows
        # of the rows in order: where they lie, and the smallest key that belongs there
        self._order, self._starts = np.arange(len(rows)), rows[:, 0].copy()
        self._starts[0] = 0

    def _change(self, old, new):
        """Take keys out and put others in, both sorted."""
        leaves, enters = (self._starts.searchsorted(keys, side="right") - 1 for keys in (old, new))
        touched = _distinct(np.concatenate([leaves, enters]))
        leaves, enters = touched.searchsorted(leaves), touched.searchsorted(enters)
        arrivals = np.bincount(enters, minlength=len(touched))
        rows = np.full((len(touched), WIDTH + arrivals.max(initial=0)), FREE)
        rows[:, :WIDTH] = self._rows.take(self._order[touched], 0)
        rows[leaves, (rows.take(leaves, 0) == old[:, None]).argmax(1)] = FREE
        rows[enters, WIDTH + np.arange(len(new)) - (arrivals.cumsum() - arrivals)[enters]] = new
        rows.sort(1)
        self._lengths[touched] += arrivals - np.bincount(leaves, minlength=len(touched))
        self._rows[self._order[touched]] = rows[:, :WIDTH]
        # from the last on, so that the numbers of those before stay what they are
        for i in np.flatnonzero(self._lengths[touched] > WIDTH)[::-1]:
            if not self._split(touched[i], rows[i]):
                return

    def _split(self, i, keys):
        """Spread row `i` over several. Where there is no room for them, all keys are laid out anew, and `False` is returned."""
        rows, lengths = _half_full(keys[: self._lengths[i]])
        used, more = len(self._order), len(rows) - 1
        if used + more > len(self._rows):
            self._arrange()
            return False
        self._order = _insert(self._order, i + 1, np.arange(used, used + more))
        self._starts = _insert(self._starts, i + 1, rows[1:, 0])
        self._lengths = _insert(self._lengths, i + 1, lengths[1:])
        self._lengths[i] = lengths[0]
        self._rows[self._order[i : i + 1 + more]] = rows
        return True


def _half_full(keys):
    """Rows `(n, WIDTH)` that hold sorted keys in their first halves, and how many each holds `(n,)`."""
    half = WIDTH // 2
    n = max(-(-len(keys) // half), 1)
    rows = np.full((n, WIDTH), FREE)
    halves = np.full(n * half, FREE)
    halves[: len(keys)] = keys
    rows[:, :half] = halves.reshape(n, half)
    lengths = np.full(n, half)
    lengths[-1] = len(keys) - half * (n - 1)
    return rows, lengths


def _insert(array, i, values):
    return np.concatenate([array[:i], values, array[i:]])


def _distinct(numbers):
    """Sorted and each once; `np.unique` in half the time."""
    numbers = np.sort(numbers)
    kept = np.empty(len(numbers), bool)
    kept[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=kept[1:])
    return numbers[kept]
