"""Constructors take what fits or refuse it by name, whatever it is."""

import inspect

import numpy as np
import pytest

from zoo import applications, callbacks, layers

# several of which may fit an argument
VALUES = ("x", None, -1, 0, 1.5, 2.0, True, (), (1, "a"), (3, 2.5), object(), float("nan"), float("inf"), b"z", {}, {2}, np.array([2, 3]))
SMALL = {
    "MADE": {"dimensions": 4, "units": (3,)},
    "FlowVAE": {"input_dim": 6, "latent_dim": 3, "units": 5, "flow": "nice_orthogonal", "flow_length": 2},
    "GMMN": {"data_shape": (4, 3, 1), "hidden_units": (5,), "encoder_units": (4, 3), "encoder_dropout": (0.1, 0.1)},
    "AdversarialAutoencoder": applications.AdversarialAutoencoder.example_config(),
    "WTAAutoencoder": {"input_shape": (4, 3, 1), "units": 4},
    "GeneralizedAdversarialNet": {"sample_shape": (3,), "discriminator_units": (4,)},
}
PARTS = {
    layers.MaskedDense: {"units": 2},
    layers.PlanarFlow: {},
    layers.RadialFlow: {},
    layers.Coupling: {},
    layers.FlowDensity: {},
    layers.LifetimeSparsity: {},
    layers.KSparse: {"k": 2},
    layers.SwissRollPrior: {},
    layers.MixturePrior: {"means": np.zeros((1, 2)), "covariances": np.eye(2)[None]},
    layers.ScheduledSampling: {"vocabulary_size": 5, "units": 4, "embedding_size": 3},
    callbacks.ScheduledSamplingDecay: {"k": 5},
    callbacks.SampleGrid: {"folder": "samples"},
}
# of these Keras says what is wrong
KERAS = ("activation", "kernel_initializer")
CASES = [(getattr(applications, name), config) for name, config in SMALL.items()] + list(PARTS.items())


@pytest.mark.parametrize("cls, config", CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_any_value_is_taken_or_refused_by_name(cls, config):
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD or (cls is layers.MaskedDense and parameter.name in KERAS):
            continue
        for value in VALUES:
            try:
                cls(**{**config, parameter.name: value})
            except ValueError as error:
                assert f"`{parameter.name}`" in str(error), f"{parameter.name}={value!r}: {error}"
            except Exception as error:
                pytest.fail(f"{parameter.name}={value!r}: {type(error).__name__}: {error}")
