"""`zoo.Model`, the base class of every method, and `zoo.Field`, which describes one array that a method takes."""

import contextlib
import copy
import importlib.util
import inspect
import types
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff, trunks
from zoo.arguments import Callbacks, ClassWeight, Count, Flag, Index, Share, Verbose, checked
from zoo.training_state import TrainingState

# what names of arrays of `Model._backup` begin with in a weights file
BACKUP = "backup_"
# texts that `Field.sample` draws from: known words, punctuation, other scripts, and nothing
_WORDS = ("the", "cat", "sat", "on", "a", "mat", ",", "unheard-of", "Été", "")


@dataclass(frozen=True)
class Field:
    """One named array that a method takes.

    Args:
        name: key of the array in a dict input, and its name in an exported signature.
        shape: shape without the batch axis; `None` marks a free axis.
        dtype: `"float32"`, `"int32"`, another NumPy dtype name, or `"string"` in signatures that take text.
        low: smallest legal value, or `None`.
        high: largest legal value (inclusive), or `None`.
        example: lengths that `example_inputs` gives to the free axes, in order.
        optional: whether `fit` may be called without it (targets only).
    """

    name: str
    shape: tuple = ()
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    example: tuple = field(default=())
    optional: bool = False

    def sample(self, batch_size, rng):
        """A random legal array of shape `(batch_size, *shape)`."""
        free = iter(self.example)
        shape = (batch_size, *(next(free, 8) if n is None else n for n in self.shape))
        low = 0 if self.low is None else self.low
        if self.dtype == "string":
            return np.array([" ".join(rng.choice(_WORDS, 6)) for _ in range(int(np.prod(shape)))], object).reshape(shape)
        if "int" in self.dtype:
            return rng.integers(low, (1 if self.high is None else self.high) + 1, shape).astype(self.dtype)
        return rng.uniform(low, 1.0 if self.high is None else self.high, shape).astype(self.dtype)

    def spec(self):
        """The `keras.InputSpec` of the array with a free batch axis."""
        return keras.InputSpec(shape=(None, *self.shape), dtype=self.dtype, name=self.name)

    def check(self, array):
        """Raise a `ValueError` if `array` (NumPy) is not what this field says; whole floats may stand for integers."""
        expected = f"`{self.name}` must have shape (batch, {', '.join('any' if n is None else str(n) for n in self.shape)})"
        if array.ndim != 1 + len(self.shape) or any(n not in (None, m) for n, m in zip(self.shape, array.shape[1:])):
            raise ValueError(f"{expected}. Received: shape {array.shape}")
        if array.size == 0:
            raise ValueError(f"`{self.name}` must not be empty. Received: shape {array.shape}")
        if self.dtype == "string":
            if not all(isinstance(text, (str, bytes)) for text in array.ravel()):
                raise ValueError(f"`{self.name}` must hold strings. Received: dtype {array.dtype}")
            return
        if array.dtype.kind not in "fiub":
            raise ValueError(f"`{self.name}` must be numeric ({self.dtype}). Received: dtype {array.dtype}")
        arguments.within(self.name, array, self.low, self.high, self.dtype)
        if "int" in self.dtype and array.dtype.kind == "f" and not np.all(array == np.round(array)):
            raise ValueError(f"`{self.name}` must hold whole numbers ({self.dtype}). Received: dtype {array.dtype}")

    def convert(self, value):
        """`value` as a checked NumPy array of this field: lists and tensors become arrays, whole floats integers."""
        array = arguments.as_array(self.name, value)
        self.check(array)
        return self._plain(array)

    def _plain(self, array):
        return array.astype(self.dtype) if "int" in self.dtype and array.dtype.kind in "fb" else array


class FitLog:
    """What each `fit` of a model was given; evidence tells from it how training differed from the defaults.

    Attributes:
        records: list of dicts with `optimizer` (serialised as it was at the start), `loss`, `updates`, and what the call adds.
    """

    def __init__(self):
        self.records = []

    @contextlib.contextmanager
    def entry(self, model, **settings):
        """Holds while `model` trains; gives a dict that takes more settings, and is kept if training comes to its end."""
        optimizer, before = model.optimizer and keras.optimizers.serialize(model.optimizer), _updates(model)
        loss = "the default" if model._auto_loss else str(getattr(model.loss, "name", model.loss))
        entry = {"optimizer": _plain(optimizer), "loss": loss, **settings}
        yield entry
        # an agent may have no optimizer, or step one for each of its networks
        entry["updates"] = (model.optimizer and _updates(model) - before) or None
        self.records.append(entry)


