"""TensorFlow Serving's REST protocol as pure functions: request bodies to arrays, arrays to response bodies, NumPy and JSON alone.

Formats and messages follow its documentation (https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import json
import re
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np

from zoo.serving.saved_model import describe, shape_fits

DEFAULT_SIGNATURE = "serving_default"
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
POST_PATH = re.compile(rf"(?i:{_MODEL}):(?P<method>(?i:classify|regress|predict))")
GET_PATH = re.compile(rf"(?i:{_MODEL})(?P<metadata>/(?i:metadata))?")


class RequestError(Exception):
    """A request that cannot be answered: an HTTP status and a message for the client."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = HTTPStatus(status)


@dataclass(frozen=True)
class PredictRequest:
    """A parsed body of `:predict`.

    Args:
        signature: the `Signature` to run.
        arrays: input name -> array.
        is_row_format: whether the client wrote `instances` (rows) rather than `inputs` (columns).
    """

    signature: object
    arrays: dict
    is_row_format: bool


def parse_predict(body, signatures):
    """Read the body of a `:predict` request.

    Args:
        body: bytes.
        signatures: name -> `Signature` of the model.

    Returns:
        A `PredictRequest`.

    Raises:
        RequestError: status 400, if the body is not what TensorFlow Serving takes.
    """
    document = _parse_json(body)
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise RequestError(400, "'signature_name' key must be a string value.")
    signature = signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise RequestError(400, f'Serving signature name: "{name}" not found in signature def (it has {", ".join(sorted(signatures))})')
    if not signature.inputs:
        raise RequestError(400, f"Failed to get input map for signature: {name}")
    if "instances" in document and "inputs" in document:
        raise RequestError(400, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if "instances" in document:
        values, rows = _columns_of_instances(document["instances"], signature), True
    elif "inputs" in document:
        values, rows = _columns_of_inputs(document["inputs"], signature), False
    else:
        raise RequestError(400, "Missing 'inputs' or 'instances' key")
    arrays = {name: _array(signature.inputs[name], value) for name, value in values.items()}
    return PredictRequest(signature, arrays, rows)


def _parse_json(body):
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {_short(error)}") from None
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {_short(json.dumps(document))} Is not object")
    return document


def _columns_of_instances(instances, signature):
    """Row format: a list of values for one input, or a list of objects by input name."""
    if not isinstance(instances, list):
        raise RequestError(400, "Expecting 'instances' to be an list/array")
    if not instances:
        raise RequestError(400, "No values in 'instances' array")
    names = sorted(signature.inputs)
    are_objects = [_is_object(item) for item in instances]
    if not any(are_objects):
        if len(names) > 1:
            raise RequestError(
                400, f"instances is a plain list, but expecting list of objects as multiple input tensors required: {','.join(names)}"
            )
        return {names[0]: instances}
    if not all(are_objects):
        raise RequestError(400, f"Expecting object but got value/list at item {are_objects.index(False)} of input list")
    for position, item in enumerate(instances):
        if sorted(item) != names:
            raise RequestError(
                400,
                f"Failed to process element: {position} of 'instances' list. JSON object: keys {_short(','.join(sorted(item)))} "
                f"must be equal to: {','.join(names)}",
            )
    return {name: [item[name] for item in instances] for name in names}


def _columns_of_inputs(inputs, signature):
    """Column format: an object by input name, or the value itself for one input."""
    if not _is_object(inputs):
        if len(signature.inputs) > 1:
            names = ",".join(sorted(signature.inputs))
            raise RequestError(400, f"inputs is a plain value/list, but expecting an object as multiple input tensors required: {names}")
        return {next(iter(signature.inputs)): inputs}
    for name in signature.inputs:
        if name not in inputs:
            raise RequestError(400, f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in signature.inputs}


def _is_object(value):
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value):
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _array(spec, value):
    shape, items = _flatten(spec, value)
    if not shape_fits(spec.shape, shape):
        raise RequestError(400, f"Tensor {spec.name} must have shape {describe(spec.shape)}, but got: {shape}")
    if spec.dtype is object:
        return np.fromiter((_decode_string(spec, item) for item in items), object, len(items)).reshape(shape)
    return _numbers(spec, items).reshape(shape)


def _flatten(spec, value):
    """Shape and elements of a regular nested list; the elements may be anything but lists."""
    shape, level = [], value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    if len(shape) > 32:
        raise RequestError(400, f"Encountered list at unexpected level: 32 (input {spec.name})")
    items = [value]
    for depth, length in enumerate(shape):
        if any(type(item) is not list or len(item) != length for item in items):
            raise RequestError(400, f"Encountered list at unexpected size at level: {depth} expected size: {length} (input {spec.name})")
        items = [inner for item in items for inner in item]
    return tuple(shape), items


