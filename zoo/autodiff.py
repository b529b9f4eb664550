"""Derivatives inside losses, and the other few things that depend on the backend. No other file of zoo imports a backend.

Every function works eagerly, under `fit`, and compiled (`tf.function`, XLA, `jax.jit`), and can be differentiated again.
"""

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
else:
    raise ImportError(f"zoo runs on the TensorFlow and JAX backends of Keras. Received: KERAS_BACKEND={BACKEND!r}")


class Scope(keras.StatelessScope):
    """A `keras.StatelessScope` that inherits the mapping of the scope around it (Keras's own forgets it, which breaks on JAX).

    Args:
        state_mapping: pairs of (variable, value) that hold inside the scope.
    """

    def __init__(self, state_mapping=()):
        super().__init__(state_mapping=list(state_mapping), initialize_variables=False)

    def __enter__(self):
        super().__enter__()
        if self.original_scope is not None:
            self.state_mapping = {**self.original_scope.state_mapping, **self.state_mapping}
        return self


def frozen(variables):
    """A scope in which `variables` keep their values but receive no gradient.

    Example: a generator's loss runs the discriminator inside `frozen(discriminator.trainable_variables)`.
    """
    if BACKEND == "tensorflow":
        _keep_reads_before_updates()
    return Scope((v, ops.stop_gradient(v.value)) for v in variables)


def weighted(variables, share):
    """A scope in which `variables` keep their values but receive `share` of their gradient; what passes them receives its whole one.

    Example: a loss counts fully for an encoder, and by a tenth for the decoder behind it.
    """
    if BACKEND == "tensorflow":
        _keep_reads_before_updates()
    fixed = [ops.stop_gradient(v.value) for v in variables]
    return Scope((v, value + share * (v.value - value)) for v, value in zip(variables, fixed))


def value_and_grad(function, x):
    """`function(x)` (a scalar) and its gradient with respect to `x`.

    State that layers would update inside `function` (batch statistics, seeds) is left as it was.

    Args:
        function: takes a tensor (or a list of tensors), returns a scalar.
        x: tensor or list of tensors.

    Returns:
        The value, and gradients of the structure of `x`.
    """
    if BACKEND == "tensorflow":
        x = _tensors(x)
        with tf.GradientTape() as tape, Scope():
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x, unconnected_gradients="zero")
    return jax.value_and_grad(_pure(function))(_tensors(x))


def grad(function, x):
    """The gradient of `function` (scalar) at `x`; see `value_and_grad`."""
    return value_and_grad(function, x)[1]


def value_and_weight_grad(function, variables):
    """`function()` (a scalar) and its gradients with respect to `variables`, a list of them; see `value_and_grad`."""

    def of_values(values):
        with Scope(zip(variables, values)):
            return function()

    # one read of each variable, where TensorFlow would read it anew, perhaps after an update, wherever it is used
    return value_and_grad(of_values, [ops.stop_gradient(v.value) for v in variables])


def vjp(function, x, vector):
    """`function(x)` and the product of `vector` with its Jacobian, of the structure of `x`."""
    if BACKEND == "tensorflow":
        x = _tensors(x)
        with tf.GradientTape() as tape, Scope():
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x, output_gradients=vector, unconnected_gradients="zero")
    value, pullback = jax.vjp(_pure(function), _tensors(x))
    return value, pullback(vector)[0]


def jvp(function, x, vector):
    """`function(x)` and its directional derivative along `vector`."""
    if BACKEND == "tensorflow":
        x, vector = _tensors(x), _tensors(vector)
        with tf.autodiff.ForwardAccumulator(x, vector) as accumulator, Scope():
            value = function(x)
        return value, accumulator.jvp(value, unconnected_gradients="zero")
    return jax.jvp(_pure(function), (_tensors(x),), (_tensors(vector),))


def jacobian(function, x, size):
    """The Jacobian of a function of rows, each of which depends on its own row alone: one backward pass over `size` copies of the batch.

    Args:
        function: takes a list of tensors `(batch, n_i)`, returns a tensor `(batch, size)`.
        x: the list.
        size: number of outputs of a row.

    Returns:
        A list of tensors `(batch, size, n_i)`.
    """
    copies = [ops.repeat(v, size, axis=0) for v in x]
    vectors = ops.tile(ops.eye(size, dtype=copies[0].dtype), (ops.shape(x[0])[0], 1))
    rows = vjp(function, copies, vectors)[1]
    return [ops.reshape(row, (-1, size, row.shape[1])) for row in rows]


def hvp(function, x, vector):
    """The Hessian of `function` (scalar) at `x` times `vector`.

    Reverse over reverse on TensorFlow, whose forward mode cannot pass a while loop; forward over reverse on JAX.
    """
    if BACKEND == "tensorflow":

        def directional(point):
            gradients = tf.nest.flatten(grad(function, point))
            return sum(tf.reduce_sum(g * v) for g, v in zip(gradients, tf.nest.flatten(_tensors(vector))))

        return grad(directional, x)
    return jvp(lambda point: grad(function, point), x, vector)[1]