class Model(keras.Model):
    """Base class of every method in the zoo.

    A method builds its weights in `__init__`, keeps each constructor argument under its own name and ends with `self.compile()`,
    which fills in the paper's optimizer, loss, metrics and callbacks. See CONTRIBUTING.md for the whole contract.
    """

    output_name = "output"
    # that of `fit` on arrays, where the paper has another than Keras's 32
    default_batch_size: int | None = None
    _training_state = None

    def __init_subclass__(cls, **kwargs):
        """Methods of the zoo are known to Keras's loader as `zoo>Name`."""
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("zoo."):
            keras.saving.register_keras_serializable("zoo")(cls)

    def __init__(self, name=None, dtype=None):
        """Start a method.

        Args:
            name: of the model.
            dtype: dtype policy. Layers take the global one, so any other is refused; `from_config` sets it while it builds.

        Raises:
            ValueError: if `dtype` is not the global policy.
        """
        policy = keras.config.dtype_policy()
        if dtype is not None and keras.dtype_policies.get(dtype) != policy:
            raise ValueError(f"`dtype` must be the global policy; use keras.config.set_dtype_policy. Received: {dtype}, global {policy}")
        super().__init__(name=name)
        self.fits = FitLog()

    # --- what a method tells about itself ---

    def input_fields(self):
        """The fields of `x`: a list of `zoo.Field`. One field means an array, several mean a dict by name."""
        raise NotImplementedError

    def target_fields(self):
        """The fields of `y`; an empty list for a method that learns without targets."""
        return []

    @classmethod
    def example_config(cls):
        """Small constructor arguments for tests and demonstrations."""
        return {}

    @classmethod
    def search_space(cls, hp):
        """Constructor arguments (and `learning_rate`) drawn from a `keras_tuner.HyperParameters`."""
        return {"learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")}

    def default_optimizer(self):
        """The paper's optimizer."""
        return keras.optimizers.Adam()

    def default_loss(self):
        """The paper's loss, or `None` where `objective` computes it."""
        return None

    def default_metrics(self):
        """The paper's metrics, or `None`."""
        return None

    def default_callbacks(self):
        """Callbacks that every `fit` runs."""
        return []

    # --- examples and checks, derived from the fields ---

    @checked
    def example_inputs(self, batch_size: Count = 2):
        """A small valid `x`, drawn from the input fields with a fixed seed."""
        return _example(self.input_fields(), batch_size, seed=0)

    @checked
    def example_data(self, batch_size: Count = 2):
        """Keyword arguments of a small `fit`."""
        data = {"x": self.example_inputs(batch_size)}
        if self.target_fields():
            data["y"] = _example(self.target_fields(), batch_size, seed=1)
        return data

    def example_calls(self):
        """A small valid call of every public verb, its keyword arguments by the verb's name.

        The contract makes each call, and then spoils its arguments one by one. `None` stands for a verb that the model as it is
        configured does not have.
        """
        data = self.example_data(batch_size=4)
        return {"fit": {**data, "verbose": 0}, "evaluate": {**data, "verbose": 0}, "predict": {"x": self.example_inputs(), "verbose": 0}}

    def check(self, x, y=None):
        """Raise a `ValueError` if `x` or `y` cannot be what the method takes. Of datasets `prepared` checks the first batch, not this."""
        if is_stream(x):
            return
        _check(self.input_fields(), x, "x")
        if y is not None and self.target_fields():
            _check(self.target_fields(), y, "y")
            _check_rows({**_by_name(self.input_fields(), x), **_by_name(self.target_fields(), y)})

    def prepared(self, x, y=None):
        """`x` and `y` as Keras takes them, checked: lists become arrays, whole floats integers where a field says so.

        Of a dataset, a `PyDataset`, a data loader or a generator the first batch is checked; it is not lost.

        Raises:
            ValueError: if `check` refuses them.
        """
        if not is_stream(x):
            x = _arrays(self.input_fields(), x, "x")
            y = y if y is None or not self.target_fields() else _arrays(self.target_fields(), y, "y")
            self.check(x, y)
            return _plain_arrays(self.input_fields(), x), _plain_arrays(self.target_fields(), y)
        batch, x = _peek(x)
        if batch is not None:
            first, targets, _ = keras.utils.unpack_x_y_sample_weight(batch)
            self.check_batch(first, targets if self._auto_loss else None)
        return x, y

    def prepared_targets(self, y):
        """`y` as Keras takes it, checked as in `prepared`."""
        _check(self.target_fields(), y, "y")
        return _plain_arrays(self.target_fields(), _arrays(self.target_fields(), y, "y"))

    def check_batch(self, x, y=None):
        """`check` for the first batch of a dataset; a method whose datasets hold something else than its fields says so here."""
        self.check(x, y)
        for spec in self.input_fields():
            array = _by_name(self.input_fields(), x).get(spec.name)
            if "int" in spec.dtype and array is not None and arguments.as_array(spec.name, array).dtype.kind == "f":
                raise ValueError(f"`{spec.name}` must be {spec.dtype} in a dataset. Received: {array.dtype}")

    # --- construction and configuration ---

    def build(self, input_shape=None):
        """All weights exist after construction; nothing is left to build."""
        self.built = True

    def get_config(self):
        """The constructor's arguments, read from the attributes of the same names."""
        arguments = {name: _plain(getattr(self, name)) for name in _constructor_arguments(type(self))}
        return {**arguments, "name": self.name, "dtype": keras.saving.serialize_keras_object(self.dtype_policy)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild from `get_config`: the architecture alone, also of a pretrained trunk, since weights follow from the model's own file."""
        config = dict(config)
        for key, value in config.items():
            if isinstance(value, dict) and "class_name" in value:
                # a copy: Keras empties the config of a functional model while it reads it
                config[key] = keras.saving.deserialize_keras_object(copy.deepcopy(value), custom_objects=custom_objects)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config.pop("dtype", before))
        try:
            with trunks.architecture_only():
                return cls(**config)
        finally:
            keras.config.set_dtype_policy(before)

    # --- compiling and training ---

    def compile(self, optimizer="auto", loss="auto", metrics="auto", callbacks="auto", **kwargs):
        """Configure training; `"auto"` means the paper's own choice, anything else replaces it (`None` keeps Keras's meaning).

        Args:
            optimizer: a Keras optimizer, its name, or `"auto"`.
            loss: a Keras loss, its name, `None`, or `"auto"`.
            metrics: a list of metrics, `None`, or `"auto"`.
            callbacks: a list of callbacks that every `fit` runs, or `"auto"`.
            **kwargs: passed to `keras.Model.compile` (`jit_compile`, `steps_per_execution`, ...).
        """
        # no dict, in which Keras would find the optimizer once more and store it among the weights
        self._compile_arguments = types.MappingProxyType({"optimizer": optimizer, "loss": loss, "metrics": metrics, **kwargs})
        self._callbacks = self.default_callbacks() if _is_auto(callbacks) else list(callbacks or [])
        super().compile(
            optimizer=self.default_optimizer() if _is_auto(optimizer) else optimizer,
            loss=self.default_loss() if _is_auto(loss) else loss,
            metrics=self.default_metrics() if _is_auto(metrics) else metrics,
            **kwargs,
        )
        self._auto_loss = _is_auto(loss)
        # the constructor, which ends here, has made all weights
        self.built = True

    def get_compile_config(self):
        """What `compile` was given; `"auto"` stays `"auto"`, callbacks are not saved."""
        return {key: keras.saving.serialize_keras_object(value) for key, value in self._compile_arguments.items()}

    def compile_from_config(self, config):
        """Repeat the `compile` of a saved model."""
        self.compile(**{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()})
        if getattr(self, "optimizer", None) is not None:
            self.optimizer.build(self.trainable_variables)

    @checked
    def fit(
        self,
        x=None,
        y=None,
        batch_size: Count | None = None,
        epochs: Count = 1,
        verbose: Verbose = "auto",
        callbacks: Callbacks | None = None,
        validation_split: Share = 0.0,
        validation_data=None,
        shuffle: Flag = True,
        class_weight: ClassWeight | None = None,
        sample_weight=None,
        initial_epoch: Index = 0,
        steps_per_epoch: Count | None = None,
        validation_steps: Count | None = None,
        validation_batch_size: Count | None = None,
        validation_freq: Count = 1,
    ) -> keras.callbacks.History:
        """`keras.Model.fit` with checked arguments; callbacks given to `compile` run as well.

        Targets are checked while the loss is the paper's; another loss may take other targets.
        """
        if class_weight is not None and y is None and not is_stream(x):
            raise ValueError(f"`class_weight` must be None without targets. Received: {class_weight}")
        x, y = self._for_training(x, y, sample_weight)
        if batch_size is None and not is_stream(x):
            batch_size = self.default_batch_size
        options = {
            "batch_size": batch_size,
            "epochs": epochs,
            "verbose": verbose,
            "validation_split": validation_split,
            "validation_data": self._for_validation(validation_data),
            "shuffle": shuffle,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "initial_epoch": initial_epoch,
            "steps_per_epoch": steps_per_epoch,
            "validation_steps": validation_steps,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return super().fit(x, y, callbacks=callbacks, **options)
        given = [type(callback).__name__ for callback in callbacks or []]
        with self.fits.entry(self, batch_size=batch_size, callbacks=given) as entry:
            history = super().fit(x, y, callbacks=self._resumable([*self._callbacks, *(callbacks or [])], x), **options)
            entry["epochs"] = len(history.epoch)
        return history

    def _resumable(self, callbacks, x=None):
        """The callbacks of a `fit`; with a `BackupAndRestore` among them, `save_weights` holds the state of the training as well.

        It comes last, so that it restores what others begin with and saves what they have changed.
        """
        backups = [callback for callback in callbacks if isinstance(callback, keras.callbacks.BackupAndRestore)]
        self._training_state = None
        if not backups:
            return callbacks
        others = [callback for callback in callbacks if callback not in backups]
        self._training_state = TrainingState(self, others, x)
        return [*others, *backups]

    @checked
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size: Count | None = None,
        verbose: Verbose = "auto",
        sample_weight=None,
        steps: Count | None = None,
        callbacks: Callbacks | None = None,
        return_dict: Flag = False,
        **kwargs,
    ):
        """`keras.Model.evaluate` with checked arguments."""
        if not kwargs.get("_use_cached_eval_dataset"):
            # within `fit`, which has checked them already, Keras goes on with the data of the first evaluation
            x, y = self._for_training(x, y, sample_weight)
        return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict, **kwargs)

    @checked
    def predict(
        self,
        x,
        batch_size: Count | None = None,
        verbose: Verbose = "auto",
        steps: Count | None = None,
        callbacks: Callbacks | None = None,
    ):
        """`keras.Model.predict` with checked arguments."""
        return super().predict(self.prepared(x)[0], batch_size, verbose, steps, callbacks)

    def _graph(self, key, function):
        """`function` compiled for a verb, once for each key."""
        return autodiff.compiled_once(self, key, function)

    def _for_training(self, x, y, sample_weight=None):
        """`prepared`, with targets where the paper's loss needs them, and with weights that are finite numbers."""
        is_single = sample_weight is not None and not isinstance(sample_weight, (dict, list))
        weights = arguments.numbers("sample_weight", sample_weight) if is_single else None
        if weights is not None and not weights.ndim:
            arguments.refuse("sample_weight", "an array with a weight for each row", sample_weight)
        is_ignored = y is not None and self._auto_loss and not self.target_fields() and not is_stream(x)
        if is_ignored and arguments.as_array("y", y).dtype.kind not in "fiub":
            # Keras makes tensors of them all the same
            arguments.refuse("y", "None or numbers, since the method learns without targets", y)
        missing = [field.name for field in self.target_fields() if not field.optional]
        if self._auto_loss and missing and y is None and not is_stream(x):
            raise ValueError(f"`y` must be given, with {missing}. Received: None")
        x, y = self.prepared(x, y) if self._auto_loss or is_stream(x) else (self.prepared(x)[0], y)
        if weights is not None and not is_stream(x):
            _check_rows({**_by_name(self.input_fields(), x), "sample_weight": weights})
            # Keras drops weights of data without targets
            y = np.zeros(len(weights), "float32") if y is None else y
        return x, y

    def _for_validation(self, data):
        if data is None or is_stream(data):
            return None if data is None else self._for_training(data, None)[0]
        parts = arguments.listed("validation_data", data, "a dataset, or a tuple of x, y and perhaps weights")
        if len(parts) > 3:
            arguments.refuse("validation_data", "a dataset, or a tuple of x, y and perhaps weights", data)
        x, y, weights = (*parts, None, None)[:3]
        x, y = self._for_training(x, y, weights)
        return (x, y) if weights is None else (x, y, weights)

    def objective(self, x, y, y_pred, sample_weight, training):
        """The paper's objective, a scalar, where a Keras loss cannot say it. Used while `loss` is `"auto"`."""
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Keras's hook: the paper's `objective` if the method has one, else the compiled loss."""
        if type(self).objective is Model.objective or not self._auto_loss:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        # read first: further passes inside `objective` would make the layers forget what the forward pass added
        extras = self.losses
        loss = self.objective(x, y, y_pred, sample_weight, training)
        for extra in extras:
            loss = loss + ops.cast(extra, loss.dtype)
        return autodiff.per_replica(loss)

    # --- files, presets and export ---

    def save_own_variables(self, store):
        """Keras's hook: the model's own variables, and the state of a training that is backed up."""
        super().save_own_variables(store)
        if self._training_state is not None:
            store["training_state"] = np.frombuffer(self._training_state.collect(), "uint8")
            for name, array in self._backup().items():
                store[f"{BACKUP}{name}"] = array

    def load_own_variables(self, store):
        """Keras's hook: what `save_own_variables` wrote; the state only where a training goes on."""
        content = {key: store[key] for key in store.keys()}
        state = content.pop("training_state", None)
        backup = {key.removeprefix(BACKUP): content.pop(key) for key in list(content) if key.startswith(BACKUP)}
        super().load_own_variables(content)
        if state is not None and self._training_state is not None:
            self._restore_backup({name: np.asarray(array) for name, array in backup.items()})
            # last: what is restored before it may draw random numbers
            self._training_state.restore(np.asarray(state).tobytes())

    def _backup(self):
        """Arrays by name that a backed-up training needs besides weights, optimizer and `TrainingState`, such as an agent's memory."""
        return {}

    def _restore_backup(self, arrays):
        """Take what `_backup` gave."""

    def save(self, filepath, *args, **kwargs):
        """`keras.Model.save`, with an optimizer that has all its variables even before the first `fit`."""
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        super().save(filepath, *args, **kwargs)

    @classmethod
    def from_pretrained(cls, preset, load_weights=True, **overrides):
        """Load a preset.

        Args:
            preset: name of a shipped preset, a local folder, or an address (`https://`, `hf://`, `kaggle://`).
            load_weights: `False` gives the architecture alone.
            **overrides: constructor arguments to change; weights whose shape changes start anew, and a warning lists them.

        Returns:
            A compiled model of this class.

        Raises:
            ValueError: if the preset is unknown, damaged, or of another class.
        """
        from zoo import presets

        return presets.load(preset, expected=cls, load_weights=load_weights, **overrides)

    def save_pretrained(self, path, half_precision=False):
        """Write config, weights, a golden example and checksums to the folder `path`, atomically.

        Args:
            path: the folder; an existing preset there is replaced as a whole.
            half_precision: store the weights as float16 (half the size; loads into float32).
        """
        from zoo import presets

        presets.save(self, path, half_precision=half_precision)

    def signatures(self):
        """Named functions of the exported SavedModel: name -> (function, fields). Functions return dicts of tensors."""
        return {"serve": (self._serve, self.input_fields())}

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Export for serving. A SavedModel carries every function of `signatures()`; other formats are Keras's own.

        Args:
            filepath: target folder (or file, as the format says).
            format: `"tf_saved_model"`, `"onnx"`, `"litert"`, `"openvino"`.
            verbose: whether to print the signatures.
            input_signature: replaces the derived one; the SavedModel then has Keras's single `serve`.
            **kwargs: passed to `keras.Model.export`.

        Raises:
            ImportError: if a package that the format needs is not installed.
        """
        _require_packages(format)
        if format == "tf_saved_model" and input_signature is None and not kwargs:
            from zoo import serving

            return serving.export(self, filepath, verbose=bool(verbose))
        if input_signature is None:
            specs = [f.spec() for f in self.input_fields()]
            input_signature = specs if len(specs) == 1 else [{s.name: s for s in specs}]
        return super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)

    def _serve(self, x):
        outputs = self(x, training=False)
        return outputs if isinstance(outputs, dict) else {self.output_name: outputs}


def _require_packages(format):
    """What Keras imports for a format in the midst of an export, with messages that do not say how to get it."""
    onnx = ["onnx", {"jax": "jax2onnx"}.get(keras.backend.backend(), "tf2onnx")]
    missing = [name for name in {"onnx": onnx, "openvino": ["openvino"]}.get(format, []) if importlib.util.find_spec(name) is None]
    if missing:
        command = "'zoo-keras[onnx]'" if format == "onnx" and "jax2onnx" not in missing else " ".join(missing)
        raise ImportError(f"export(format={format!r}) needs {' and '.join(missing)}: pip install {command}")


def _constructor_arguments(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD]


def _plain(value):
    """Attributes as JSON takes them: Keras's tracked containers become plain ones, Keras objects are serialised."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, (keras.Layer, keras.Initializer, keras.optimizers.Optimizer, keras.Loss)):
        return _plain(keras.saving.serialize_keras_object(value))
    return value


