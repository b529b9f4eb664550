"""Ids of texts that come again and again, looked up once."""

import numpy as np
from keras import ops


class CachedIds:
    """Texts to ids; the texts of a call that are new go through the vectorization together, the others are remembered.

    Args:
        vectorization: from a string tensor `(batch,)` to ids `(batch, length)`, such as `zoo.text.word_vectorization` gives.
        limit: texts to remember; beyond that everything is forgotten.
    """

    def __init__(self, vectorization, limit=100_000):
        self.vectorization, self.limit = vectorization, limit
        self._known = {}

    def __call__(self, texts):
        """int32 ids `(texts, length)` of a list of strings."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            if len(self._known) + len(new) > self.limit:
                self._known, new = {}, list(dict.fromkeys(texts))
            ids = ops.convert_to_numpy(self.vectorization(np.array(new, object))).astype("int32")
            self._known.update(zip(new, ids))
        return np.stack([self._known[text] for text in texts])
