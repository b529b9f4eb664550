"""Gaussian filters whose cost is linear in points: a permutohedral lattice in tensor operations, a separable one, and the exact sum.

Paper: Adams, Baek, Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", as used by Krähenbühl and Koltun 2011
and by Zheng et al. 2015, arXiv 1502.03240. A filter gives every point the sum of all values, weighted by
`exp(-|f_i - f_j|^2 / 2)` of the features `f`, which the caller has divided by the widths of the Gaussian. Features get no gradient.

Differences from the published code:
1. In a basis of its own steps the lattice is Z^d, its simplices are those of Kuhn's triangulation: the vertices around a point are its
   floor, plus the unit vectors in the order of falling fractional parts; neighbours are one unit vector, or (1, ..., 1), away. The
   vertices and weights are those of the remainder-and-rank form.
2. The hash table is filled by all points at once: each asks for a slot, the last one gets it, the others go on to the next slot until
   they meet their own key. All shapes are static, keys are compared in full.
"""

import numpy as np
from keras import ops

# entries below which one size of table is enough
SMALL = 32768
# odd constants that spread the coordinates of a key over 32 bits
MULTIPLIERS = np.array([2654435761, 2246822519, 3266489917, 668265263, 374761393], "uint32").astype("int32")


class PermutohedralLattice:
    """The lattice of one batch of features, made once and used for any number of values.

    Building and filtering cost time and memory linear in points; filtering is linear in channels.

    Args:
        features: `(batch, points, dimensions)`, in standard deviations of the Gaussian.
    """

    def __init__(self, features):
        features = ops.stop_gradient(ops.cast(features, "float32"))
        self.dimensions = features.shape[-1]
        keys, weights = _simplices(features)
        self.weights = ops.reshape(weights, (-1, self.dimensions + 1))
        self._entries = ops.shape(keys)[0]
        table, owners = _insert(keys)
        is_first = owners == ops.arange(self._entries, dtype="int32")
        numbers = ops.cumsum(ops.cast(is_first, "int32")) - 1
        self.count = numbers[-1] + 1
        self.vertices = ops.reshape(ops.take(numbers, owners), (-1, self.dimensions + 1))
        # vertex number -> one of its entries; beyond `count` any entry, whose vertex nobody refers to
        entry = ops.where(is_first, numbers, self._entries)
        members = ops.maximum(ops.segment_max(ops.arange(self._entries, dtype="int32"), entry, self._entries + 1)[:-1], 0)
        self.neighbours = self._sized(lambda size: self._find_neighbours(size, keys, table, owners, numbers, members))

    def filter(self, values):
        """Splat, blur, slice.

        Args:
            values: `(batch, points, channels)`.

        Returns:
            Approximate Gaussian sums of the same shape, float32. Differentiable with respect to `values`.
        """

        @ops.custom_gradient
        def filtered(flat):
            # the transpose of splat, blur, slice is the same with the axes of the blur in reverse; far cheaper than scattered gradients
            def gradient(*arguments, upstream=None):
                return self._run(arguments[0] if upstream is None else upstream, reverse=True)

            return self._run(flat), gradient

        flat = ops.reshape(ops.cast(values, "float32"), (-1, values.shape[-1]))
        return ops.reshape(filtered(flat), ops.shape(values))

    def _run(self, flat, reverse=False):
        splats = ops.reshape(self.weights[..., None] * flat[:, None], (-1, flat.shape[-1]))
        table = ops.segment_sum(splats, ops.reshape(self.vertices, (-1,)), self._entries)
        table = self._sized(lambda size: self._blur(table, size, reverse))
        corners = ops.reshape(ops.take(table, ops.reshape(self.vertices, (-1,)), axis=0), (*ops.shape(self.vertices), flat.shape[-1]))
        # the published code's constant, for what splatting and slicing add to the blur
        return ops.sum(self.weights[..., None] * corners, axis=1) / (1 + 2.0**-self.dimensions)

    def _sized(self, function):
        """`function(size)` with room for all vertices; most images need less than a third of it, and a small table is faster."""
        if isinstance(self._entries, int) and self._entries < SMALL:
            return function(self._entries)
        few = self._entries // 3
        return ops.cond(self.count <= few, lambda: function(few), lambda: function(self._entries))

    def _find_neighbours(self, size, keys, table, owners, numbers, members):
        """Numbers `(2, d + 1, entries)` of the vertices one step up and down each axis; `entries` where there is no such vertex."""
        axes, absent = self.dimensions + 1, self._entries
        own = ops.take(keys, members[:size], axis=0)
        entry = _look_up(table, keys, ops.reshape(own + _steps(self.dimensions)[:, None], (-1, axes)))
        up = ops.where(entry >= 0, ops.take(numbers, ops.take(owners, ops.maximum(entry, 0))), absent)
        # whoever is up from a vertex has that vertex down from it
        row = ops.repeat(ops.arange(axes, dtype="int32"), size) * (size + 1) + ops.minimum(up, size)
        is_vertex = ops.arange(size, dtype="int32") < self.count
        down = ops.segment_max(ops.tile(ops.where(is_vertex, ops.arange(size, dtype="int32"), -1), (axes,)), row, axes * (size + 1))
        down = ops.reshape(ops.where(down < 0, absent, down), (axes, size + 1))[:, :size]
        return ops.pad(ops.stack([ops.reshape(up, (axes, size)), down]), ((0, 0), (0, 0), (0, self._entries - size)))

    def _blur(self, table, size, reverse):
        """Weights 1/2, 1, 1/2 along each axis; the row after the last is zero and stands for missing neighbours."""
        axes = self.dimensions + 1
        neighbours = ops.minimum(self.neighbours[:, :, :size], size)
        absent = ops.zeros_like(table[:1])

        def along(i, rows):
            pair = ops.take(neighbours, axes - 1 - i if reverse else i, axis=1)
            return rows + 0.5 * ops.sum(ops.take(ops.concatenate([rows, absent], axis=0), pair, axis=0), axis=0)

        rows = ops.fori_loop(0, axes, along, table[:size])
        return ops.pad(rows, ((0, self._entries - size), (0, 0)))


