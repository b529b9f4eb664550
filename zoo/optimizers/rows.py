"""AdaGrad, AdaDelta and Adam for tables of embeddings, of which a step uses few rows: the others are neither read nor written.

On TensorFlow the gradient of a lookup holds only the rows that were looked up, so that a step costs the same for a table of any length. On
JAX gradients have the size of the table; the results are the same. Where a row was used several times, its gradients are added before they
are squared, unlike Keras's optimizers on TensorFlow, which square each, and before their norm is taken for `global_clipnorm`.
"""

import keras
from keras import ops

# rows up to which a whole gradient is faster than sorting the rows in use
SMALL = 2**13


class _ByRows:
    """Clips by the norm of all gradients without making rows to a whole table, as Keras's own clipping does."""

    def _clip_gradients(self, gradients):
        if not self.global_clipnorm:
            return super()._clip_gradients(gradients)
        total = sum(_square(gradient) for gradient in gradients if gradient is not None)
        scale = ops.minimum(1.0, self.global_clipnorm / ops.sqrt(ops.maximum(total, 1e-30)))
        return [None if gradient is None else _scaled(gradient, scale) for gradient in gradients]


def _square(gradient):
    """The sum of the squares of a gradient."""
    if not hasattr(gradient, "indices"):
        return ops.sum(ops.square(ops.cast(gradient, "float32")))
    total, fresh = _summed(gradient.indices, ops.cast(gradient.values, "float32"))[1:]
    return ops.sum(ops.square(total) * ops.reshape(fresh, (-1, *(1 for _ in total.shape[1:]))))


def _scaled(gradient, scale):
    if hasattr(gradient, "indices"):
        values = gradient.values * ops.cast(scale, gradient.values.dtype)
        return type(gradient)(values, gradient.indices, gradient.dense_shape)
    return gradient * ops.cast(scale, gradient.dtype)


def _summed(ids, values):
    """Ids in order, for each the sum of all values of that id, and 1 for the first of those that are equal, else 0 (float32)."""
    order = ops.argsort(ids)
    ids, values = ops.take(ids, order, axis=0), ops.take(values, order, axis=0)
    fresh = ops.pad(ops.cast(ids[1:] != ids[:-1], "int32"), [[1, 0]], constant_values=1)
    group = ops.cumsum(fresh) - 1
    return ids, ops.take(ops.segment_sum(values, group, ops.shape(group)[0]), group, axis=0), ops.cast(fresh, "float32")


@keras.saving.register_keras_serializable("zoo")
class RowAdagrad(_ByRows, keras.optimizers.Adagrad):
    """AdaGrad (Duchi, Hazan, Singer 2011) by rows; the arguments are those of `keras.optimizers.Adagrad`."""

    def update_step(self, gradient, variable, learning_rate):
        """Update the rows of `variable` that have a gradient."""
        rows = _Rows(self, gradient, variable)
        accumulator = self._accumulators[self._get_variable_index(variable)]
        total = rows.read(accumulator) + ops.square(rows.gradient)
        rows.write(accumulator, total)
        rows.write(variable, rows.read(variable) - learning_rate * rows.gradient / ops.sqrt(total + self.epsilon))


@keras.saving.register_keras_serializable("zoo")
class RowAdadelta(_ByRows, keras.optimizers.Adadelta):
    """AdaDelta (Zeiler 2012, arXiv 1212.5701) by rows: a row's averages stand still while it is not used.

    The arguments are those of `keras.optimizers.Adadelta`.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update the rows of `variable` that have a gradient."""
        rows, index, rho = _Rows(self, gradient, variable), self._get_variable_index(variable), self.rho
        squares, deltas = self._accumulated_grads[index], self._accumulated_delta_vars[index]
        square = rho * rows.read(squares) + (1 - rho) * ops.square(rows.gradient)
        before = rows.read(deltas)
        delta = -ops.sqrt(before + self.epsilon) / ops.sqrt(square + self.epsilon) * rows.gradient
        rows.write_used(squares, square)
        rows.write_used(deltas, rho * before + (1 - rho) * ops.square(delta))
        rows.write(variable, rows.read(variable) + learning_rate * delta)


@keras.saving.register_keras_serializable("zoo")
class RowAdam(_ByRows, keras.optimizers.Adam):
    """Adam (Kingma, Ba 2014, arXiv 1412.6980) by rows: a row's moments stand still while it is not used, and it then does not move.

    The arguments are those of `keras.optimizers.Adam`, of which `amsgrad` is not used.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update the rows of `variable` that have a gradient."""
        rows, index = _Rows(self, gradient, variable), self._get_variable_index(variable)
        moments, squares = self._momentums[index], self._velocities[index]
        steps = ops.cast(self.iterations + 1, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype) * ops.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        moment = self.beta_1 * rows.read(moments) + (1 - self.beta_1) * rows.gradient
        square = self.beta_2 * rows.read(squares) + (1 - self.beta_2) * ops.square(rows.gradient)
        rows.write_used(moments, moment)
        rows.write_used(squares, square)
        rows.write_used(variable, rows.read(variable) - rate * moment / (ops.sqrt(square) + self.epsilon))


class _Rows:
    """The rows of a variable that a gradient touches: all rows of a dense one, else one for each use, each with the sum of its uses."""

    def __init__(self, optimizer, gradient, variable):
        self.optimizer, self.ids, self.slices, length = optimizer, None, type(gradient), variable.shape[0]
        if hasattr(gradient, "indices"):
            ids, gradient = gradient.indices, ops.cast(gradient.values, variable.dtype)
            if length > SMALL:
                self.ids, gradient, _ = _summed(ids, gradient)
            else:
                gradient = ops.scatter(ids[:, None], gradient, tuple(variable.shape))
        self.gradient = ops.cast(gradient, variable.dtype)

    def read(self, variable):
        """The values of the rows."""
        value = variable.value if isinstance(variable, keras.Variable) else variable
        return ops.convert_to_tensor(value) if self.ids is None else value.sparse_read(self.ids)

    def write(self, variable, new):
        """Set the rows; several uses of a row write the same."""
        self.optimizer.assign(variable, new if self.ids is None else self.slices(new, self.ids, variable.shape))

    def write_used(self, variable, new):
        """`write`, but for rows of a dense gradient that is 0 there: these stay as they are."""
        used = ops.any(ops.not_equal(self.gradient, 0), axis=tuple(range(1, len(self.gradient.shape))), keepdims=True)
        self.write(variable, ops.where(used, new, self.read(variable)))
