"""A translator into a very large vocabulary: an update and a written word cost the same for ten thousand words as for a million.

Paper: Jean, Cho, Memisevic, Bengio 2014, "On Using Very Large Target Vocabulary for Neural Machine Translation", arXiv 1412.2007. The
network is RNNsearch: gated recurrent units read the source in both directions, and others write with attention and a deep output of maxout
units. In training the corpus is cut into partitions, each with few different target words, and the softmax of a batch runs over the words
of its partition alone (sections 3.1 and 3.2). In use it runs over candidates: the most frequent words, and for each word of the source
those that a dictionary of aligned words gives (section 3.3). An unknown word that is written becomes the translation, by the same
dictionary, of the source word that was attended to most (section 3.4).

Shapes: word ids `source` `(batch, length)` and `target` `(batch, length)` -> log-probability of the target `(batch,)`, in nats, by the
softmax over all words.

Differences from the paper:
1. The deep output sees the state after the last word was read, where the paper's code has the one before; the decoder starts from a dense
   layer of the last states of both directions.
2. Default sizes are a quarter of the paper's, which are `embedding_size=620, units=1000`.
3. AdaDelta moves only the rows of word vectors that a batch uses, and their averages stand still meanwhile. On TensorFlow an update costs
   the same for any number of words; on JAX gradients have the size of the tables.
4. Batches of all partitions come in random order, since nothing has to be moved to a device; by default pairs are shuffled and partitioned
   anew before each epoch, where the paper does so once, late in training.
5. Words are aligned by eflomal in both directions (`zoo.text.align`), where the paper has fast_align.
6. Padding, unknown words and the end of a text are in every subset and in every list of candidates.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Callbacks, Count, Flag, Share, Texts, Verbose, checked
from zoo.families.encoder_decoder import ROWS, Translator
from zoo.model import Field, is_stream
from zoo.optimizers.rows import RowAdadelta
from zoo.text.partitions import Order


class LargeVocabularyTranslator(Translator):
    """Translator into a very large vocabulary (Jean et al. 2014, arXiv 1412.2007).

    Args:
        source_vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        target_vocabulary: list of words of the other language, the most frequent first.
        dictionary: what words of the source may become: a dict of a word to a list of words, the likeliest first (or to pairs of word and
            count, as `zoo.text.learn_dictionary(sources, targets, links, n_best=10)` gives), or `None`. Words outside of the target
            vocabulary serve to replace unknown words.
        source_length: words read of a text.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: of the reader, for each direction, and of the writer.
        attention: how attention is scored, see `zoo.layers.Attention`.
        dropout: rate on word vectors and on deep outputs, in training.
        subset: target ids that the softmax of a batch runs over in training, padding, unknown and end included (the paper's tau: 15,000,
            30,000 or 50,000).
        frequent: most frequent words that are candidates in every text (the paper's K: 15,000, 30,000 or 50,000).
        per_word: candidates that the dictionary gives for a word of the source (the paper's K': 10 or 20).
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    # that of RNNsearch, arXiv 1409.0473, section 4.2
    default_batch_size = 80

    def __init__(
        self,
        source_vocabulary,
        target_vocabulary,
        dictionary=None,
        source_length=50,
        target_length=50,
        embedding_size=128,
        units=256,
        attention="additive",
        dropout=0.0,
        subset=15000,
        frequent=15000,
        per_word=10,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.count("target_length", target_length)
        # a text has to fit, with padding, unknown and end
        arguments.count("subset", subset, target_length + 3)
        arguments.count("frequent", frequent)
        arguments.count("per_word", per_word)
        self.source_vocabulary, self.target_vocabulary, self.dictionary = source_vocabulary, target_vocabulary, _plain(dictionary)
        self.source_length, self.target_length, self.embedding_size, self.units = source_length, target_length, embedding_size, units
        self.attention, self.dropout, self.subset, self.frequent, self.per_word = attention, dropout, subset, frequent, per_word
        self._build(
            embedding_size,
            units,
            encoder={"units": 2 * units, "cell": "gru", "bidirectional": True, "dropout": dropout},
            decoder={"cell": "gru", "attention": attention, "feed_context": True, "readout": "maxout", "dropout": dropout},
        )
        # what is shared by the candidates of all texts, and what a word of the source adds
        self._common = np.array([*range(min(frequent, len(target_vocabulary)) + 2), self.end], "int32")
        self._added = self._table(frequent)
        self._first = {word: others[0] for word, others in (self.dictionary or {}).items() if others}
        # the same as string operations, for the exported model
        self._keys = text.word_lookup(list(self._first)) if self._first else None
        self.compile()

    def _table(self, frequent):
        """Target ids `(source ids, per_word)` int32 by the dictionary, without those that are candidates anyway; 0 for none."""
        ids = {word: i for i, word in enumerate(self.target_vocabulary, 2)}
        found = np.zeros((self.encoder.symbols, self.per_word), "int32")
        for i, word in enumerate(self.source_vocabulary, 2):
            known = [ids[other] for other in (self.dictionary or {}).get(word, ())[: self.per_word] if other in ids]
            rare = [number for number in known if number >= frequent + 2]
            found[i, : len(rare)] = rare
        return found

    # --- the network ---

    def _word_losses(self, features, words, x, training):
        """As `Translator._word_losses`; in training over the words of the partition, where `x` says them."""
        if training and "subset" in x:
            return self.word_softmax.within(features, words, ops.cast(x["subset"], "int32"))
        return super()._word_losses(features, words, x, training)

    def _candidates(self, source):
        """Candidates `(batch, count)` int32 of sources `(batch, length)`, and which of those behind the common ones are none.

        Those are the ones that have come before, and where the dictionary has fewer words; all are unknown words, which cannot come twice.
        """
        batch = ops.shape(source)[0]
        found = ops.reshape(ops.take(ops.convert_to_tensor(self._added), source, axis=0), (batch, source.shape[1] * self.per_word))
        found = ops.sort(found, axis=1)
        again = ops.pad(ops.equal(found[:, 1:], found[:, :-1]), [[0, 0], [1, 0]])
        none = again | ops.equal(found, text.PADDING)
        common = ops.broadcast_to(ops.convert_to_tensor(self._common), (batch, len(self._common)))
        return ops.concatenate([common, ops.where(none, text.UNKNOWN, found)], axis=1), none

    def _stepper(self, source, candidates=None):
        if candidates is None:
            return super()._stepper(source)
        ids, none = candidates
        state, stays = self._read(source)
        decode = self.decoder.stepper(**stays)
        score = self.word_softmax.scorer(ops.convert_to_tensor(self._common), ids[:, len(self._common) :], none)

        def step(ids, state):
            features, state = decode(ids, state)
            return score(features), state

        return step, state

    def _search(self, source, beams=1, length_power=0.0, unknown=False, candidates=True):
        source = ops.cast(source, "int32")
        # without a dictionary the frequent words alone would be a shortlist
        few = self._candidates(source) if candidates and self.dictionary else None
        model = self._stepper(source, few)
        return self._searched(source, model, beams, length_power, unknown, candidates=None if few is None else few[0])

    def _places(self, source, ids):
        """The place in the source that each written word looks at most, `(batch, length)` int32, for ids with the end `(batch, length)`."""
        before = ops.pad(ops.where(ids == self.end, text.PADDING, ids)[:, :-1], ((0, 0), (1, 0)), constant_values=self.end)
        return ops.cast(ops.argmax(self._features(before, self._read(source))[1], axis=-1), "int32")

    # --- learning ---

    def default_optimizer(self):
        """AdaDelta by rows; gradients whose norm is above 1 are scaled down to it (appendix of arXiv 1409.0473)."""
        return RowAdadelta(1.0, rho=0.95, epsilon=1e-6, global_clipnorm=1.0)

    @checked
    def partitions(self, sources: Texts, targets: Texts, batch_size: Count = 80, order: Order = "epochs") -> text.Partitions:
        """Pairs in partitions of at most `subset` different target words, for `fit`.

        Args:
            sources: list of strings.
            targets: list of as many strings.
            batch_size: pairs in a batch.
            order: `"corpus"`: partitions are of the pairs as they come; `"once"`: of shuffled ones; `"epochs"`: of pairs that are shuffled
                anew before each epoch.

        Returns:
            A `zoo.text.Partitions`.

        Raises:
            ValueError: if texts are as `encode` refuses them.
        """
        return self._partitions(self.encode(sources, targets), batch_size, order)

    def _partitions(self, x, batch_size, order, sample_weight=None):
        # follows `keras.utils.set_random_seed`
        seed = int(ops.convert_to_numpy(keras.random.randint((), 0, 2**31 - 1)))
        return text.Partitions(x, min(self.subset, self.end + 1), (text.UNKNOWN, self.end), batch_size, order, sample_weight, seed)

    @checked
    def fit(  # type: ignore[override]
        self,
        x=None,
        y=None,
        batch_size: Count | None = None,
        epochs: Count = 1,
        verbose: Verbose = "auto",
        callbacks: Callbacks | None = None,
        validation_split: Share = 0.0,
        validation_data=None,
        shuffle: Flag = True,
        sample_weight=None,
        **kwargs,
    ) -> keras.callbacks.History:
        """`zoo.Model.fit`; arrays, as `encode` gives them, are partitioned where there are more target words than `subset`.

        `shuffle=False` leaves pairs as they come. Held-out pairs are measured by the softmax over all words.
        """
        options = {"epochs": epochs, "verbose": verbose, "callbacks": callbacks, "shuffle": shuffle, **kwargs}
        if is_stream(x) or self.end < self.subset or not self._auto_loss:
            data = {"validation_split": validation_split, "validation_data": validation_data, "sample_weight": sample_weight}
            return super().fit(x, y, batch_size, **data, **options)
        x, y = self._for_training(x, y, sample_weight)
        size, n = batch_size or self.default_batch_size, len(x["target"])
        weights = None if sample_weight is None else np.asarray(sample_weight, "float32")
        if validation_split and validation_data is None:
            kept = int(n * (1 - validation_split))
            if not 0 < kept < n:
                arguments.refuse("validation_split", f"a share that leaves some of {n} pairs on either side", validation_split)
            parts = [({name: ids[rows] for name, ids in x.items()}, None if weights is None else weights[rows]) for rows in _halves(kept)]
            (x, weights), (held_out, theirs) = parts
            validation_data = (held_out, None) if theirs is None else (held_out, None, theirs)
            options.setdefault("validation_batch_size", size)
        pairs = self._partitions(x, size, "epochs" if shuffle else "corpus", weights)
        return super().fit(pairs, validation_data=validation_data, **options)

    def check_batch(self, x, y=None):
        """Batches of `zoo.text.Partitions` hold the words of a partition as well."""
        if isinstance(x, dict) and "subset" in x:
            Field("subset", (), "int32", 0, self.end).check(np.asarray(x["subset"]))
            if not np.isin(x["target"], x["subset"]).all():
                arguments.refuse("subset", "ids with all of `target` among them", x["subset"])
            x = {name: ids for name, ids in x.items() if name != "subset"}
        super().check_batch(x, y)

    @classmethod
    def example_config(cls):
        """A few words and units, and more words than the softmax sees in training."""
        return {
            "source_vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "target_vocabulary": ["a", "the", "cat", "mat", "sat", "on", "hat"],
            "dictionary": {"cat": ["cat", "tom"], "mat": ["mat", "the", "hat"], "sat": ["sat"]},
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "attention": "general",
            "dropout": 0.1,
            "subset": 9,
            "frequent": 2,
            "per_word": 3,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        pairs = {name: found["encode"][name] for name in ("sources", "targets")}
        return {
            **found,
            "translate": {**found["translate"], "candidates": True, "replace": True},
            "partitions": {**pairs, "batch_size": 2, "order": "once"},
            "candidates": {"sources": pairs["sources"], "batch_size": 1},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256]),
            "units": hp.Choice("units", [128, 256, 512]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 0.3, 3.0, sampling="log"),
        }

    # --- use ---

    @checked
    def candidates(self, sources: Texts, batch_size: Count = ROWS) -> list:
        """The words that `translate` chooses among, for each of the sources.

        Args:
            sources: list of strings.
            batch_size: texts at once.

        Returns:
            For each a list of words: those of its own, then the `frequent` ones, which are the same for all.
        """
        found, none = autodiff.in_batches(self._graph("candidates", self._candidates), [self.encode(sources)["source"]], batch_size)
        own, common = found[:, len(self._common) :], self._words[self._common[2:-1]].tolist()
        return [[*self._words[ids[~absent]].tolist(), *common] for ids, absent in zip(own, none)]

    @checked
    def translate(  # type: ignore[override]
        self,
        texts: Texts,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
        candidates: Flag = True,
        replace: Flag = True,
    ) -> list:
        """The most probable translations that a beam finds.

        Args:
            texts: list of strings, each with a word or more.
            beams: translations that are followed at once; 1 is greedy.
            length_power: they are ranked by log-probability over length to this power; 0 prefers short ones.
            n_best: give so many of each text, with scores.
            unknown: whether `<unknown>` may be written, and stays.
            batch_size: texts at once.
            candidates: whether the search is among candidates alone, if the model has a dictionary; else it is among all words.
            replace: whether an unknown word may be written and becomes what the dictionary has for the word of the source that it looks
                at most, or else that word. Without effect where `unknown` leaves it.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each text a list of pairs (string, log-probability), best first.
            Log-probabilities are those among the candidates.

        Raises:
            ValueError: if a text has no word.
        """
        replaces = replace and not unknown

        def finished(ids, sources):
            written = self._texts(ids)
            return self._replaced(written, ids, sources, batch_size) if replaces else written

        may = unknown or replace
        return self._written(texts, beams, length_power, n_best, batch_size, may, (candidates,), finished, candidates=candidates)

    def _replaced(self, written, ids, sources, batch_size):
        """Translations without unknown words; only those that have some are read again."""
        rows = np.flatnonzero((ids == text.UNKNOWN).any(axis=1))
        if not len(rows):
            return written
        origins = [sources[i] for i in rows]
        found = autodiff.in_batches(self._graph("places", self._places), [self.encode(origins)["source"], ids[rows]], batch_size)[0]
        places = [row[own == text.UNKNOWN] for row, own in zip(found, ids[rows])]
        replaced = text.replace_unknown([written[i] for i in rows], origins, places, self._first)
        for i, line in zip(rows, replaced):
            written[i] = line
        return written

    # --- export ---

    def signatures(self):
        """As those of `Translator`; `serve` restricts the search and replaces unknown words as `translate` does by default."""
        return {**super().signatures(), "serve": (self._serve_strings, [Field("source", (), "string")])}

    def _serve_strings(self, texts):
        """What `translate` does by default, out of string operations."""
        source = ops.cast(self.source_vectorization(texts), "int32")
        found, scores = self._search(source, beams=5, length_power=1.0, unknown=True)
        ids = found[:, 0]
        words = self._names(ops.where(ids == self.end, text.PADDING, ids))
        read = text.split_words(texts, self.source_length)
        words = text.put_back(words, read, ids == text.UNKNOWN, self._places(source, ids), self._keys, list(self._first.values()))
        return {"text": text.joined(words), "log_likelihood": scores[:, 0]}


def _halves(kept):
    return slice(kept), slice(kept, None)


def _plain(dictionary):
    """A dictionary as a dict of lists of words."""
    if dictionary is None:
        return None
    if not isinstance(dictionary, dict):
        arguments.refuse("dictionary", "a dict of a word to a list of words", dictionary)
    expected, found = "a dict of a word to a list of words, or of pairs of word and count", {}
    for word, others in dictionary.items():
        row = arguments.listed("dictionary", others, expected, empty=True)
        row = [other[0] if isinstance(other, (tuple, list)) and other else other for other in row]
        if not isinstance(word, str) or not all(isinstance(other, str) for other in row):
            arguments.refuse("dictionary", expected, {word: others})
        found[word] = row
    text.check_vocabulary(list(found) or ["-"], lower=True)
    return found
