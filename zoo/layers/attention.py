"""Attention: how much each place of a memory matters to a query, and the mean of the memory by these weights."""

import keras
from keras import ops

from zoo import arguments

SCORINGS = ("additive", "dot", "scaled_dot", "general")
# below any score, in float32
_NEVER = -1e9


@keras.saving.register_keras_serializable("zoo")
class Attention(keras.layers.Layer):
    """Attention of queries to a memory, which gives its weights along with the mean.

    The score of a query q and a place m of the memory is, by `scoring`: `"additive"`: v' tanh(W q + U m) (Bahdanau, Cho, Bengio 2014, arXiv
    1409.0473, appendix A.1.2); `"dot"`: q' m; `"scaled_dot"`: that over the root of their length; `"general"`: q' W m (Luong, Pham, Manning
    2015, arXiv 1508.04025, section 3.1). Softmax is taken over the places that are present, in float32.

    Args:
        query_dim: length of a query.
        memory_dim: length of a place of the memory.
        scoring: one of those.
        units: length of the hidden layer of `"additive"`, by default that of a query.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these, or queries and places that are multiplied differ in length.
    """

    def __init__(self, query_dim, memory_dim, scoring="additive", units=None, **kwargs):
        super().__init__(**kwargs)
        arguments.count("query_dim", query_dim)
        arguments.count("memory_dim", memory_dim)
        arguments.one_of("scoring", scoring, SCORINGS)
        if units is not None:
            arguments.count("units", units)
        if scoring in ("dot", "scaled_dot") and query_dim != memory_dim:
            raise ValueError(f"`query_dim` must equal `memory_dim` for {scoring!r}. Received: {query_dim} and {memory_dim}")
        self.query_dim, self.memory_dim, self.scoring, self.units = query_dim, memory_dim, scoring, units
        if scoring == "additive":
            width = units or query_dim
            self.query_kernel = self.add_weight((query_dim, width), "glorot_uniform", name="query_kernel")
            self.memory_kernel = self.add_weight((memory_dim, width), "glorot_uniform", name="memory_kernel")
            self.bias = self.add_weight((width,), "zeros", name="bias")
            self.vector = self.add_weight((width, 1), "glorot_uniform", name="vector")
        elif scoring == "general":
            self.memory_kernel = self.add_weight((memory_dim, query_dim), "glorot_uniform", name="memory_kernel")
        self.built = True

    def keys(self, memory):
        """What a memory `(batch, places, memory_dim)` is compared by, `(batch, places, any)`: computed once, it serves many calls."""
        if self.scoring in ("dot", "scaled_dot"):
            return memory
        found = ops.matmul(memory, self.memory_kernel)
        return found + self.bias if self.scoring == "additive" else found

    def call(self, query, memory, present=None, keys=None):
        """Contexts and weights.

        Args:
            query: `(batch, queries, query_dim)`.
            memory: `(batch, places, memory_dim)`.
            present: `(batch, places)` bool, or `None` for all. At least one place of a row must be.
            keys: `keys(memory)`, if known.

        Returns:
            Contexts `(batch, queries, memory_dim)`, and weights `(batch, queries, places)` float32, which add up to 1.
        """
        keys = self.keys(memory) if keys is None else keys
        scores = ops.cast(self._scores(query, keys), "float32")
        if present is not None:
            scores = ops.where(ops.cast(present, "bool")[:, None], scores, _NEVER)
        weights = ops.softmax(scores, axis=-1)
        return ops.matmul(ops.cast(weights, memory.dtype), memory), weights

    def _scores(self, query, keys):
        if self.scoring == "additive":
            # sums and einsum, since XLA cannot compile the gradient of a loop around products of three axes and two
            asked = ops.einsum("bqd,dw->bqw", query, self.query_kernel)
            return ops.sum(ops.tanh(asked[:, :, None] + keys[:, None]) * self.vector[:, 0], axis=-1)
        scores = ops.matmul(query, ops.transpose(keys, (0, 2, 1)))
        return scores / self.query_dim**0.5 if self.scoring == "scaled_dot" else scores

    def get_config(self):
        """The constructor's arguments."""
        names = ("query_dim", "memory_dim", "scoring", "units")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