def scan(function, carry, xs):
    """Go through the rows of `xs` one after the other, as `jax.lax.scan` does; can be differentiated, also under XLA.

    A loop on JAX, which compiles each row of an unrolled one anew. Unrolled on TensorFlow, whose loops are slow and whose XLA cannot
    differentiate them.

    Args:
        function: takes the carry and a list with one row of each array, returns the carry (of the same shape) and a tensor.
        carry: tensor at the start.
        xs: list of tensors `(steps, ...)`.

    Returns:
        The carry at the end, and the tensors of all steps, stacked `(steps, ...)`.
    """
    if BACKEND == "jax":
        return jax.lax.scan(function, carry, xs)
    found = []
    for row in zip(*(tf.unstack(x) for x in xs)):
        carry, y = function(carry, list(row))
        found.append(y)
    return carry, tf.stack(found)


def per_replica(loss):
    """`loss` divided by the replicas in sync, as Keras does for its own losses but not for an overridden `compute_loss`."""
    if BACKEND == "tensorflow":
        return loss / tf.distribute.get_strategy().num_replicas_in_sync
    return loss


def compiled(function, layer, jit_compile=False, optimizer=None):
    """`function` as one compiled graph for the verbs of a method.

    The variables of `layer` are read anew at every call, and what `function` changes in its non-trainable ones (seeds, statistics) is kept.

    Args:
        function: takes and returns (structures of) tensors.
        layer: the Keras layer or model whose variables `function` reads.
        jit_compile: whether TensorFlow uses XLA. JAX always does.
        optimizer: a built Keras optimizer that `function` applies to weights of `layer`: a training step of a method's own. The weights and
            the optimizer's state are then kept as well.
    """
    if BACKEND == "tensorflow":
        if optimizer is not None:
            _keep_reads_before_updates()
        graph = tf.function(function, reduce_retracing=True, jit_compile=jit_compile)
        # TensorFlow takes longer over arrays than over tensors: a third of a call of a small network
        return lambda *arguments: graph(*tf.nest.map_structure(_tensor_of_array, arguments))

    def variables():
        return layer.variables if optimizer is None else [*layer.variables, *optimizer.variables]

    def kept():
        return layer.non_trainable_variables if optimizer is None else variables()

    @jax.jit
    def pure(values, arguments):
        with Scope(zip(variables(), values)) as scope:
            result = function(*arguments)
        return result, [scope.get_current_value(v) for v in kept()]

    def call(*arguments):
        result, state = pure([v.value for v in variables()], arguments)
        for variable, value in zip(kept(), state):
            variable.assign(value)
        return result

    return call


def compiled_once(layer, key, function):
    """`compiled(function, layer)`, the first time that `layer` is asked for `key`; then what that gave."""
    # beside what Keras tracks: these are no part of the layer's state
    kept = vars(layer).setdefault("_compiled_by_key", {})
    if key not in kept:
        kept[key] = compiled(function, layer)
    return kept[key]


def in_batches(run, arrays, batch_size, shared=()):
    """The results of `run(*rows, *shared)` over the rows of `arrays`, as a list of arrays.

    Batches have one size, the last is filled up with the last row and its results cut off, so that a compiled `run` is traced once. Fewer
    rows than a batch are filled up to a power of two: a call with one row is not as dear as a batch, and few sizes are traced.
    """
    n, parts = len(arrays[0]), []
    size = min(batch_size, 1 << (n - 1).bit_length())
    for rows in np.minimum(np.arange(-(-n // size) * size), n - 1).reshape(-1, size):
        found = run(*(a[rows] for a in arrays), *shared)
        parts.append([keras.ops.convert_to_numpy(part) for part in (found if isinstance(found, (list, tuple)) else [found])])
    return [np.concatenate(column)[:n] for column in zip(*parts)]


def _keep_reads_before_updates():
    """Switch off the graph pass that lets an optimizer update a frozen weight before it is read.

    Grappler drops the order "read, then update" where the read reaches the update by another path, here through the one operation that
    sums all gradients over the replicas, and then splits that operation, which was the path. Other reads have a path of their own.
    """
    options = tf.config.optimizer.get_experimental_options()
    if options.get("dependency_optimization", True):
        tf.config.optimizer.set_experimental_options({**options, "dependency_optimization": False})


def _tensor_of_array(x):
    return tf.convert_to_tensor(x) if isinstance(x, np.ndarray) else x


def _tensors(x):
    """`x` as tensors. One that a list holds twice becomes two: TensorFlow would give its whole derivative at both places."""
    if not isinstance(x, (list, tuple)):
        return ops.convert_to_tensor(x)
    found = []
    for v in map(ops.convert_to_tensor, x):
        found.append(tf.identity(v) if BACKEND == "tensorflow" and any(v is other for other in found) else v)
    return found


def _pure(function):
    def call(x):
        with Scope():
            return function(x)

    return call
