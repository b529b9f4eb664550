"""TensorFlow Serving's REST protocol as pure functions: request bodies to arrays, arrays to response bodies, by NumPy and orjson alone.

Formats and messages follow its documentation (https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import json
import re
from dataclasses import dataclass

import numpy as np

from zoo.serving import numbers
from zoo.serving.limits import RequestError
from zoo.serving.saved_model import describe, shape_fits

DEFAULT_SIGNATURE = "serving_default"
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]{1,19})|/labels/(?P<label>[^/:]+))?"
POST_PATH = re.compile(rf"(?i:{_MODEL}):(?P<method>(?i:classify|regress|predict))")
GET_PATH = re.compile(rf"(?i:{_MODEL})(?P<metadata>/(?i:metadata))?")


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


def parse_predict(body, signatures, max_numbers=None):
    """Read the body of a `:predict` request.

    Args:
        body: bytes.
        signatures: name -> `Signature` of the model.
        max_numbers: most values and lists that it may hold.

    Returns:
        A `PredictRequest`.

    Raises:
        RequestError: status 400, if the body is not what TensorFlow Serving takes; 413, if it holds too much.
    """
    document = _parse_json(body, max_numbers)
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise RequestError(400, "'signature_name' key must be a string value.")
    signature = find_signature(signatures, name)
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


def find_signature(signatures, name):
    """The signature of a name; no name means the default one.

    Raises:
        RequestError: status 400, if there is none.
    """
    signature = signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        found = ", ".join(sorted(signatures))
        raise RequestError(400, f'Serving signature name: "{_short(name)}" not found in signature def (it has {found})')
    if not signature.inputs:
        raise RequestError(400, f"Failed to get input map for signature: {name}")
    return signature


def _parse_json(body, max_numbers):
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    # counted in the text: parsing costs up to a hundred bytes for each
    if max_numbers is not None and len(body) > max_numbers and sum(map(body.count, (b",", b"[", b"{"))) > max_numbers:
        raise RequestError(413, f"The request must hold at most {max_numbers} numbers, texts and lists")
    try:
        document = numbers.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {_short(error)}") from None
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {_short(body[:300].decode(errors='replace'))} Is not object")
    return document


def _columns_of_instances(instances, signature):
    """Row format: a list of values for one input, or a list of objects by input name."""
    names = sorted(signature.inputs)
    if isinstance(instances, numbers.Flat) and len(names) == 1:
        return {names[0]: instances}
    if isinstance(instances, numbers.Flat):
        instances = instances.nested()
    if not isinstance(instances, list):
        raise RequestError(400, "Expecting 'instances' to be an list/array")
    if not instances:
        raise RequestError(400, f"No values in 'instances' array (inputs {', '.join(names)})")
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
    try:
        shape, items = numbers.flatten(value)
    except ValueError as error:
        level, length = error.args
        message = f"Encountered list at unexpected size at level: {level} expected size: {length} (input {spec.name})"
        raise RequestError(400, message) from None
    if not shape_fits(spec.shape, shape):
        raise RequestError(400, f"Tensor {spec.name} must have shape {describe(spec.shape)}, but got: {shape}")
    if spec.dtype is object:
        return np.fromiter((_decode_string(spec, item) for item in items), object, len(items)).reshape(shape)
    return _numbers(spec, items).reshape(shape)


def _decode_string(spec, item):
    if isinstance(item, str):
        try:
            return item.encode()
        except UnicodeEncodeError:
            raise RequestError(400, f"A text with a lone surrogate is no text (input {spec.name})") from None
    if _is_base64(item):
        try:
            return base64.b64decode(item["b64"], validate=True)
        except ValueError:
            raise RequestError(400, f"Unable to base64 decode (input {spec.name})") from None
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
        raise _lossy_error(spec, "a number beyond float64", dtype) from None
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
    if not is_row_format:
        columns = {name: _writable(name, array) for name, array in sorted(outputs.items())}
        return numbers.dumps({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    _require_common_rows(outputs)
    if len(outputs) == 1:
        return numbers.dumps({"predictions": _writable(*next(iter(outputs.items())))})
    columns = {name: _rows(name, array) for name, array in sorted(outputs.items())}
    return numbers.dumps({"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]})


def _require_common_rows(outputs):
    batch_size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise RequestError(400, f"Tensor name: {name} has no shape information (a scalar output; ask with 'inputs')")
        if batch_size not in (None, len(array)):
            raise RequestError(400, f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch_size}")
        batch_size = len(array)


def _writable(name, array):
    return _texts(name, array) if array.dtype == object else numbers.writable(array)


def _rows(name, array):
    return _texts(name, array) if array.dtype == object else numbers.rows(array)


def _texts(name, array):
    as_bytes = name.endswith("_bytes")
    return np.array(np.frompyfunc(lambda item: _encode_string(item, as_bytes), 1, 1)(array), object).tolist()


def _encode_string(item, as_bytes):
    if not as_bytes:
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(item).decode()}


def encode_error(message):
    """The body of an error: `{"error": message}`."""
    return numbers.dumps({"error": str(message).encode(errors="replace").decode()})


def encode_status(versions):
    """The body that answers a status request: every version is available."""
    ok = {"error_code": "OK", "error_message": ""}
    return numbers.dumps({"model_version_status": [{"version": str(v), "state": "AVAILABLE", "status": ok} for v in versions]}, indent=True)


def encode_metadata(name, version, definitions):
    """The body that answers a metadata request, the `signature_def` of the model."""
    signatures = {
        key: {"inputs": _infos(s.inputs), "outputs": _infos(s.outputs), "method_name": s.method} for key, s in sorted(definitions.items())
    }
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return numbers.dumps({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}, indent=True)


def _infos(specs):
    return {name: {"dtype": s.proto_dtype, "tensor_shape": _tensor_shape(s.shape), "name": s.tensor} for name, s in specs.items()}


def _tensor_shape(shape):
    return {"dim": [{"size": str(-1 if n is None else n), "name": ""} for n in shape or ()], "unknown_rank": shape is None}
