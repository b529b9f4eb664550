"""Minimise a function of one array, such as a loss of an image: by SciPy's L-BFGS or by any Keras optimizer.

The array is the unknown here and not a weight, so `Model.fit` does not apply. A step is one evaluation of the function and its
gradient for either optimizer, so that equal numbers of steps are equal budgets.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops
from scipy import optimize
from threadpoolctl import threadpool_limits


@dataclass
class Minimum:
    """What `minimize` found.

    Args:
        x: the array, NumPy float32: the best one evaluated for L-BFGS, the last one for a Keras optimizer.
        logs: dict of floats that belong to `x`, with `loss`.
        steps: evaluations of the function.
        message: why it ended.
    """

    x: np.ndarray
    logs: dict
    steps: int
    message: str


def minimize(function, x, steps, optimizer=None, bounds=None, memory=10, tolerance=0.0, callback=None, verbose=0):
    """Minimise `function`, starting at `x`.

    Args:
        function: takes a float32 array like `x`; returns its value, the gradient, and optionally a dict of scalars for the logs.
        x: where to start.
        steps: evaluations of `function` at most.
        optimizer: a Keras optimizer, which is used up: its state belongs to `x` afterwards. `None` is L-BFGS.
        bounds: `(low, high)` for every element, or `None`.
        memory: pairs of L-BFGS's approximation of the Hessian.
        tolerance: end when a step of the optimizer lowers the loss by less than this share of it.
        callback: called as `callback(step, x, logs)` after each evaluation, steps counted from 1, with the array that `Minimum` would
            hold if this were the end (NumPy or a tensor) and its logs. Ends the search by returning `True`.
        verbose: 1 shows a progress bar.

    Returns:
        A `Minimum`.

    Raises:
        ValueError: if an argument cannot be, or `function` is not finite where it starts.
    """
    x = np.asarray(x, "float32")
    _check(x, steps, bounds, tolerance, memory)
    if bounds is not None:
        x = np.clip(x, *bounds)
    run = _Run(function, steps, callback, verbose)
    try:
        if optimizer is None:
            _lbfgs(run, x, bounds, memory, tolerance)
        else:
            _descend(run, x, optimizer, bounds, tolerance)
    except _Stop as stop:
        run.message = str(stop)
    run.finish()
    return Minimum(np.array(ops.convert_to_numpy(run.x), "float32"), run.logs, run.step, run.message)


class _Stop(Exception):
    """Ends a search from within an evaluation."""


class _Run:
    """Counts evaluations, holds the present result, shows the bar."""

    def __init__(self, function, steps, callback, verbose):
        self.function, self.steps, self.callback = function, steps, callback
        self.step, self.x, self.logs, self.message = 0, None, {}, ""
        # no metric is averaged over steps
        self.bar = keras.utils.Progbar(steps, verbose=1 if verbose else 0, stateless_metrics=[])

    def evaluate(self, x):
        """Value, gradient and logs at `x`, as they come."""
        value, gradient, *logs = self.function(x)
        self.step += 1
        logs = {"loss": float(value), **{name: float(v) for name, v in (logs[0] if logs else {}).items()}}
        if self.step == 1 and not np.isfinite(logs["loss"]):
            raise ValueError(f"`function` must be finite where the search starts. Received: {logs['loss']}")
        return gradient, logs

    def report(self, x, logs):
        """Take over the present result; raises `_Stop` when the search is to end."""
        self.x, self.logs = x, logs
        self.bar.update(self.step, logs.items())
        if self.callback is not None and self.callback(self.step, x, logs):
            raise _Stop("stopped by the callback")
        if self.step >= self.steps:
            raise _Stop("all steps are done")

    def finish(self):
        """Close the bar where the search ended early."""
        if self.step < self.steps:
            self.bar.update(self.step, self.logs.items(), finalize=True)


def _descend(run, x, optimizer, bounds, tolerance):
    """Steps of a Keras optimizer; the reported array is the one that was evaluated."""
    variable = keras.Variable(x, name="x")
    optimizer.build([variable])
    last = np.inf
    while True:
        gradient, logs = run.evaluate(variable.value)
        run.report(ops.copy(variable.value), logs)
        if tolerance and 0 <= last - logs["loss"] < tolerance * abs(last):
            raise _Stop("the loss has stopped falling")
        last = logs["loss"]
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        if bounds is not None:
            variable.assign(ops.clip(variable.value, *bounds))


def _lbfgs(run, x, bounds, memory, tolerance):
    """L-BFGS of the function divided by the norm of its first gradient, so that its scale does not matter.

    Rounding in float32 can end a line search before the minimum; the search then starts anew from there, as long as that helps.
    """
    gradient, logs = run.evaluate(x)
    gradient = _flat(gradient)
    scale = float(np.linalg.norm(gradient)) or 1.0
    best = {"x": x, "logs": logs, "gradient": gradient / scale}
    run.report(x, logs)

    def evaluate(flat):
        point = flat.astype("float32").reshape(x.shape)
        if np.array_equal(point, best["x"]):
            return best["logs"]["loss"] / scale, best["gradient"]
        gradient, logs = run.evaluate(point)
        gradient = _flat(gradient) / scale
        if logs["loss"] < best["logs"]["loss"]:
            best.update(x=point, logs=logs, gradient=gradient)
        run.report(best["x"], best["logs"])
        return logs["loss"] / scale, gradient

    options = {"maxcor": memory, "maxiter": run.steps, "maxfun": 2 * run.steps, "ftol": tolerance, "gtol": 0.0}
    limits = None if bounds is None else optimize.Bounds(*(np.full(x.size, b, "float64") for b in bounds))
    while True:
        before = best["logs"]["loss"]
        # its vectors are short: threads of the linear algebra only wait for each other, 30 times as long on a busy machine
        with threadpool_limits(1, "blas"):
            result = optimize.minimize(evaluate, _flat(best["x"]), jac=True, method="L-BFGS-B", bounds=limits, options=options)
        run.message = str(result.message)
        if result.status != 2 or not best["logs"]["loss"] < before:
            return


def _flat(array):
    return np.asarray(ops.convert_to_numpy(array), "float64").ravel()


def _check(x, steps, bounds, tolerance, memory):
    if x.size == 0 or not np.all(np.isfinite(x)):
        raise ValueError(f"`x` must be finite and not empty. Received: shape {x.shape}")
    for name, value in (("steps", steps), ("memory", memory)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {value!r}")
    if bounds is not None and not (len(bounds) == 2 and bounds[0] < bounds[1]):
        raise ValueError(f"`bounds` must be a pair (low, high) with low < high. Received: {bounds}")
    if tolerance < 0:
        raise ValueError(f"`tolerance` must not be negative. Received: {tolerance}")