def _decode_string(spec, item):
    if isinstance(item, str):
        # surrogatepass: JSON may hold lone surrogates, which are no UTF-8
        return item.encode("utf-8", "surrogatepass")
    if _is_base64(item):
        try:
            return base64.b64decode(item["b64"], validate=True)
        except ValueError:
            raise RequestError(400, "Unable to base64 decode") from None
    raise _type_error(spec, item, "string")


def _numbers(spec, items):
    dtype = np.dtype(spec.dtype)
    wanted = {"b": {bool}, "i": {int}, "u": {int}}.get(dtype.kind, {int, float})
    if not set(map(type, items)) <= wanted:
        raise _type_error(spec, next(item for item in items if type(item) not in wanted), dtype.name)
    if dtype.kind in "iu" and items:
        limits, extremes = np.iinfo(dtype), (min(items), max(items))
        if extremes[0] < limits.min or extremes[1] > limits.max:
            raise _lossy_error(spec, extremes, dtype)
        return np.array(items, dtype)
    try:
        wide = np.array(items, "bool" if dtype.kind == "b" else "float64")
    except OverflowError:
        raise _lossy_error(spec, "an integer", dtype) from None
    with np.errstate(over="ignore"):
        array = wide.astype(dtype)
    lost = np.isinf(array) & np.isfinite(wide)
    if lost.any():
        raise _lossy_error(spec, wide[lost][0], dtype)
    return array


def _type_error(spec, item, expected):
    return RequestError(400, f"JSON Value: {_short(json.dumps(item))} is not of expected type: {expected} (input {spec.name})")


def _lossy_error(spec, value, dtype):
    return RequestError(400, f"Cannot convert JSON value: {_short(value)} to {dtype.name} without loss of precision. (input {spec.name})")


def _short(value):
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


# --- responses ---


def encode_predictions(outputs, is_row_format):
    """The body that answers a `:predict` request.

    Args:
        outputs: output name -> NumPy array.
        is_row_format: whether the request was in row format.

    Returns:
        Bytes of JSON: `predictions` (rows) or `outputs` (columns). One output stands alone, several go by name.

    Raises:
        RequestError: status 400, if outputs without a common batch axis are asked for in rows.
    """
    columns = {name: _to_json(name, array) for name, array in sorted(outputs.items())}
    if not is_row_format:
        return _dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    batch_size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise RequestError(400, f"Tensor name: {name} has no shape information (a scalar output; ask with 'inputs')")
        if batch_size not in (None, len(array)):
            raise RequestError(400, f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch_size}")
        batch_size = len(array)
    if len(columns) == 1:
        return _dump({"predictions": next(iter(columns.values()))})
    return _dump({"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]})


def _to_json(name, array):
    if array.dtype == object:
        as_bytes = name.endswith("_bytes")
        return np.array(np.frompyfunc(lambda item: _encode_string(item, as_bytes), 1, 1)(array), object).tolist()
    if array.dtype.kind in "biu" or array.dtype == "float64":
        return array.tolist()
    # through text: the shortest digits that give the same float32, 0.2 and not 0.20000000298023224
    return array.astype("float32").astype(str).astype("float64").tolist()


def _encode_string(item, as_bytes):
    if not as_bytes:
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(item).decode()}


def encode_error(message):
    """The body of an error: `{"error": message}`."""
    return _dump({"error": str(message)})


def encode_status(versions):
    """The body that answers a status request: every version is available."""
    ok = {"error_code": "OK", "error_message": ""}
    return _dump({"model_version_status": [{"version": str(v), "state": "AVAILABLE", "status": ok} for v in versions]}, indent=1)


def encode_metadata(name, version, definitions):
    """The body that answers a metadata request, the `signature_def` of the model."""
    signatures = {
        key: {"inputs": _infos(s.inputs), "outputs": _infos(s.outputs), "method_name": s.method} for key, s in sorted(definitions.items())
    }
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return _dump({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}, indent=1)


def _infos(specs):
    return {name: {"dtype": s.proto_dtype, "tensor_shape": _tensor_shape(s.shape), "name": s.tensor} for name, s in specs.items()}


def _tensor_shape(shape):
    return {"dim": [{"size": str(-1 if n is None else n), "name": ""} for n in shape or ()], "unknown_rank": shape is None}


def _dump(document, indent=None):
    return json.dumps(document, indent=indent, separators=None if indent else (", ", ": ")).encode()
