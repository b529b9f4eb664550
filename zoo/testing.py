"""The contract of every method as named checks. Whoever adds a method, here or in a package of their own, runs the same ones.

Example:
    for name, check in zoo.testing.checks(MyMethod):
        check()
"""

import inspect
import json
import tempfile
from functools import cached_property, partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from zoo import index
from zoo.model import Model

TOLERANCE = 1e-5


def checks(cls):
    """Named checks of the contract for `cls`, a final subclass of `zoo.Model`.

    Returns:
        List of (name, function without arguments); a function raises `AssertionError` when the contract is broken.
    """
    subject = _Subject(cls)
    return [(name, partial(function, subject)) for name, function in CHECKS.items()]


def check_application(cls):
    """Run every check of the contract on `cls`."""
    for _, check in checks(cls):
        check()


class _Subject:
    """A class under test, with one model and its outputs built once for all checks."""

    def __init__(self, cls):
        self.cls = cls

    def new(self, **overrides):
        keras.utils.set_random_seed(0)
        return self.cls(**{**self.cls.example_config(), **overrides})

    @cached_property
    def model(self):
        return self.new()

    @cached_property
    def x(self):
        return self.model.example_inputs()

    @cached_property
    def outputs(self):
        return _run(self.model, self.x)


def _run(model, x):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def _assert_equal(expected, found, tolerance=TOLERANCE):
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert a.shape == b.shape, (a.shape, b.shape)
        if a.dtype.kind == "O":
            np.testing.assert_array_equal(a, b)
            continue
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def _arguments(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD}


def check_documentation(subject):
    """The class says which paper it is, and describes every argument."""
    text = inspect.getdoc(subject.cls)
    source = inspect.getmodule(subject.cls).__doc__ or ""
    if subject.cls.__module__.startswith("zoo."):
        assert index.find(subject.cls.__name__).arxiv in source + text, "the module or class docstring must give the arXiv id"
    for name in _arguments(subject.cls):
        assert f"{name}:" in text, f"the class docstring must describe `{name}`"


def check_config(subject):
    """Every constructor argument is in the config, as plain JSON, and comes back."""
    config = subject.model.get_config()
    arguments, example = _arguments(subject.cls), subject.cls.example_config()
    assert set(config) == {*arguments, "name", "dtype"}
    restored = json.loads(json.dumps(config))
    assert restored == json.loads(json.dumps(subject.cls.from_config(restored).get_config()))
    for name, value in example.items():
        if isinstance(value, (int, float, str, bool)):
            assert config[name] == value, f"`{name}` must be kept unchanged"


def check_construction(subject):
    """All weights exist after construction, outputs are finite, and the model is compiled."""
    model = subject.new()
    before = len(model.weights)
    assert model.built and model.compiled
    outputs = _run(model, subject.x)
    assert len(model.weights) == before, "all weights must be made by the constructor"
    assert all(np.all(np.isfinite(y)) for y in outputs)


def check_fit(subject):
    """`fit` runs, gives finite losses, and moves every trainable weight to a finite value; without such weights it lowers the loss."""
    model = subject.new()
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    data = model.example_data(batch_size=4)
    history = [model.fit(**data, verbose=0) for _ in range(2)][-1]
    assert isinstance(history, keras.callbacks.History)
    assert all(np.all(np.isfinite(np.asarray(v, "float64"))) for v in history.history.values()), history.history
    assert "loss" in history.history
    if not before:
        assert history.history["loss"][-1] < history.history["loss"][0], "what is optimised must get better"
    for variable, old in zip(model.trainable_variables, before):
        new = ops.convert_to_numpy(variable)
        assert np.all(np.isfinite(new)), f"{variable.path} is not finite after fit"
        assert np.any(new != old), f"{variable.path} got no gradient"


def check_compile(subject):
    """What is given to `compile` replaces the paper's choice; callbacks of `compile` run in `fit`."""
    model, called = subject.new(), []
    model.compile(optimizer=keras.optimizers.SGD(1e-4), callbacks=[keras.callbacks.LambdaCallback(on_train_begin=called.append)])
    assert type(model.optimizer) is keras.optimizers.SGD
    model.fit(**model.example_data(batch_size=4), verbose=0)
    assert called


