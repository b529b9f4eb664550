"""Rare words: a translator of few words that says where in the source each word stands that it does not know.

Paper: Luong, Sutskever, Le, Vinyals, Zaremba 2014, "Addressing the Rare Word Problem in Neural Machine Translation", arXiv 1410.8206. A
softmax has few words; all others are one unknown word. Here targets are annotated by an aligner before training, so that the network learns
to write, in place of the unknown word, symbols that point to a word of the source. After the search each is replaced by the translation of
that word in a dictionary, or else by the word itself, which is right for names and numbers. There are three annotations (section 3):

- `"copy"`: different unknown words of the source are `<unk1>`, `<unk2>`, ...; an unknown word of the target is the symbol of that one to
  which it is linked.
- `"posall"`: behind every word of the target stands `<p-7>`, ..., `<p+7>`, how far it is to the right of its word of the source, or `<p>`.
- `"posunk"`: only unknown words of the target say so, as `<unkpos-7>`, ..., `<unkpos+7>`.

A target word without link, or with one that goes too far, is `<unknown>` (`<p>` under `"posall"`). The network has no attention: stacked
LSTMs read the source in reverse, others write from the state they end in.

Shapes: word ids `source` `(batch, length)` and `target` `(batch, places)` -> log-probability of the target `(batch,)`, in nats.

Differences from the paper:
1. Links are eflomal's, symmetrised, in place of the Berkeley aligner's; of several links of a word the nearest counts.
2. `translate` does not write the unknown word that points nowhere, unless told; one that points beyond the source counts as such.
3. Adam in place of gradient descent whose rate is halved; dropout on what the layers read.
4. Default sizes are those that a laptop trains: the paper has `embedding_size=1000, units=1000, num_layers=4` (or 6), batches of 128.
5. `"copy"` has `num_copies` symbols; unknown words behind these are `<unknown>`.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Flag, Rows, Texts, checked
from zoo.decoding import fused
from zoo.families.encoder_decoder import ROWS, Translator
from zoo.model import Field
from zoo.text.alignments import checked_links

ANNOTATIONS = ("posunk", "posall", "copy", "none")
_UNKNOWN = "<unknown>"


class RareWordTranslator(Translator):
    """Translator of few words that points to the words of the source that it does not know (Luong et al. 2014, arXiv 1410.8206).

    Args:
        source_vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts, 1000)` gives.
        target_vocabulary: list of words of the other language.
        dictionary: dict from words of one language to those of the other, as `zoo.text.learn_dictionary` gives; words that it lacks are
            copied.
        source_length: words read of a text.
        target_length: words written at most.
        annotation: `"posunk"`, `"posall"`, `"copy"`, or `"none"` for a plain translator.
        max_offset: how far the place of a word may be from that of its source, to be linked; not for `"copy"`.
        num_copies: different unknown words of a source that have symbols of their own; for `"copy"`.
        embedding_size: length of a word vector.
        units: cells of each layer.
        num_layers: layers on one another, in reader and writer each.
        reverse: whether the source is read from its last word to the first.
        dropout: rate on what each layer reads, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    # section 4.2
    default_batch_size = 128

    def __init__(
        self,
        source_vocabulary,
        target_vocabulary,
        dictionary=None,
        source_length=50,
        target_length=50,
        annotation="posunk",
        max_offset=7,
        num_copies=10,
        embedding_size=128,
        units=256,
        num_layers=1,
        reverse=True,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("annotation", annotation, ANNOTATIONS)
        arguments.count("max_offset", max_offset)
        arguments.count("num_copies", num_copies)
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.dictionary = _checked_dictionary(dictionary)
        self.source_length, self.target_length, self.annotation = source_length, target_length, annotation
        self.max_offset, self.num_copies, self.embedding_size, self.units = max_offset, num_copies, embedding_size, units
        self.num_layers, self.reverse, self.dropout = num_layers, reverse, dropout
        self._build(
            embedding_size,
            units,
            num_layers,
            False,
            encoder={"reverse": reverse, "dropout": dropout},
            decoder={"readout": None, "dropout": dropout},
        )
        # ids of the symbols that point
        self.first_mark, self.first_copy = len(target_vocabulary) + 2, len(source_vocabulary) + 2
        self._keys = text.word_lookup(list(self.dictionary)) if self.dictionary else None
        self.compile()

    def _symbols(self):
        copies = [f"<unk{i + 1}>" for i in range(self.num_copies)]
        offsets = range(-self.max_offset, self.max_offset + 1)
        marks = {
            "copy": copies,
            "posall": [*(f"<p{offset:+d}>" for offset in offsets), "<p>"],
            "posunk": [f"<unkpos{offset:+d}>" for offset in offsets],
            "none": [],
        }[self.annotation]
        return [*self.source_vocabulary, *(copies if self.annotation == "copy" else [])], [*self.target_vocabulary, *marks]

    def _most_places(self):
        return self.target_length * (2 if self.annotation == "posall" else 1)

    def _allowed(self, unknown):
        # behind the unknown word of posall stands where it points
        return super()._allowed(unknown or self.annotation == "posall")

    def default_optimizer(self):
        """Adam; gradients whose norm is above 5 are scaled down to it, as in section 4.2."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=5.0)

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "source_vocabulary": ["the", "cat", "sat", "on", ","],
            "target_vocabulary": ["a", "the", "cat"],
            "dictionary": {"mat": "rug", "a": "the"},
            "source_length": 6,
            "target_length": 5,
            "annotation": "posall",
            "max_offset": 2,
            "num_copies": 3,
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "reverse": False,
            "dropout": 0.1,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        pairs = {**found["encode"], "links": [[(0, 0), (1, 1)], [(0, 0), (1, 1), (1, 2)]]}
        return {
            **found,
            "encode": pairs,
            "annotate": pairs,
            "translate": {**found["translate"], "raw": False, "with_models": [self]},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, layers, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256]),
            "units": hp.Choice("units", [128, 256, 512]),
            "num_layers": hp.Int("num_layers", 1, 4),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 5e-3, sampling="log"),
        }

    # --- what goes in ---

    @checked
    def encode(self, sources: Texts, targets: Texts | None = None, links: Rows | None = None) -> dict:  # type: ignore[override]
        """The ids that `fit`, `evaluate` and `predict` take, targets annotated.

        Args:
            sources: list of strings, each with a word or more; of longer ones the first `source_length` words are read.
            targets: list of as many strings, each with a word or more; of longer ones the first `target_length` words are read.
            links: of `zoo.text.align`, for each pair an array `(links, 2)`. By default they are learned from these pairs, which then must
                be thousands; give those of few pairs, such as held-out ones, out of a call of `align` with many.

        Returns:
            Dict of int32 arrays `source` `(texts, source_length)` and, with targets, `target` `(texts, target_length)`, twice as long for
            `"posall"`.

        Raises:
            ValueError: if there are not as many targets as sources, a text has no word, or links are of other texts.
            ImportError: if links are needed and eflomal is not installed.
        """
        found = {"source": self._ids("sources", sources, self._read_ids)}
        if targets is None:
            return found
        if len(targets) != len(sources):
            arguments.refuse("targets", f"{len(sources)} texts, one for each of the sources", targets)
        found["target"] = self._ids("targets", targets, self.target_vectorization)
        if self.annotation != "none":
            found["target"] = self._marked(found, text.tokenize(sources), text.tokenize(targets), links)
        return found

    def _marked(self, ids, sources, targets, links):
        """Ids of annotated targets."""
        links = checked_links(text.align(sources, targets) if links is None else links, sources, targets)
        found = np.zeros((len(targets), self._most_places()), "int32")
        for row, source, target, pairs in zip(found, ids["source"], ids["target"], links):
            nearest = {}
            for i, j in pairs:
                if i < self.source_length and (j not in nearest or abs(i - j) < abs(nearest[j] - j)):
                    nearest[j] = i
            symbols = self._annotated(source, target[target > 0], nearest)
            row[: len(symbols)] = symbols
        return found

    def _annotated(self, source, target, links):
        """Ids of a target with its symbols; `links` are a dict from places to those of the source."""
        offsets = [j - links[j] if j in links else self.max_offset + 1 for j in range(len(target))]
        near = [abs(offset) <= self.max_offset for offset in offsets]
        marks = [self.first_mark + self.max_offset + (offset if is_near else self.max_offset + 1) for offset, is_near in zip(offsets, near)]
        if self.annotation == "posall":
            return [symbol for pair in zip(target, marks) for symbol in pair]
        if self.annotation == "copy":
            copies = [source[links[j]] - self.first_copy if j in links else -1 for j in range(len(target))]
            marks, near = [self.first_mark + copy for copy in copies], [copy >= 0 for copy in copies]
        points = [is_near and symbol == text.UNKNOWN for symbol, is_near in zip(target, near)]
        return [mark if point else symbol for symbol, mark, point in zip(target, marks, points)]

    def _read_ids(self, texts):
        """Ids of sources `(batch, source_length)`, of strings; unknown words that are the same have the same symbol under `"copy"`."""
        ids = self.source_vectorization(texts)
        return text.number_unknown(ids, texts, self.first_copy, self.num_copies) if self.annotation == "copy" else ids

    @checked
    def annotate(self, sources: Texts, targets: Texts, links: Rows | None = None) -> list:
        """Pairs of texts as the network sees them, words and symbols.

        Args:
            sources: list of strings.
            targets: list of as many strings.
            links: as in `encode`.

        Returns:
            List of pairs of strings, source and target.
        """
        ids, read = self.encode(sources, targets, links), np.array(["", _UNKNOWN, *self._symbols()[0]], object)
        return list(zip([" ".join(word for word in read[row] if word) for row in ids["source"]], self._texts(ids["target"])))

    # --- what comes out ---

    @checked
    def translate(  # type: ignore[override]
        self,
        texts: Texts,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
        raw: Flag = False,
        with_models: Rows | None = None,
    ) -> list:
        """The most probable translations that a beam finds, with words for the symbols that point to the source.

        Args:
            texts: list of strings, each with a word or more.
            beams: translations that are followed at once; 1 is greedy.
            length_power: they are ranked by log-probability over length to this power; 0 prefers short ones.
            n_best: give so many of each text, with scores.
            unknown: whether `<unknown>` may be written, a word that points nowhere.
            batch_size: texts at once.
            raw: whether to give the symbols as they were written.
            with_models: list of other models of the same vocabularies and annotation: the next word is that of the mean of all
                probabilities (an ensemble, section 4.3).

        Returns:
            List of strings, words separated by spaces; with `n_best` for each text a list of pairs (string, log-probability), best first.

        Raises:
            ValueError: if a text has no word, or a model writes other symbols.
        """
        others = self._checked_models(with_models or [])

        def finished(ids, sources):
            return self._texts(ids) if raw else self._finished(ids, sources, unknown)

        # the others' weights are arguments of the compiled search, as those of this model are
        values = [ops.convert_to_tensor(variable) for variable in _variables(others)]
        key = tuple(map(id, others))
        return self._written(texts, beams, length_power, n_best, batch_size, unknown, key, finished, values, others=others)

    def _search(self, source, *values, beams=1, length_power=0.0, unknown=False, others=()):
        if not others:
            return super()._search(source, beams, length_power, unknown)
        with autodiff.Scope(zip(_variables(others), values)):
            mean = fused([model._stepper(source) for model in (self, *others)], mean="arithmetic")
            return self._searched(source, mean, beams, length_power, unknown, normalize=False)

    def _checked_models(self, models):
        for model in models:
            if not isinstance(model, RareWordTranslator) or (model._symbols(), model._most_places()) != (
                self._symbols(),
                self._most_places(),
            ):
                arguments.refuse("with_models", "models of the same vocabularies, lengths and annotation", model)
        return list(models)

    def _finished(self, ids, sources, unknown=False):
        if self.annotation == "none":
            return self._texts(ids)
        ids = np.where(ids == self.end, 0, ids).astype("int32")
        read = self._ids("sources", sources, self._read_ids) if self.annotation == "copy" else None
        points, places = map(ops.convert_to_numpy, self._pointed(ids, read))
        names = self._words[ops.convert_to_numpy(self._kept(ids))].astype(str)
        found = self._put_back(names, sources, points, places, _UNKNOWN if unknown else "")
        return [words.decode("utf-8") for words in found.numpy()]

    def _kept(self, ids):
        """Ids without the symbols that stand behind words."""
        return ids * ops.cast(ids < self.first_mark, ids.dtype) if self.annotation == "posall" else ids

    def _put_back(self, names, sources, points, places, unknown=""):
        """Texts `(batch,)`, strings, of what was written `(batch, length)`, and of where it points in sources, strings."""
        words = text.split_words(sources, self.source_length)
        return text.joined(text.put_back(names, words, points, places, self._keys, list(self.dictionary.values()), unknown))

    def _pointed(self, ids, source=None):
        """Which symbols stand for a word of the source `(batch, length)`, and its place there, or -1."""
        marks, is_unknown = ids - self.first_mark, ids == text.UNKNOWN
        is_mark, points = marks >= 0, (ids >= self.first_mark) | is_unknown
        if self.annotation == "copy":
            same = ops.cast(source, "int32")[:, None, :] == (self.first_copy + marks)[:, :, None]
            return points, ops.where(is_mark & ops.any(same, axis=2), ops.argmax(ops.cast(same, "int32"), axis=2), -1)
        if self.annotation == "posunk":
            return points, ops.where(is_mark, ops.arange(ids.shape[1], dtype="int32") - (marks - self.max_offset), -1)
        # posall: what stands behind the unknown word says where
        words = ops.cumsum(ops.cast(~is_mark & (ids > 0), "int32"), axis=1) - 1
        behind = ops.pad(marks[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
        is_near = (behind >= 0) & (behind <= 2 * self.max_offset)
        return is_unknown, ops.where(is_near, words - (behind - self.max_offset), -1)

    def signatures(self):
        """As those of every translator; `serve` gives texts with words put back, and as they were written."""
        return {**super().signatures(), "serve": (self._serve_text, [Field("source", (), "string")])}

    def _serve_text(self, source):
        read = self._read_ids(source)
        found, scores = self._search(read, beams=5)
        best = ops.where(found[:, 0] == self.end, 0, found[:, 0])
        raw = text.joined(self._names(best))
        words = raw if self.annotation == "none" else self._put_back(self._names(self._kept(best)), source, *self._pointed(best, read))
        return {"text": words, "raw": raw, "log_likelihood": scores[:, 0]}


def _variables(models):
    return [variable for model in models for variable in model.variables]


def _checked_dictionary(dictionary):
    """The dictionary as a dict of strings; `None` is an empty one."""
    found = {} if dictionary is None else dictionary
    is_dict = isinstance(found, dict) and all(isinstance(word, str) and word for pair in found.items() for word in pair)
    if not is_dict or any(word != word.lower() for word in found):
        arguments.refuse("dictionary", "a dict of words, in lower case as texts are when they are looked up, to words", dictionary)
    return dict(found)
