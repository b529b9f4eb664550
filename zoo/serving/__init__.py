"""SavedModel export with named signatures, reload, and a server that speaks TensorFlow Serving's REST protocol."""

from zoo.serving.archive import export as export
from zoo.serving.saved_model import SavedModel as SavedModel
from zoo.serving.saved_model import load as load
from zoo.serving.server import Server as Server
from zoo.serving.server import serve as serve
