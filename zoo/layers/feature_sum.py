"""Embeddings as sums over sparse features (Kula 2015, "Metadata Embeddings for User and Item Cold-start Recommendations", section 3)."""

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo.layers.rows import gather_rows


@keras.saving.register_keras_serializable("zoo")
class FeatureSum(keras.layers.Layer):
    """Users, items or other things with features: the representation of a row is `sum_f weight_f * [embedding_f, bias_f]`.

    The feature matrix is kept as two tables of `(size, max_features)`, feature ids and weights, which are saved with the layer. Until
    `set_features` the features are dealt out in turn. A lookup gathers the embeddings that it needs. With `zoo.optimizers.RowAdagrad` a
    training step costs the same for any number of rows (on TensorFlow).

    Args:
        size: number of rows.
        num_features: number of features; `None` means that each row is its own feature.
        max_features: most features of a row.
        dim: length of the embeddings.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, size, num_features=None, max_features=1, dim=10, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("size", size), ("num_features", num_features), ("max_features", max_features), ("dim", dim)):
            if not (isinstance(value, int) and value > 0 or value is None and name == "num_features"):
                raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {value}")
        self.size, self.num_features, self.max_features, self.dim = size, num_features, max_features, dim

        def initial(shape, dtype):
            embeddings = keras.random.uniform((shape[0], dim), -0.5 / dim, 0.5 / dim, dtype=dtype)
            return ops.pad(embeddings, [[0, 0], [0, 1]])

        # float32 under any policy: sums of many small updates
        self.table = self.add_weight((num_features or size, dim + 1), initial, name="table", autocast=False)
        if num_features is not None:
            shape = (size, max_features)
            self.indices = self.add_weight(shape, "zeros", "int32", trainable=False, name="indices")
            self.feature_weights = self.add_weight(shape, "zeros", trainable=False, autocast=False, name="weights")
            self.indices.assign(np.arange(size * max_features).reshape(shape) % num_features)
            self.feature_weights.assign(np.ones(shape))
        self.built = True

    def call(self, ids):
        """Representations `(..., dim + 1)` of rows `(...)`; the last column is the bias."""
        if self.num_features is None:
            return gather_rows(self.table, ids)
        rows = gather_rows(self.table, ops.take(self.indices, ids, axis=0))
        return ops.sum(rows * ops.take(self.feature_weights, ids, axis=0)[..., None], axis=-2)

    def lookup(self, uses):
        """A function like `call` for several lookups in one step: a short table is summed once, and not for each use.

        Args:
            uses: about how many rows the step looks up.
        """
        if self.num_features is None or self.size > uses:
            return self
        every = self(ops.arange(self.size, dtype="int32"))
        return lambda ids: ops.take(every, ids, axis=0)

    def half_square(self, ids):
        """Half the squared length of all embeddings and biases behind rows `(...)`, for L2."""
        if self.num_features is None:
            return ops.sum(ops.square(gather_rows(self.table, ids)), axis=-1) / 2
        rows = gather_rows(self.table, ops.take(self.indices, ids, axis=0))
        used = ops.not_equal(ops.take(self.feature_weights, ids, axis=0), 0.0)
        return ops.sum(ops.square(rows) * ops.cast(used, rows.dtype)[..., None], axis=(-2, -1)) / 2

    def set_features(self, features, name="features"):
        """Take the rows of a feature matrix.

        Args:
            features: scipy sparse `(size, num_features)`.
            name: what messages call it.

        Raises:
            ValueError: if the shape is another, or a row has more than `max_features` entries.
        """
        if self.num_features is None or features.shape != (self.size, self.num_features):
            expected = "None (no `num_features`)" if self.num_features is None else (self.size, self.num_features)
            raise ValueError(f"`{name}` must have shape {expected}. Received: {features.shape}")
        features = features.tocsr()
        most = np.diff(features.indptr).max()
        if most > self.max_features:
            raise ValueError(f"`{name}` must have at most {self.max_features} entries a row (`max_features`). Received: {most}")
        indices, weights = padded_rows(features, self.max_features)
        self.indices.assign(indices)
        self.feature_weights.assign(weights)

    def features(self):
        """The feature matrix in CSR; the identity where each row is its own feature."""
        if self.num_features is None:
            return sparse.identity(self.size, dtype="float32", format="csr")
        indices, weights = ops.convert_to_numpy(self.indices), ops.convert_to_numpy(self.feature_weights)
        rows = np.repeat(np.arange(self.size), self.max_features)
        matrix = sparse.csr_matrix((weights.ravel(), (rows, indices.ravel())), (self.size, self.num_features))
        matrix.eliminate_zeros()
        return matrix

    def representations(self, features=None):
        """Biases `(n,)` and embeddings `(n, dim)`, NumPy, of all rows or of new ones given by their features `(n, num_features)`."""
        features = self.features() if features is None else features
        table = ops.convert_to_numpy(self.table)
        if features.shape[1] != len(table):
            raise ValueError(f"`features` must have {len(table)} columns. Received: shape {features.shape}")
        sums = features @ table
        return sums[:, -1], sums[:, :-1]

    def get_config(self):
        """The constructor's arguments."""
        names = ("size", "num_features", "max_features", "dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def padded_rows(matrix, width, fill=0):
    """Column ids and values of each row of a CSR matrix.

    Args:
        matrix: scipy CSR, `(rows, columns)`, with at most `width` entries a row.
        width: length of the result's rows.
        fill: column id beside the value 0 in the places that are left.

    Returns:
        int32 `(rows, width)` and float32 `(rows, width)`.
    """
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(matrix.nnz) - matrix.indptr[rows]
    indices, values = np.full((len(counts), width), fill, "int32"), np.zeros((len(counts), width), "float32")
    indices[rows, places], values[rows, places] = matrix.indices, matrix.data
    return indices, values
