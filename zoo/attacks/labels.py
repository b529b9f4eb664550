"""What classes may be given as."""

from keras import ops


def as_numbers(y):
    """Classes `(batch,)` int32 of such classes, or of rows `(batch, classes)` with one 1."""
    y = ops.convert_to_tensor(y)
    return ops.cast(ops.argmax(y, axis=-1) if len(y.shape) == 2 else y, "int32")