def _updates(model):
    """Steps of the optimizer so far, if it has one; the counter has a copy on each replica."""
    return model.optimizer and int(ops.convert_to_numpy(model.optimizer.iterations))


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


def _example(fields, batch_size, seed):
    rng = np.random.default_rng(seed)
    arrays = {f.name: f.sample(batch_size, rng) for f in fields}
    return arrays if len(fields) > 1 else arrays[fields[0].name]


def _check(fields, data, argument):
    data = _arrays(fields, data, argument)
    for spec in fields:
        if spec.name in _by_name(fields, data):
            spec.check(_by_name(fields, data)[spec.name])
    _check_rows(_by_name(fields, data))


def _arrays(fields, data, argument):
    """NumPy arrays of what is given for the fields, one or a dict by name, not yet checked."""
    names = [spec.name for spec in fields]
    if len(fields) == 1:
        return arguments.as_array(names[0], data)
    if not isinstance(data, dict):
        raise ValueError(f"`{argument}` must be a dict with the keys {names}. Received: {arguments.shown(data)}")
    if not {spec.name for spec in fields if not spec.optional} <= set(data) <= set(names):
        raise ValueError(f"`{argument}` must hold the keys {names}. Received: {sorted(map(str, data))}")
    return {name: arguments.as_array(name, array) for name, array in data.items() if array is not None or name in _required(fields)}