def exact_filter(features, values):
    """The Gaussian sums themselves; time and memory are quadratic in points.

    Args:
        features: `(batch, points, dimensions)`, in standard deviations of the Gaussian.
        values: `(batch, points, channels)`.

    Returns:
        `(batch, points, channels)`, float32.
    """
    return ops.matmul(exact_kernel(features), ops.cast(values, "float32"))


def exact_kernel(features):
    """`exp(-|f_i - f_j|^2 / 2)`, `(batch, points, points)`, of features `(batch, points, dimensions)`."""
    features = ops.stop_gradient(ops.cast(features, "float32"))
    features = features - ops.mean(features, axis=1, keepdims=True)
    squares = ops.sum(features**2, axis=-1)
    products = ops.matmul(features, ops.transpose(features, (0, 2, 1)))
    return ops.exp(ops.minimum(products - 0.5 * (squares[:, :, None] + squares[:, None, :]), 0.0))


def spatial_filter(images, sigma, reach=5.0):
    """Gaussian sums over pixels, by one pass down and one across; nothing lies beyond the border.

    Args:
        images: `(batch, height, width, channels)`.
        sigma: standard deviation in pixels.
        reach: where the Gaussian is cut, in standard deviations; what is lost is less than 1e-6 of the sum.

    Returns:
        Sums of the same shape, float32.
    """
    radius = int(np.ceil(reach * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype("float32")
    channels, (batch, height, width) = images.shape[-1], ops.shape(images)[:3]
    images = ops.cast(images, "float32")
    down = _convolve(ops.reshape(images, (batch, height, width * channels)), taps)
    across = _convolve(ops.reshape(down, (batch * height, width, channels)), taps)
    return ops.reshape(across, (batch, height, width, channels))


def _convolve(rows, taps, block=32):
    """Correlation along axis 1 of `(batch, length, channels)`: a Toeplitz matrix times overlapping blocks, fast on every backend."""
    reach = len(taps) - 1
    matrix = np.zeros((block, block + reach), "float32")
    for i in range(block):
        matrix[i, i : i + reach + 1] = taps
    batch, length, channels = ops.shape(rows)
    blocks = (length + block - 1) // block
    rows = ops.pad(rows, ((0, 0), (reach // 2, blocks * block - length + reach // 2), (0, 0)))
    index = ops.arange(blocks, dtype="int32")[:, None] * block + np.arange(block + reach, dtype="int32")
    rows = ops.matmul(ops.convert_to_tensor(matrix), ops.take(rows, index, axis=1))
    return ops.reshape(rows, (batch, blocks * block, channels))[:, :length]


def _basis(dimensions):
    """Matrix `(d, d)` that takes features to coordinates in which the lattice is Z^d and its blur has unit variance."""
    d = dimensions
    elevation = np.zeros((d, d + 1))
    for k in range(d):
        scale = np.sqrt(2 / 3) / np.sqrt((k + 1) * (k + 2))
        elevation[k, : k + 1] = scale
        elevation[k, k + 1] = -(k + 1) * scale
    return ops.convert_to_tensor((elevation[:, :d] - elevation[:, d:]).astype("float32"))


def _simplices(features):
    """Keys and barycentric weights of the vertices around each point.

    Returns:
        Keys `(batch * points * (d + 1), 1 + d)` int32, the image's number first; weights `(batch, points, d + 1)`.
    """
    d = features.shape[-1]
    place = ops.matmul(features, _basis(d))
    floor = ops.floor(place)
    part = place - floor
    earlier = ops.convert_to_tensor(np.tri(d, k=-1, dtype=bool))
    before = (part[..., None, :] > part[..., :, None]) | ((part[..., None, :] == part[..., :, None]) & earlier)
    rank = ops.sum(ops.cast(before, "int32"), axis=-1)
    corners = ops.reshape(ops.arange(d + 1, dtype="int32"), (d + 1, 1))
    keys = ops.cast(floor, "int32")[..., None, :] + ops.cast(rank[..., None, :] < corners, "int32")
    number = ops.reshape(ops.arange(ops.shape(features)[0], dtype="int32"), (-1, 1, 1, 1))
    keys = ops.concatenate([number + ops.zeros_like(keys[..., :1]), keys], axis=-1)
    falling = ops.flip(ops.sort(part, axis=-1), axis=-1)
    weights = ops.concatenate([1 - falling[..., :1], falling[..., :-1] - falling[..., 1:], falling[..., -1:]], axis=-1)
    return ops.reshape(keys, (-1, d + 1)), weights


def _steps(dimensions):
    """Keys of the neighbours of zero, `(d + 1, 1 + d)`: one up each axis of the blur."""
    eye = np.eye(dimensions, dimensions + 1, k=1, dtype="int32")
    return np.concatenate([eye, eye.sum(0, keepdims=True, dtype="int32")])


def _hash(keys, slots):
    """A slot for each key."""
    words = np.resize(MULTIPLIERS, keys.shape[-1])
    code = ops.sum(keys * words, axis=-1)
    for shift, factor in ((15, -2048144789), (13, -1028477379), (16, 1)):
        code = ops.bitwise_xor(code, ops.right_shift(code, shift)) * np.int32(factor)
    return ops.mod(code, slots)


def _insert(keys):
    """Hash table of keys `(entries, words)`.

    Returns:
        Table `(2 * entries,)` of entries, negative where empty, and for each entry the one that stands for its key.
    """
    entries = ops.shape(keys)[0]
    slots = 2 * entries
    numbers = ops.arange(entries, dtype="int32")

    def ask(table, slot, owner):
        asked = ops.segment_max(ops.where(owner < 0, numbers, -1), slot, slots)
        table = ops.where(table < 0, asked, table)
        found = ops.take(table, slot)
        is_own = ops.all(ops.take(keys, found, axis=0) == keys, axis=-1)
        owner = ops.where(is_own, found, owner)
        return table, ops.where(is_own, slot, ops.mod(slot + 1, slots)), owner

    nobody = ops.full_like(numbers, -1)
    start = (ops.concatenate([nobody, nobody]), _hash(keys, slots), nobody)
    table, _, owner = ops.while_loop(lambda table, slot, owner: ops.any(owner < 0), ask, start)
    return table, owner


def _look_up(table, keys, wanted):
    """The entry of each wanted key, -1 for those that are not in the table."""
    slots = ops.shape(table)[0]

    def probe(slot, found, is_open):
        entry = ops.take(table, slot)
        is_same = (entry >= 0) & ops.all(ops.take(keys, ops.maximum(entry, 0), axis=0) == wanted, axis=-1)
        found = ops.where(is_open & is_same, entry, found)
        return ops.mod(slot + 1, slots), found, is_open & (entry >= 0) & ~is_same

    slot = _hash(wanted, slots)
    start = (slot, ops.full_like(slot, -1), slot >= 0)
    return ops.while_loop(lambda slot, found, is_open: ops.any(is_open), probe, start)[1]
