"""What methods with an embedding of words share: to start from word vectors that were learned elsewhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from zoo.arguments import Index, Numbers, checked
from zoo.text import vector_table


class WordVectors:
    """Mixed into a method that has a `vocabulary`, an `embedding_size`, and tables of word vectors, which `_word_tables` lists.

    Row 0 of a table is padding, row 1 the unknown word, then the words; symbols behind them (an end, say) keep what they have.
    """

    vocabulary: Sequence[str]
    embedding_size: int

    def example_calls(self):
        """A small valid call of every verb."""
        load = {"words": [self.vocabulary[0], "unheard-of"], "vectors": np.eye(2, self.embedding_size), "seed": 1}
        return {**super().example_calls(), "load_word_vectors": load}  # type: ignore[misc]

    def _word_tables(self):
        """The variables `(2 + words + other symbols, embedding_size)`."""
        raise NotImplementedError

    @checked
    def load_word_vectors(self, words: Any, vectors: Numbers | None = None, seed: Index = 0) -> float:
        """Start from given word vectors; words without one are drawn from U(-a, a) with the variance of the given ones.

        Args:
            words: list of words, as `zoo.text.read_word_vectors(file)` and `zoo.text.cooccurrence_vectors` give beside their vectors: pass
                both on with `*`. Or a dict word -> vector, or gensim's `KeyedVectors`, without `vectors`.
            vectors: of these words, `(words, embedding_size)`.
            seed: of the draws.

        Returns:
            The share of the vocabulary that has a vector.

        Raises:
            ValueError: if no word is known, or the vectors have another size.
        """
        table, coverage = vector_table(self.vocabulary, words, vectors, self.embedding_size, seed)
        for variable in self._word_tables():
            others = ops.convert_to_numpy(variable)[len(table) :]
            variable.assign(np.concatenate([table, others]))
        return coverage
