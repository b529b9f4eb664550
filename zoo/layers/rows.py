"""Rows of tables of embeddings, fetched so that neither the lookup nor its gradient touches the rest of the table."""

from keras import layers, ops


class RowEmbedding(layers.Embedding):
    """`layers.Embedding` by `gather_rows`: with an optimizer by rows a step costs the same for any number of rows (on TensorFlow)."""

    def call(self, inputs):
        """Rows `(..., output_dim)` of ids `(...)`."""
        return ops.cast(gather_rows(self.embeddings, ops.cast(inputs, "int32")), self.compute_dtype)


def gather_rows(table, ids):
    """Rows `(..., dim)` of `table`, a Keras variable `(size, dim)`.

    TensorFlow's own lookup does not copy the table first, which `ops.take` of a trained one does. The gradient holds the rows alone there.
    """
    return table.value.sparse_read(ids) if has_row_reads(table) else ops.take(table.value, ids, axis=0)


def first_rows(array, count, table):
    """The first `count`, a tensor, of an array's rows, where shapes may be found while it runs; else, on JAX, all.

    What uses it on TensorFlow cannot be compiled by XLA, and says so by `supports_jit`.

    Args:
        array: `(rows, ...)`.
        count: at least so many are needed.
        table: a Keras variable, which tells the one from the other.
    """
    return array[:count] if has_row_reads(table) else array


def has_row_reads(table):
    """Whether the backend reads rows of a Keras variable without copying it, as TensorFlow does."""
    return hasattr(table.value, "sparse_read")


def fetch_rows(table, ids, uses, most):
    """Rows of a table, learning at most `most` times from a batch: `moderate` of `gather_rows`, whose arguments these are."""
    return moderate(gather_rows(table, ids), ids, uses, table.shape[0], most)


def moderate(rows, ids, uses, size, most):
    """`rows`, with the gradient of those that a batch uses often scaled down.

    One update with the sum of a thousand gradients is not a thousand updates: it overshoots. A row used more than `most` times learns from
    the mean of its gradients times `most`.

    Args:
        rows: of a table of embeddings, `(..., dim)`.
        ids: their numbers, `(...)`.
        uses: how often the batch uses the row at each of the places, `(...)` float32; those of the same number are added up.
        size: rows of the table.
        most: the limit, or `None` for none.
    """
    if most is None:
        return rows
    return limited(rows, ops.take(total_uses(ids, uses, size), ids, axis=0), most)


def total_uses(ids, uses, size):
    """How often a batch uses each of `size` rows, `(size,)`; arguments as in `moderate`."""
    return ops.segment_sum(ops.reshape(uses, (-1,)), ops.reshape(ids, (-1,)), size)


def limited(rows, total, most):
    """`rows` `(..., dim)`, with the gradient of those that the batch uses more than `most` times, by their `total` `(...)`, scaled down."""
    scale = ops.minimum(1.0, most / ops.maximum(total, 1.0))[..., None]

    @ops.custom_gradient
    def scaled(rows):
        def gradient(*arguments, upstream=None):
            return (arguments[0] if upstream is None else upstream) * scale

        return rows, gradient

    return scaled(rows)
