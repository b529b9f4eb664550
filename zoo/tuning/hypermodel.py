"""The search space of a method as a `keras_tuner.HyperModel`."""

import inspect
import math
from statistics import fmean

import keras
import keras_tuner

from zoo.tuning.data import takes_environment


def hypermodel(cls, **config):
    """A `keras_tuner.HyperModel` of a method, for any tuner.

    It builds `cls` with the arguments that `cls.search_space` draws; `config` fixes the others. A drawn `learning_rate` goes to the
    optimizer (to each part of a `MultiOptimizer`).

    Args:
        cls: subclass of `zoo.Model`.
        **config: constructor arguments that are fixed; they leave the search.

    Raises:
        ValueError: if `cls` is no method, or has no such argument.
    """
    return HyperModel(cls, config)


class HyperModel(keras_tuner.HyperModel):
    """See `hypermodel`.

    Args:
        cls: subclass of `zoo.Model`.
        config: constructor arguments that are fixed.

    Attributes:
        uses_return: whether an agent is judged by its mean return late in training instead of by its best epoch.
    """

    def __init__(self, cls, config):
        if not (inspect.isclass(cls) and issubclass(cls, keras.Model) and hasattr(cls, "search_space")):
            raise ValueError(f"`cls` must be a method, a subclass of zoo.Model. Received: {cls!r}")
        known = set(inspect.signature(cls.__init__).parameters) | {"name", "dtype"}
        unknown = sorted(set(config) - known)
        if unknown:
            raise ValueError(f"`config` must hold constructor arguments of {cls.__name__}. Received: {unknown}")
        super().__init__(name=cls.__name__)
        self.cls, self.config, self.uses_return = cls, config, False
        self.makers = {name: _maker(value) for name, value in config.items()}

    def arguments(self, hp):
        """Constructor arguments, and the learning rate or `None`, that `hp` stands for."""
        for name, value in self.config.items():
            if isinstance(value, (bool, int, float, str)):
                # a hyperparameter that exists already is not drawn
                hp.Fixed(name, value)
        drawn = dict(self.cls.search_space(hp))
        rate = drawn.pop("learning_rate", None)
        return {**drawn, **{name: make() for name, make in self.makers.items()}}, rate

    def build(self, hp):
        """A compiled model with the drawn arguments."""
        arguments, rate = self.arguments(hp)
        model = self.cls(**arguments)
        if rate is not None:
            set_learning_rate(model, rate)
        if model.optimizer is not None:
            # with its variables, which a checkpoint of the best epoch holds too
            model.optimizer.build(model.trainable_variables)
        return model

    def fit(self, hp, model, *args, **kwargs):
        """Check the data, then train. Data that the method refuses end the search, since every trial would fail."""
        if kwargs.get("x") is not None and not takes_environment(self.cls):
            try:
                model.check(kwargs["x"], kwargs.get("y"))
            except ValueError as error:
                raise keras_tuner.errors.FatalValueError(str(error)) from error
        history = model.fit(*args, **kwargs)
        return mean_return(history) if self.uses_return else history


def mean_return(history):
    """What an agent's search maximises: the mean return over the last quarter of training, `{"return": value}`.

    Raises:
        FatalValueError: if the history logs no return or reward.
        FailedTrialError: if no episode ended.
    """
    key = next((key for key in history.history if "return" in key or "reward" in key), None)
    if key is None:
        raise keras_tuner.errors.FatalValueError(f"`objective` must be one of {sorted(history.history)}. Received: 'auto'")
    late = history.history[key][-max(len(history.history[key]) // 4, 1) :]
    # an epoch in which no episode ended logs NaN
    values = [float(value) for value in late if math.isfinite(value)]
    if not values:
        raise keras_tuner.errors.FailedTrialError("no episode ended late in training; play more steps")
    return {"return": fmean(values)}


def set_learning_rate(model, rate):
    """Set the learning rate of a model's optimizer; of all parts of a `MultiOptimizer`; the initial one of a schedule."""
    optimizer = model.optimizer
    if optimizer is None:
        return
    parts = [optimizer]
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        optimizer.build(model.trainable_variables)
        parts = optimizer.optimizers
    for part in parts:
        schedule = part.get_config().get("learning_rate")
        if isinstance(schedule, dict):
            if "initial_learning_rate" not in schedule["config"]:
                raise ValueError(f"`learning_rate` must be a number or a schedule that starts at one. Received: {schedule['class_name']}")
            schedule["config"]["initial_learning_rate"] = rate
            part.learning_rate = keras.optimizers.schedules.deserialize(schedule)
        else:
            part.learning_rate = rate


def _maker(value):
    """A function that gives `value` anew for each trial; models and layers come back with the weights they have now."""
    if not isinstance(value, (keras.Layer, keras.optimizers.Optimizer)):
        return lambda: value
    serialized = keras.saving.serialize_keras_object(value)
    weights = value.get_weights() if isinstance(value, keras.Layer) and value.built else None

    def make():
        copy = keras.saving.deserialize_keras_object(serialized)
        if weights is not None:
            copy.set_weights(weights)
        return copy

    return make