def check_keras_file(subject):
    """A `.keras` file gives the same model, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        subject.model.save(f"{folder}/model.keras")
        loaded = keras.saving.load_model(f"{folder}/model.keras")
    assert type(loaded) is subject.cls and loaded.compiled
    assert loaded.get_config() == subject.model.get_config()
    _assert_equal(subject.outputs, _run(loaded, subject.x), 1e-6)


def check_preset(subject):
    """A preset gives the same model; overrides are constructor arguments."""
    with tempfile.TemporaryDirectory() as folder:
        subject.model.save_pretrained(f"{folder}/preset")
        loaded = subject.cls.from_pretrained(Path(folder, "preset"))
        _assert_equal(subject.outputs, _run(loaded, subject.x), 1e-6)
        _assert_raises(lambda: subject.cls.from_pretrained(Path(folder, "preset"), no_such_argument=1), "no_such_argument")


def check_export(subject):
    """Every signature of the SavedModel, at two batch sizes, equals the function it came from."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        subject.model.export(f"{folder}/model")
        loaded = tf.saved_model.load(f"{folder}/model/1")
        signatures = subject.model.signatures()
        assert "serve" in signatures
        for name, (function, fields) in signatures.items():
            for batch_size in (2, 3):
                rng = np.random.default_rng(batch_size)
                arrays = {f.name: f.sample(batch_size, rng) for f in fields}
                tensors = {k: ops.convert_to_tensor(v) for k, v in arrays.items()}
                expected = function(tensors if len(fields) > 1 else next(iter(tensors.values())))
                found = loaded.signatures[name](**{k: tf.constant(v) for k, v in arrays.items()})
                assert set(expected) == set(found), (set(expected), set(found))
                for key in expected:
                    _assert_equal([ops.convert_to_numpy(expected[key])], [found[key].numpy()])


def check_xla(subject):
    """Training compiles with XLA, unless the class says `supports_jit = False`."""
    model = subject.new()
    if model.supports_jit:
        model.compile(jit_compile=True)
        assert np.all(np.isfinite(model.fit(**model.example_data(batch_size=4), verbose=0).history["loss"]))


def check_mixed_precision(subject):
    """The model trains under `mixed_float16`, with float32 weights."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = subject.new()
        assert all(v.dtype == "float32" for v in model.trainable_variables)
        assert np.all(np.isfinite(model.fit(**model.example_data(batch_size=4), verbose=0).history["loss"]))
        copy = subject.cls.from_config(model.get_config())
    finally:
        keras.config.set_dtype_policy(policy)
    assert copy.dtype_policy.name == "mixed_float16"


def check_search_space(subject):
    """The search space draws constructor arguments, and a model can be built from it."""
    import keras_tuner

    parameters = keras_tuner.HyperParameters()
    drawn = subject.cls.search_space(parameters)
    assert len(parameters.space) >= 2, "a search needs at least two hyperparameters"
    assert set(drawn) <= {*_arguments(subject.cls), "learning_rate"}, drawn
    subject.new(**{k: v for k, v in drawn.items() if k != "learning_rate"})


def check_bad_input(subject):
    """Bad arrays raise a `ValueError` that names the field, before anything is trained."""
    fields = subject.model.input_fields()
    arrays = subject.x if isinstance(subject.x, dict) else {fields[0].name: subject.x}
    for field in fields:
        for bad in _spoiled(field, arrays[field.name]):
            x = {**arrays, field.name: bad} if len(fields) > 1 else bad
            _assert_raises(lambda x=x: subject.model.predict(x, verbose=0), field.name)
    if len(fields) > 1:
        _assert_raises(lambda: subject.model.predict({fields[0].name: arrays[fields[0].name]}, verbose=0), fields[1].name)
    _check_bad_targets(subject)


def _check_bad_targets(subject):
    data, fields = subject.model.example_data(), subject.model.target_fields()
    if "y" not in data:
        return
    arrays = data["y"] if isinstance(data["y"], dict) else {fields[0].name: data["y"]}
    for field in fields:
        for bad in _spoiled(field, arrays[field.name]):
            y = {**arrays, field.name: bad} if len(fields) > 1 else bad
            _assert_raises(lambda y=y: subject.model.fit(**{**data, "y": y}, verbose=0), field.name)


def _spoiled(field, array):
    """Arrays that a field must refuse: rank, fixed lengths, an empty batch, not a number, out of range, text."""
    yield array[None]
    yield array[:0]
    yield np.full(array.shape, "text")
    for axis, length in enumerate(field.shape, start=1):
        if length is not None:
            yield np.concatenate([array, array[(slice(None),) * axis + (slice(0, 1),)]], axis)
    yield np.full(array.shape, np.nan)
    if field.low is not None:
        yield np.full_like(array, field.low - 1, dtype="float64" if array.dtype.kind == "f" else "int64")
    if field.high is not None:
        yield np.full_like(array, field.high + 1, dtype="float64" if array.dtype.kind == "f" else "int64")


def _assert_raises(function, word):
    try:
        function()
    except ValueError as error:
        assert word in str(error), f"the message must name `{word}`: {error}"
    else:
        raise AssertionError(f"no ValueError that names `{word}`")


CHECKS = {
    "documentation": check_documentation,
    "config": check_config,
    "construction": check_construction,
    "fit": check_fit,
    "compile": check_compile,
    "keras_file": check_keras_file,
    "preset": check_preset,
    "export": check_export,
    "xla": check_xla,
    "mixed_precision": check_mixed_precision,
    "search_space": check_search_space,
    "bad_input": check_bad_input,
}

__all__ = ["CHECKS", "Model", "check_application", "checks"]