def _required(fields):
    return [spec.name for spec in fields if not spec.optional]


def _by_name(fields, data):
    return data if isinstance(data, dict) else {fields[0].name: data}


def _check_rows(arrays):
    """Refuse arrays with different numbers of rows."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        names = " and ".join(f"`{name}`" for name in lengths)
        raise ValueError(f"{names} must have the same number of rows. Received: {', '.join(map(str, lengths.values()))}")


def _plain_arrays(fields, data):
    if data is None or not fields:
        return data
    if not isinstance(data, dict):
        return fields[0]._plain(data)
    return {spec.name: spec._plain(data[spec.name]) for spec in fields if spec.name in data}


def is_stream(data):
    """Whether `data` gives its batches one by one: a `PyDataset`, a `tf.data.Dataset`, a data loader or a generator."""
    if isinstance(data, (keras.utils.PyDataset, types.GeneratorType)) or hasattr(data, "element_spec"):
        return True
    return type(data).__module__.split(".")[0] in ("torch", "grain") and not hasattr(data, "shape")


def _peek(stream):
    """The first batch of a stream, or `None` where it cannot be had, and a stream that still has it."""
    if isinstance(stream, keras.utils.PyDataset):
        return stream[0], stream
    if isinstance(stream, types.GeneratorType):
        first = next(stream, None)
        if first is None:
            raise ValueError("`x` must give at least one batch. Received: a generator at its end")
        return first, _with_first(first, stream)
    if hasattr(stream, "element_spec") and not hasattr(stream, "take"):
        # distributed over replicas, each of which sees its part
        return None, stream
    return next(iter(stream.take(1) if hasattr(stream, "take") else stream), None), stream


def _with_first(first, rest):
    # a generator, which `itertools.chain` is not to Keras
    yield first
    yield from rest
