"""The contract of every method as named checks. Whoever adds a method, here or in a package of their own, runs the same ones.

Example:
    for name, check in zoo.testing.checks(MyMethod):
        check()
"""

import inspect
import json
import tempfile
import types
from functools import cached_property, partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from zoo import arguments, index
from zoo.arguments import Described, Expected
from zoo.model import Model

TOLERANCE = 1e-5
# how far wrong numbers are outside of a field: next to it may be a label that a method ignores
BEYOND = 1001


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
    if keras.backend.backend() == "tensorflow":
        # that callbacks run is no matter of the backend, and JAX takes long to compile
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
    """Training compiles with XLA, unless the class says `supports_jit = False`. On JAX every `fit` does."""
    model = subject.new()
    if model.supports_jit and keras.backend.backend() == "tensorflow":
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
    yield np.full(array.shape, 1e300)
    if "int" in field.dtype:
        yield np.full(array.shape, 0.5)
    if field.low is not None:
        yield np.full_like(array, field.low - BEYOND, dtype="float64" if array.dtype.kind == "f" else "int64")
    if field.high is not None:
        yield np.full_like(array, field.high + BEYOND, dtype="float64" if array.dtype.kind == "f" else "int64")


def check_verbs(subject):
    """Every public verb has a valid example call, and refuses wrong arguments with a `ValueError` that names them."""
    model = subject.new()
    calls = model.example_calls()
    assert set(calls) == set(verbs(subject.cls)), f"`example_calls` must have {sorted(verbs(subject.cls))}"
    for verb, call in calls.items():
        if call is not None:
            getattr(model, verb)(**call)
    outcomes = [(outcome(model, *spoiled), *spoiled) for spoiled in spoiled_calls(model)]
    wrong = [f"{found}: {verb}({argument}={arguments.shown(bad)})" for found, verb, _, argument, bad in outcomes if found != "named"]
    assert not wrong, "\n".join(wrong)


def verbs(cls):
    """Names of the public verbs of a method: what it adds to `zoo.Model`, and `fit`, `evaluate` and `predict`."""
    own = [item for base in cls.__mro__ if base not in Model.__mro__ for item in vars(base).items()]
    is_verb = lambda value: isinstance(value, (types.FunctionType, classmethod, staticmethod))  # noqa: E731
    added = [name for name, value in own if is_verb(value) and not (name.startswith("_") or name.endswith("_fields"))]
    added = [name for name in added if not hasattr(Model, name)]
    return list(dict.fromkeys(["fit", "evaluate", "predict", *added]))


def expected_of(model, verb):
    """What the arguments of a verb may be, `Expected` by name: by its annotations, by Keras's where it passes arguments on to Keras."""
    found = arguments.expectations(getattr(model, verb))
    if verb in ("fit", "evaluate", "predict") and "x" in inspect.signature(getattr(Model, verb)).parameters:
        described = {"x": Expected(arguments.Inputs), "y": Expected(arguments.Targets | None)}
        passed_on = "kwargs" in inspect.signature(getattr(model, verb)).parameters
        found = {**(arguments.expectations(getattr(Model, verb)) if passed_on else {}), **described, **found}
    return found


def spoiled_calls(model):
    """Calls with one wrong argument: (verb, valid keyword arguments, name of the argument, the wrong value)."""
    for verb, call in model.example_calls().items():
        if call is None:
            continue
        parameters = inspect.signature(getattr(model, verb)).parameters
        expected = expected_of(model, verb)
        for name in dict.fromkeys([*call, *(key for key in expected if key in parameters or key in call or verb == "fit")]):
            if name in call or name not in ("x", "y"):
                for bad in _bad_values(model, expected.get(name), call.get(name)):
                    yield verb, call, name, bad


def outcome(model, verb, call, argument, bad):
    """What a verb does with a wrong argument: `"named"`, `"other ValueError"`, `"other exception"` or `"silent"`."""
    names = [argument, *_field_names(model, expected_of(model, verb).get(argument))]
    try:
        getattr(model, verb)(**{**call, argument: bad})
    except (ValueError, TypeError) as error:
        if any(f"`{name}`" in str(error) for name in names):
            return "named"
        return "other ValueError" if isinstance(error, ValueError) else "other exception"
    except Exception:
        return "other exception"
    return "silent"


