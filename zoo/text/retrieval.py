"""Texts that were said where something like it was said, by BM25: what retrieval answers, and references for what may be answered."""

from zoo import arguments
from zoo.text.words import tokenize


class Retrieval:
    """Keys, each with a value, by the words of a query (BM25; Robertson et al. 1994), by the library bm25s.

    ```python
    known = zoo.text.Retrieval(messages, replies)
    known.nearest(["how are you ?"], 3)  # [[("fine , and you ?", 4.2), ...]]
    ```

    Args:
        keys: list of strings.
        values: list of as many objects; `None` for the keys themselves.

    Raises:
        ValueError: if there are not as many values as keys.
        ImportError: if bm25s is not installed.
    """

    def __init__(self, keys, values=None):
        try:
            import bm25s
        except ImportError as error:
            raise ImportError("Retrieval needs bm25s: pip install 'zoo-keras[text]'") from error
        self.values = list(keys if values is None else values)
        if len(self.values) != len(keys):
            arguments.refuse("values", f"{len(keys)} objects, one for each key", values)
        self._index = bm25s.BM25()
        # texts without words have one that no other has
        self._index.index([line or ["\ue000"] for line in tokenize(keys)], show_progress=False)

    def nearest(self, queries, number=10):
        """The values of the keys that are most like queries.

        Args:
            queries: list of strings.
            number: of values for each, at most.

        Returns:
            For each query a list of pairs (value, score), best first; those that share no word with it are left out.
        """
        number = min(arguments.count("number", number), len(self.values))
        found, scores = self._index.retrieve([line or ["\ue001"] for line in tokenize(queries)], k=number, show_progress=False)
        return [[(self.values[i], float(score)) for i, score in zip(*row) if score > 0] for row in zip(found, scores)]
