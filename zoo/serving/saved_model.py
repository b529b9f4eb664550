"""A SavedModel whose signatures run on NumPy arrays. Needs TensorFlow, but not the class that was exported."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.serving.archive import read_fields


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Args:
        name: key in the signature.
        dtype: NumPy dtype; `object` for strings (bytes).
        shape: tuple with `None` for free axes, or `None` for an unknown rank.
        tensor: name of the tensor in the graph.
        proto_dtype: name of the TensorFlow data type, `DT_FLOAT`.
    """

    name: str
    dtype: np.dtype
    shape: tuple | None
    tensor: str
    proto_dtype: str


@dataclass(frozen=True)
class Signature:
    """One function of a SavedModel.

    Args:
        name: of the signature.
        method: what TensorFlow Serving calls it, `tensorflow/serving/predict`.
        inputs: name -> `TensorSpec`.
        outputs: name -> `TensorSpec`.
        fields: the `zoo.Field`s of the inputs, if the zoo exported it.
    """

    name: str
    method: str
    inputs: dict
    outputs: dict
    fields: tuple = ()

    @property
    def is_batched(self):
        """Whether all inputs and outputs have a free first axis, so that requests can share a run."""
        return all(spec.shape and spec.shape[0] is None for spec in (*self.inputs.values(), *self.outputs.values()))

    def check(self, arrays):
        """Raise a `ValueError` that names the input if arrays that have the shapes of the specs are not what the fields say."""
        for field in self.fields:
            field.check(arrays[field.name])
        lengths = {field.name: len(arrays[field.name]) for field in self.fields}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"`{self.fields[0].name}` and the other inputs must have the same number of rows. Received: {lengths}")


class SavedModel:
    """A loaded SavedModel; made by `zoo.serving.load`.

    Args:
        folder: the folder with `saved_model.pb`.
        name: of the model.
        version: its number.
    """

    def __init__(self, folder, name, version):
        import tensorflow as tf

        self.folder, self.name, self.version = Path(folder), name, version
        # the signatures die with the loaded object, so it is kept
        self._loaded = tf.saved_model.load(str(folder))
        self.protos = _read_protos(self.folder)
        self.definitions = _signatures(self.protos, read_fields(self.folder))
        self.signatures = {name: s for name, s in self.definitions.items() if name in self._loaded.signatures}

    def run(self, inputs, signature="serving_default"):
        """Run a signature on checked inputs.

        Args:
            inputs: dict name -> array, or one array for a signature with one input.
            signature: its name; the default one is `serve`.

        Returns:
            Dict name -> NumPy array.

        Raises:
            ValueError: if there is no such signature, or the inputs are not what it takes.
        """
        if signature not in self.signatures:
            raise ValueError(f"`signature` must be one of {sorted(self.signatures)}. Received: {signature!r}")
        specs = self.signatures[signature].inputs
        if not isinstance(inputs, dict):
            inputs = {name: inputs for name in specs} if len(specs) == 1 else {}
        if set(inputs) != set(specs):
            raise ValueError(f"`inputs` must hold the keys {sorted(specs)}. Received: {sorted(inputs)}")
        arrays = {name: _as_array(name, inputs[name]) for name in specs}
        # before a conversion could hide what is wrong
        self.signatures[signature].check(arrays)
        return self.execute({name: _checked(spec, arrays[name]) for name, spec in specs.items()}, signature)

    def execute(self, arrays, signature):
        """`run` for arrays by name that are known to be right."""
        import tensorflow as tf

        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        return {name: tensor.numpy() for name, tensor in self._loaded.signatures[signature](**tensors).items()}

    def __repr__(self):
        return f"SavedModel({self.name!r}, version {self.version}, signatures {sorted(self.signatures)})"


def load(path):
    """Load a SavedModel.

    Args:
        path: a folder of versions (the highest is loaded), or the folder of one version.

    Returns:
        A `SavedModel`.

    Raises:
        ValueError: if `path` holds no SavedModel.
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        version = int(path.name) if path.name.isdigit() else 1
        return SavedModel(path, path.resolve().parent.name if path.name.isdigit() else path.resolve().name, version)
    found = versions(path)
    if not found:
        raise ValueError(f"`path` must be a SavedModel or a folder of versions like PATH/1. Received: {path}")
    return SavedModel(path / str(found[-1]), path.resolve().name, found[-1])


def versions(path):
    """The version numbers in a folder, in order."""
    if not Path(path).is_dir():
        return []
    return sorted(int(entry.name) for entry in Path(path).iterdir() if entry.name.isdigit() and (entry / "saved_model.pb").is_file())


def _as_array(name, value):
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"`{name}` must be an array, or lists of equal length. Received: lists of different lengths") from None


def _checked(spec, array):
    given = array
    with np.errstate(over="ignore"):
        array = given.astype(spec.dtype, copy=False)
    if array.dtype.kind == "f" and given.dtype.kind in "iuf" and np.any(np.isinf(array) & np.isfinite(given)):
        raise ValueError(f"`{spec.name}` must fit into {array.dtype}. Received: up to {np.abs(given).max()}")
    if not shape_fits(spec.shape, array.shape):
        raise ValueError(f"`{spec.name}` must have shape {describe(spec.shape)}. Received: shape {array.shape}")
    return array


def shape_fits(expected, shape):
    """Whether an array of `shape` is one of the `expected` ones (`None`: any length, or any rank)."""
    return expected is None or (len(expected) == len(shape) and all(n in (None, m) for n, m in zip(expected, shape)))


def describe(shape):
    """A shape for people: `(any, 28, 28, 1)`."""
    return "any" if shape is None else f"({', '.join('any' if n is None else str(n) for n in shape)})"


def _read_protos(folder):
    """All signatures of `saved_model.pb` by name, with TensorFlow's own `__saved_model_init_op`."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = next(g for g in proto.meta_graphs if "serve" in g.meta_info_def.tags)
    return dict(graph.signature_def)


def _signatures(protos, fields):
    # the default signature is `serve` under a second name
    fields = {"serving_default": fields.get("serve", []), **fields}
    for name, proto in protos.items():
        if fields.get(name) and {field.name for field in fields[name]} != set(proto.inputs):
            raise ValueError(f"the fields of the signature {name!r} must be its inputs {sorted(proto.inputs)}. Received: {fields[name]}")
    return {
        name: Signature(name, proto.method_name, _specs(proto.inputs), _specs(proto.outputs), tuple(fields.get(name, ())))
        for name, proto in protos.items()
    }


def _specs(infos):
    from tensorflow import dtypes
    from tensorflow.core.framework import types_pb2

    specs = {}
    for name, info in sorted(infos.items()):
        shape = None if info.tensor_shape.unknown_rank else tuple(None if d.size < 0 else d.size for d in info.tensor_shape.dim)
        dtype = dtypes.as_dtype(info.dtype).as_numpy_dtype if info.dtype != types_pb2.DT_INVALID else None
        specs[name] = TensorSpec(name, dtype, shape, info.name, types_pb2.DataType.Name(info.dtype))
    return specs
