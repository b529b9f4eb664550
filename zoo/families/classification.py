"""What classifiers share, and what classifiers of images of one size add."""

from keras import ops

from zoo import autodiff
from zoo.model import Field, Model


class Classifier(Model):
    """Anything -> probabilities `(batch, num_classes)`. A method sets `num_classes`, and `class_names` if it names them."""

    output_name = "probabilities"

    def target_fields(self):
        """The class."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_loss(self):
        """Cross-entropy."""
        return "sparse_categorical_crossentropy"

    def default_metrics(self):
        """Accuracy."""
        return ["accuracy"]

    def _set_classes(self, num_classes, class_names):
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2. Received: {num_classes}")
        if class_names is not None and (isinstance(class_names, str) or len(class_names) != num_classes):
            raise ValueError(f"`class_names` must be {num_classes} names, one a class. Received: {class_names!r}")
        self.num_classes, self.class_names = num_classes, class_names
        self._classify = autodiff.compiled(lambda x: self(x, training=False), self)

    def _best_classes(self, x, batch_size):
        """List of (class, probability) for an array or a dict of arrays; the class is its name, or its number without `class_names`."""
        rows = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
        found = []
        for start in range(0, rows, batch_size):
            part = slice(start, start + batch_size)
            batch = {name: array[part] for name, array in x.items()} if isinstance(x, dict) else x[part]
            for row in ops.convert_to_numpy(self._classify(batch)):
                best = int(row.argmax())
                found.append((self.class_names[best] if self.class_names else best, float(row[best])))
        return found


class Classification(Classifier):
    """Image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`.

    A method sets `input_shape`, the shape of an image, `num_classes`, and `network`, or overrides `call`.
    """

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of images."""
        return self.network(x, training=training)

    def input_fields(self):
        """An image."""
        return [Field("image", tuple(self.input_shape))]
