"""TensorFlow Serving's gRPC services: `PredictionService` (Predict, GetModelMetadata) and `ModelService` (GetModelStatus)."""

import math
from concurrent.futures import ThreadPoolExecutor

from zoo.serving import protocol
from zoo.serving.limits import Deadline, RequestError
from zoo.serving.saved_model import describe, shape_fits

try:
    import grpc
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc, predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc as prediction
except ImportError as error:
    raise ImportError("gRPC needs tensorflow-serving-api: pip install 'zoo-keras[serve]'") from error

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_MOST_CALLS = 64


def listen(zoo, port):
    """Open the port.

    Args:
        zoo: the `Server` that answers.
        port: 0 takes a free one.

    Returns:
        The gRPC server, not yet started, and its port.

    Raises:
        OSError: if the port is taken.
    """
    # a call is read on its thread, so that this many messages at most lie in memory
    calls = max(1, min(_MOST_CALLS, zoo.budget.size // zoo.max_body))
    milliseconds = max(1, int(1000 * zoo.timeout))
    server = grpc.server(
        ThreadPoolExecutor(calls, thread_name_prefix="grpc"),
        maximum_concurrent_rpcs=zoo.max_connections,
        options=[
            ("grpc.max_receive_message_length", zoo.max_body),
            ("grpc.max_send_message_length", -1),
            # a connection is renewed now and then, which ends calls whose message never comes
            ("grpc.max_connection_age_ms", milliseconds),
            ("grpc.max_connection_age_grace_ms", milliseconds),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction.add_PredictionServiceServicer_to_server(_Prediction(zoo), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(zoo), server)
    try:
        return server, server.add_insecure_port(f"{zoo.host}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {zoo.host}:{port} for gRPC: {error}") from None


class _Prediction(prediction.PredictionServiceServicer):
    def __init__(self, zoo):
        self.zoo = zoo

    def Predict(self, request, context):
        """Outputs of a signature."""
        return _answer(self.zoo, request, context, self._predict)

    def GetModelMetadata(self, request, context):
        """The signatures of a model."""
        return _answer(self.zoo, request, context, self._metadata)

    def _predict(self, request, deadline):
        model = _find(self.zoo.find, request.model_spec)
        signature = protocol.find_signature(model.signatures, request.model_spec.signature_name)
        with self.zoo.batchers[model.name].arrival():
            arrays = to_arrays(signature, request.inputs, self.zoo.max_numbers)
            outputs = self.zoo.predict(model, signature, arrays, deadline)
        names = set(request.output_filter) or set(outputs)
        if not names <= set(outputs):
            raise RequestError(400, f"output tensor alias not found in signature: {', '.join(sorted(names - set(outputs)))}")
        reply = predict_pb2.PredictResponse()
        _describe(reply.model_spec, model)
        reply.model_spec.signature_name = signature.name
        for name in names:
            reply.outputs[name].CopyFrom(_to_proto(outputs[name]))
        return reply

    def _metadata(self, request, deadline):
        model = _find(self.zoo.find, request.model_spec)
        if set(request.metadata_field) != {"signature_def"}:
            raise RequestError(400, f"Metadata field must be 'signature_def'. Received: {', '.join(request.metadata_field) or 'none'}")
        reply, signatures = get_model_metadata_pb2.GetModelMetadataResponse(), get_model_metadata_pb2.SignatureDefMap()
        _describe(reply.model_spec, model)
        for name, proto in model.protos.items():
            signatures.signature_def[name].CopyFrom(proto)
        reply.metadata["signature_def"].Pack(signatures)
        return reply


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, zoo):
        self.zoo = zoo

    def GetModelStatus(self, request, context):
        """The version that is served."""
        return _answer(self.zoo, request, context, self._status)

    def _status(self, request, deadline):
        model, reply = _find(self.zoo.find_status, request.model_spec), get_model_status_pb2.GetModelStatusResponse()
        state = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
        reply.model_version_status.add(version=model.version, state=state).status.error_code = 0
        return reply


def _answer(zoo, request, context, function):
    """What the function gives, or its error as a status, within the limits of the server and the deadline of the client."""
    left = context.time_remaining()
    deadline = Deadline(zoo.timeout if left is None else max(0.0, min(zoo.timeout, left)))
    try:
        with zoo.busy(), zoo.budget.share() as take:
            take(request.ByteSize())
            reply = function(request, deadline)
            take(reply.ByteSize())
            deadline.remaining()
            return reply
    except RequestError as error:
        status, message = error.status, str(error)
    except TimeoutError:
        status, message = 504, f"Deadline exceeded: no answer within {deadline.seconds:g} s"
    except Exception as error:  # noqa: BLE001 - a defect of ours must not end the call without a word
        status, message = 500, f"{type(error).__name__}: {error}"
    context.abort(_CODES[int(status)], message)


def _find(function, spec):
    version = spec.version.value if spec.HasField("version") else None
    return function(spec.name, version, spec.version_label)


def _describe(spec, model):
    spec.name = model.name
    spec.version.value = model.version


def to_arrays(signature, inputs, max_numbers):
    """NumPy arrays of the tensors in a request.

    Args:
        signature: the `Signature` that takes them.
        inputs: name -> `TensorProto`.
        max_numbers: most elements of one.

    Returns:
        Dict input name -> array.

    Raises:
        RequestError: status 400, if they are not what the signature takes; 413, if one holds too much.
    """
    if set(inputs) != set(signature.inputs):
        raise RequestError(
            400, f"The inputs must be {', '.join(sorted(signature.inputs))}. Received: {', '.join(sorted(inputs)) or 'none'}"
        )
    return {name: _to_array(spec, inputs[name], max_numbers) for name, spec in signature.inputs.items()}


def _to_array(spec, proto, max_numbers):
    import tensorflow as tf
    from tensorflow.core.framework import types_pb2

    if proto.dtype != types_pb2.DataType.Value(spec.proto_dtype):
        # protocol buffers let numbers pass that are no type
        received = types_pb2.DataType.Name(proto.dtype) if proto.dtype in types_pb2.DataType.values() else proto.dtype
        raise RequestError(400, f"Tensor {spec.name} must have type {spec.proto_dtype}. Received: {received}")
    shape = tuple(axis.size for axis in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0 or not shape_fits(spec.shape, shape):
        raise RequestError(400, f"Tensor {spec.name} must have shape {describe(spec.shape)}, but got: {shape}")
    # a shape may promise more than the message holds: what is missing is filled up
    if math.prod(shape) > max_numbers:
        raise RequestError(413, f"Tensor {spec.name} must hold at most {max_numbers} elements, but got: {shape}")
    try:
        return tf.make_ndarray(proto)
    except (OverflowError, TypeError, ValueError):
        raise RequestError(400, f"Tensor {spec.name} must hold what its shape {shape} says") from None


def _to_proto(array):
    import tensorflow as tf

    return tf.make_tensor_proto(array)
