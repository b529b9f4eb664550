"""Stacks of frames with each frame kept once: what the memory of an agent needs whose observations are its latest frames."""

import numpy as np

# frames that are allocated at a time
BLOCK = 4096


class FrameStore:
    """Frames by content: equal ones share a place, and a place is free again once nobody holds it.

    Neighbouring stacks share all frames but one, so a memory of stacks of four takes an eighth of the room that both observations of
    each transition would take. Stacks that share nothing are kept as well, in as much room as they need.

    Args:
        shape: of a frame.
        dtype: of its pixels.
    """

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._blocks, self._free = [], []
        self._holders, self._keys = np.zeros(0, "int64"), np.zeros(0, "int64")
        self._place_of = {}

    @property
    def nbytes(self):
        """Bytes of the frames, free places included."""
        return sum(block.nbytes for block in self._blocks)

    def hold(self, frames):
        """Keep frames.

        Args:
            frames: `(n, *shape)`.

        Returns:
            Their places `(n,)`, each of which is held until it is released.
        """
        places = np.array([self._hold(np.ascontiguousarray(frame, self.dtype)) for frame in frames], "int32")
        np.add.at(self._holders, places, 1)
        return places

    def release(self, places):
        """Give back one hold of each of `places` `(n,)`."""
        np.subtract.at(self._holders, places, 1)
        for place in np.unique(places[self._holders[places] == 0]).tolist():
            if self._place_of.get(self._keys[place]) == place:
                del self._place_of[self._keys[place]]
            self._free.append(place)

    def pack(self, places):
        """The distinct frames at `places`, and for each of `places` the number of its frame among them."""
        distinct, numbers = np.unique(places, return_inverse=True)
        return self.take(distinct), numbers.reshape(places.shape).astype("int32")

    def unpack(self, frames, numbers):
        """Hold what `pack` gave, each frame as often as `numbers` name it; gives places of the shape of `numbers`."""
        first = self.hold(frames)
        places = first[numbers]
        np.add.at(self._holders, places.ravel(), 1)
        self.release(first)
        return places

    def take(self, places):
        """Frames `(*places.shape, *shape)`."""
        frames = np.empty((places.size, *self.shape), self.dtype)
        for i, place in enumerate(places.ravel().tolist()):
            frames[i] = self._blocks[place // BLOCK][place % BLOCK]
        return frames.reshape(*places.shape, *self.shape)

    def _hold(self, frame):
        key = hash(frame.tobytes())
        place = self._place_of.get(key)
        if place is not None and np.array_equal(self._blocks[place // BLOCK][place % BLOCK], frame):
            return place
        if not self._free:
            self._grow()
        new = self._free.pop()
        self._blocks[new // BLOCK][new % BLOCK] = frame
        self._keys[new] = key
        # another frame of the same hash keeps its entry; this one is then found by nobody, which costs room alone
        self._place_of.setdefault(key, new)
        return new

    def _grow(self):
        start = BLOCK * len(self._blocks)
        self._blocks.append(np.empty((BLOCK, *self.shape), self.dtype))
        self._holders, self._keys = (np.concatenate([array, np.zeros(BLOCK, "int64")]) for array in (self._holders, self._keys))
        self._free += range(start + BLOCK - 1, start - 1, -1)


class StackedFrames:
    """An array `(capacity, *shape)` of stacks, whose frames lie in a store that others may share.

    Args:
        capacity: number of stacks.
        shape: of a stack.
        axis: of `shape`, along which its frames lie.
        store: a `FrameStore` of frames of the other axes.
    """

    def __init__(self, capacity, shape, axis, store):
        self.shape, self.axis, self.store = (capacity, *shape), axis, store
        self.places = np.full((capacity, shape[axis]), -1, "int32")

    @property
    def dtype(self):
        """Of the pixels."""
        return self.store.dtype

    def __setitem__(self, at, stacks):
        frames = np.moveaxis(np.asarray(stacks), self.axis + 1, 1)
        self.assign(at, self.store.hold(frames.reshape(-1, *self.store.shape)).reshape(-1, self.places.shape[1]))

    def __getitem__(self, at):
        return np.moveaxis(self.store.take(self.places[at]), 1, self.axis + 1)

    def assign(self, at, places):
        """Set the stacks `at` by the places of their frames `(n, frames)`, which are held already."""
        old = np.array(self.places[at])
        self.places[at] = places
        self.store.release(old[old >= 0])

    def take(self, indices, axis=0):
        """Stacks `(n, *shape)` at `indices`."""
        return self[np.asarray(indices)]
