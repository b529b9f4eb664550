"""What classifiers of texts share."""

from keras import ops

from zoo import autodiff
from zoo.model import Field, Model
from zoo.text import checked_texts


class TextClassification(Model):
    """Ids `(batch, length)` -> probabilities `(batch, num_classes)`.

    A method sets `length`, `num_classes`, `class_names`, `vectorization` (a layer from strings to ids) and `num_symbols`, the number of
    different ids, and writes `call`.
    """

    output_name = "probabilities"
    # what an id stands for, the name of the input
    symbols = "words"

    def input_fields(self):
        """Ids of the text, 0 for padding; `encode` makes them."""
        return [Field(self.symbols, (self.length,), "int32", 0, self.num_symbols - 1)]

    def target_fields(self):
        """Its class."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_loss(self):
        """Cross-entropy."""
        return "sparse_categorical_crossentropy"

    def default_metrics(self):
        """Accuracy."""
        return ["accuracy"]

    def signatures(self):
        """`serve` takes strings, `serve_ids` what `encode` gives."""
        return {
            "serve": (lambda text: self._serve(self.vectorization(text)), [Field("text", (), "string")]),
            "serve_ids": (self._serve, self.input_fields()),
        }

    def encode(self, texts):
        """The ids that `fit` and `predict` take.

        Args:
            texts: list of strings; of a longer text the first `length` symbols are read.

        Returns:
            int32 array `(len(texts), length)`.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        return ops.convert_to_numpy(self.vectorization(checked_texts(texts))).astype("int32")

    def classify(self, texts, batch_size=256):
        """The most probable class of each text.

        Args:
            texts: list of strings.
            batch_size: texts at once.

        Returns:
            List of (class, probability); the class is its name, or its number without `class_names`.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        ids = self.encode(texts)
        found = []
        for start in range(0, len(ids), batch_size):
            probabilities = ops.convert_to_numpy(self._classify(ids[start : start + batch_size]))
            found += [(self._class_name(int(row.argmax())), float(row.max())) for row in probabilities]
        return found

    def _check_classes(self, num_classes, class_names):
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2. Received: {num_classes}")
        if class_names is not None and (isinstance(class_names, str) or len(class_names) != num_classes):
            raise ValueError(f"`class_names` must be {num_classes} names, one a class. Received: {class_names!r}")
        self.num_classes, self.class_names = num_classes, class_names
        self._classify = autodiff.compiled(lambda ids: self(ids, training=False), self)

    def _class_name(self, number):
        return self.class_names[number] if self.class_names else number
