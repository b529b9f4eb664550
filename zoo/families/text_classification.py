"""What classifiers of texts share."""

import numpy as np
from keras import ops

from zoo.arguments import Count, Texts, checked
from zoo.families.classification import Classifier
from zoo.model import Field


class TextClassification(Classifier):
    """Ids `(batch, length)` -> probabilities `(batch, num_classes)`.

    A method sets `length`, `num_classes`, `class_names`, `vectorization` (a layer from strings to ids) and `num_symbols`, the number of
    different ids, and writes `call`.
    """

    # what an id stands for, the name of the input
    symbols = "words"

    def input_fields(self):
        """Ids of the text, 0 for padding; `encode` makes them."""
        return [Field(self.symbols, (self.length,), "int32", 0, self.num_symbols - 1)]

    def example_calls(self):
        """A small valid call of every verb."""
        texts = {"texts": ["the cat sat", ""]}
        return {**super().example_calls(), "encode": texts, "classify": {**texts, "batch_size": 1}}

    def signatures(self):
        """`serve` takes strings, `serve_ids` what `encode` gives."""
        return {
            "serve": (lambda text: self._serve(self.vectorization(text)), [Field("text", (), "string")]),
            "serve_ids": (self._serve, self.input_fields()),
        }

    @checked
    def encode(self, texts: Texts) -> np.ndarray:
        """The ids that `fit` and `predict` take.

        Args:
            texts: list of strings; of a longer text the first `length` symbols are read.

        Returns:
            int32 array `(len(texts), length)`.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        return ops.convert_to_numpy(self.vectorization(texts)).astype("int32")

    @checked
    def classify(self, texts: Texts, batch_size: Count = 256) -> list:
        """The most probable class of each text.

        Args:
            texts: list of strings.
            batch_size: texts at once.

        Returns:
            List of (class, probability); the class is its name, or its number without `class_names`.

        Raises:
            ValueError: if `texts` is no list of strings.
        """
        return self._best_classes(self.encode(texts), batch_size)