def _field_names(model, expected):
    """Names by which a message may speak of an argument: those of the fields that describe it."""
    kinds = [] if expected is None else [kind for kind in expected.kinds if isinstance(kind, Described)]
    # without a kind: data in a form of the verb's own, such as a list of batches
    fields = [*model.input_fields(), *model.target_fields()] if expected is None else []
    return [field.name for field in (*fields, *(field for kind in kinds for field in kind.fields(model)))]


# what no argument is, whatever its kind
_JUNK = (object(), np.nan, "no such thing", 1j)
_BAD = {
    arguments.count: (-1.0, 1.5, np.nan, np.inf, "3", [1, 2], 2**63, 10**5000, True, {}),
    arguments.number: (np.nan, np.inf, -np.inf, 1e300, "0.5", [0.5, 0.5], True, 1j),
    arguments.flag: ("yes", 2, np.nan, []),
    arguments.one_of: ("no such thing", np.nan, [], -17, object()),
    arguments.text: (3, ["a"], b"a", np.nan),
    arguments.texts: ("a bare string", [], [3], [None], [["a"]], 3, {"a": 1}, [np.nan], object()),
    arguments.text_lists: ("a bare string", ["a bare string"], [], [[]], [[3]], [3], 3, [[["a"]]]),
    arguments.listed: ("a bare string", [], 3, {}, object()),
    arguments.callbacks: ("no such thing", [3], 3),
    arguments.word_vectors: ("no such thing", 3, [1.0], object()),
    arguments.instance: ("no such thing", 3, [1.0], object()),
    arguments.class_weight: ("no such thing", [1, 2], {0: np.nan}, {"a": 1.0}, 3),
    arguments.sparse_matrix: ("no such thing", 3, [[1.0]], np.eye(3), object()),
    arguments.file: ("no such thing", 3, object()),
    arguments.numbers: ("abc", [], [np.nan], [np.inf], [1e300], ["a"], [[1], [1, 2]], [None], {}, object()),
}


def _bad_values(model, expected, value):
    """Wrong values for an argument."""
    if expected is None:
        yield from _JUNK
        return
    if not expected.optional:
        yield None
    kind = expected.kinds[0]
    if isinstance(kind, Described):
        yield from _bad_arrays(kind.fields(model), value, single=kind.what == "sample")
        return
    limits = {"low": kind.limits.get("low"), "above": kind.limits.get("above"), "high": kind.limits.get("high")}
    beyond = [limits["low"] is not None and limits["low"] - 1, limits["above"], limits["high"] is not None and limits["high"] + 1]
    for bad in (*_BAD[kind.check], *(limit for limit in beyond if limit is not None and limit is not False)):
        may_be_empty = kind.limits.get("empty") and bad in ([], [[]])
        if not may_be_empty and not any(_takes(other, bad) for other in expected.kinds[1:]):
            yield bad


def _takes(kind, value):
    try:
        kind("argument", value, {})
    except ValueError:
        return False
    return True


def _bad_arrays(fields, value, single):
    """Wrong arrays for fields, or for a single sample without the batch axis."""
    if value is None or not fields:
        return
    yield from (3, "text", object(), [[1], [1, 2]], {"no such field": 1})
    arrays = value if isinstance(value, dict) else {fields[0].name: np.asarray(value)[None] if single else value}
    for field in fields:
        if field.name in arrays:
            for bad in _spoiled(field, np.asarray(arrays[field.name])):
                if single and (len(bad) != 1 or bad.ndim == np.ndim(value)):
                    continue
                yield {**arrays, field.name: bad} if isinstance(value, dict) else bad[0] if single else bad
    if isinstance(value, dict) and len(fields) > 1:
        yield {**arrays, fields[-1].name: np.concatenate([arrays[fields[-1].name]] * 2)}
        yield {name: array for name, array in arrays.items() if name != fields[0].name}


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
    "verbs": check_verbs,
}

__all__ = ["CHECKS", "Model", "check_application", "checks"]
