"""What methods share that write texts word by word: the loss of a word, random texts, and those that a beam finds."""

import keras
import numpy as np
from keras import ops

from zoo import arguments, text
from zoo.decoding import beam_search, sample_sequences
from zoo.metrics.perplexity import MeanPerplexity
from zoo.model import Model

# texts of one compiled call of a verb
ROWS = 64
# the score of a word that must not be written
_FORBIDDEN = -1e9


class WordWriting:
    """What writes words of a vocabulary, a model or a part of one.

    Ids are 0 for padding, 1 for unknown words, then the words of a vocabulary; one more, `end`, closes a text, and stands before its first
    word.
    """

    # what stands between two symbols of a text: a space between words, nothing between characters
    between = " "

    def _set_words(self, vocabulary):
        """The words that are written."""
        self.end = len(vocabulary) + 2
        self._words = np.array(["", "<unknown>", *vocabulary, ""], object)
        self._names = text.name_lookup(["<unknown>", *vocabulary])

    def _random(self, model, rows, length, seed, **options):
        """Random ids `(batch, length)` of a pair of step and state; `rows` is anything with the batch's axis."""
        (step, state), may = model, self._allowed(False)

        def known(ids, state):
            scores, state = step(ids, state)
            return scores if may is None else ops.where(may, scores, _FORBIDDEN), state

        return sample_sequences(known, state, self._starts(rows), length, seed, end=self.end, **options)

    def _found(self, model, rows, length, beams, length_power, unknown, **options):
        """Ids `(batch, beams, length)` that all end, and their log-probabilities `(batch, beams)`; `options` are those of `beam_search`."""
        options = {"allowed": self._allowed(unknown), "length_power": length_power, "closed": True, **options}
        return list(beam_search(*model, self._starts(rows), length, beams, self.end, **options))

    def _allowed(self, unknown):
        """Which symbols may be written `(symbols,)` bool; `None` for all."""
        return None if unknown else np.arange(self.end + 1) != text.UNKNOWN

    def _starts(self, rows):
        return ops.full((ops.shape(rows)[0],), self.end, "int32")

    def _texts(self, ids):
        return [self.between.join(word for word in self._words[row] if word) for row in ids]

    def _named(self, ids):
        """Strings of ids `(batch, length)`, in the graph."""
        return text.joined(self._names(ops.where(ids == self.end, 0, ids)), self.between)


def ids_of(name, texts, vectorization):
    """Ids of texts, refused by this name where one, or its last part, has no word."""
    ids = ops.convert_to_numpy(vectorization(texts)).astype("int32")
    if not ids.reshape(len(ids), -1, ids.shape[-1])[:, -1, 0].all():
        arguments.refuse(name, "texts that have a word each", list(texts))
    return ids


def listed(texts, scores, n_best):
    """Lists of `n_best` pairs of text and log-probability, one for each row of `scores`, of texts that follow one another."""
    rows = [texts[i : i + n_best] for i in range(0, len(texts), n_best)]
    return [[(one, float(score)) for one, score in zip(*pair)] for pair in zip(rows, scores)]


class TextWriter(WordWriting, Model):
    """Ids of `WordWriting` -> log-probability of the text that is written, `(batch,)` nats."""

    output_name = "log_likelihood"

    def _set_words(self, vocabulary):
        """The words that are written."""
        super()._set_words(vocabulary)
        self.seed_generator = keras.random.SeedGenerator()
        self.perplexity = MeanPerplexity("perplexity")

    def _target(self, x):
        """Of what `call` takes, the ids of the text that is written: the last field."""
        return x[self.input_fields()[-1].name] if isinstance(x, dict) else x

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy of a word, the end of a text included."""
        rows = ops.ones_like(y_pred) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        words = 1.0 + ops.sum(ops.cast(self._target(x) != text.PADDING, "float32"), axis=1)
        loss = ops.sum(-y_pred * rows) / ops.maximum(ops.sum(words * rows), 1e-6)
        self.perplexity.update_state(loss, sample_weight=ops.sum(words * rows))
        return loss

    def _ids(self, name, texts, vectorization):
        """Ids of texts, refused by this name where one has no word."""
        return ids_of(name, texts, vectorization)

    def _seed(self, seed):
        """Start random draws from a number, or go on."""
        if seed is not None:
            self.seed_generator.state.assign(np.array([seed, 0], "uint32"))

    def _drawn(self, model, rows, length, **options):
        """Random ids `(batch, length)` of a pair of step and state; `rows` is anything with the batch's axis."""
        return self._random(model, rows, length, self.seed_generator, **options)
