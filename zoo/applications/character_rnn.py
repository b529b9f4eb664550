"""Recurrent language models of characters that know the last words, or choose their output by the last characters.

Paper: Bojanowski, Joulin, Mikolov 2015, "Alternative structures for character-level RNNs", arXiv 1511.06303. A network that reads
characters has to be large to remember what words remember easily. Two structures help a smaller one: a second network, which moves once a
word, gives its state to the one that moves once a character (`vocabulary`); and the matrix of the output is chosen by the characters that
came last (`context_size`), so that the state need not hold them. Both can be had together, with plain, gated and LSTM cells.

Shapes: character ids `(batch, length)`, and with a vocabulary word ids `(batch, words)` -> log-probability of the text `(batch,)`, in nats.

Differences from the paper:
1. Texts are rows of at most `length` characters in lower case that start anew; the paper reads on.
2. Words are what white space separates. Those that the vocabulary lacks are one. The state that characters see is that after the last whole
   word. `word_loss` adds the cross-entropy of the next word to the loss, which the paper's joint training may or may not have. Words can
   also be learned before (`fit_words`) and stay as they are (`joint=False`), which is not in the paper.
3. Adam in place of stochastic gradient descent with a rate that falls.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, text
from zoo.arguments import Callbacks, Count, Positive, Texts, Verbose, checked
from zoo.families.language_model import LanguageModel
from zoo.families.part_training import PartTraining
from zoo.families.text_writer import ROWS
from zoo.layers.recurrent_encoder import CELLS
from zoo.losses.sequence_crossentropy import sequence_crossentropy
from zoo.model import Field
from zoo.text.characters import SPACE, split_vectorization

# more characters choose among a table of more than a million
_MOST_CONTEXT = 3
# numbers of all output matrices together
_MOST_WEIGHTS = 100_000_000
# scores of all matrices for each place, where those of all are computed
_MOST_LOGITS = 4096


class CharacterRNN(LanguageModel):
    """Language model of characters with conditioned input and output (Bojanowski et al. 2015, arXiv 1511.06303).

    Args:
        alphabet: string or list of the characters in lower case, such as `zoo.text.learn_vocabulary(texts)` gives for a list of strings.
        vocabulary: list of words, whose states characters see; `None` for no words.
        context_size: characters that choose the output's matrix; 0 for one matrix.
        contexts: strings of `context_size` characters that have a matrix of their own, all others share one; `None` for all characters.
        length: characters read of a text.
        cell: `"lstm"`, `"gru"` or `"rnn"`, a simple one; of both networks.
        embedding_size: length of the vectors of characters and of words.
        units: of the network that reads characters.
        word_units: of the network that reads words.
        word_loss: weight of the cross-entropy of the next word in training, for each character.
        joint: whether the network of words learns from characters as well; else it learns by `word_loss` and `fit_words` alone.
        dropout: rate on features, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or a word has a character that the alphabet lacks.
    """

    between = ""
    default_batch_size = 32

    def __init__(
        self,
        alphabet,
        vocabulary=None,
        context_size=1,
        contexts=None,
        length=200,
        cell="lstm",
        embedding_size=32,
        units=256,
        word_units=128,
        word_loss=0.0,
        joint=True,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("cell", cell, tuple(CELLS))
        arguments.count("context_size", context_size, 0, _MOST_CONTEXT)
        arguments.number("word_loss", word_loss, low=0)
        if not isinstance(alphabet, str):
            arguments.texts("alphabet", alphabet)
        if len(set(alphabet)) < len(alphabet) or not alphabet or any(len(one) != 1 or one != one.lower() for one in alphabet):
            arguments.refuse("alphabet", "different characters in lower case", alphabet)
        if word_loss and vocabulary is None:
            arguments.refuse("word_loss", "0 without a vocabulary", word_loss)
        self.alphabet, self.vocabulary, self.context_size, self.contexts = alphabet, vocabulary, context_size, contexts
        self.length, self.cell, self.embedding_size, self.units = length, cell, embedding_size, units
        self.word_units, self.word_loss, self.joint, self.dropout = word_units, word_loss, arguments.flag("joint", joint), dropout
        vectorization, characters = text.char_vectorization(alphabet, length), list(alphabet)
        table = self._table(characters)
        weights = (int(table.max()) + 1) * (len(characters) + 3) * arguments.count("units", units)
        if weights > _MOST_WEIGHTS:
            arguments.refuse("contexts", f"few, as the output's matrices have {weights:,} weights together", contexts)
        words = None if vocabulary is None else _Words(characters, vocabulary, embedding_size, word_units, cell, joint, name="words")
        writer = _Writer(len(characters) + 3, embedding_size, units, cell, words, dropout, name="writer")
        output = _ConditionedSoftmax(len(characters) + 3, units, table, name="word_softmax")
        self._build(characters, vectorization, writer, output)
        if words:
            self.word_vectorization = split_vectorization(characters, vocabulary)
            self._let_words_learn()
        self.compile()

    def _let_words_learn(self):
        """Leave out of training what gets no gradient."""
        self.word_network.trainable = self.joint or self.word_loss > 0
        self.word_network.logits.trainable = self.word_loss > 0

    @property
    def word_network(self):
        """The layer that moves once a word, or `None`."""
        return self.writer.words

    def _table(self, characters):
        """The matrix of each run of `context_size` ids, an array `(symbols, ...)`."""
        symbols = len(characters) + 3
        if self.contexts is None and self.context_size > 1:
            arguments.refuse("contexts", f"a list of strings of {self.context_size} characters", self.contexts)
        if self.contexts is None:
            return np.arange(symbols**self.context_size, dtype="int32").reshape([symbols] * self.context_size)
        table, ids = np.zeros([symbols] * self.context_size, "int32"), {character: i for i, character in enumerate(characters, 2)}
        for number, context in enumerate(arguments.texts("contexts", self.contexts), 1):
            if len(context) != self.context_size or not set(context) <= set(ids) or table[tuple(ids[one] for one in context)]:
                arguments.refuse("contexts", f"different strings of {self.context_size} characters of the alphabet", context)
            table[tuple(ids[character] for character in context)] = number
        return table

    # --- the network ---

    def _nats(self, x, training=False):
        """Minus the log-probabilities of the characters and the end `(batch, length + 1)`."""
        target = ops.cast(self._target(x), "int32")
        before = ops.pad(target, ((0, 0), (1, 0)), constant_values=self.end)
        words = ops.cast(x["words"], "int32") if self.writer.words else None
        features, word_losses = self.writer(before, words, training=training, losses=training and self.word_loss > 0)
        if training and self.word_loss:
            self.add_loss(self.word_loss * ops.sum(word_losses) / ops.maximum(ops.sum(ops.cast(target > 0, "float32")), 1.0))
        wide = ops.pad(before, ((0, 0), (self.context_size, 0)), constant_values=self.end)
        count = ops.shape(before)[1]
        last = ops.stack([wide[:, i + 1 : i + 1 + count] for i in range(self.context_size)], axis=-1) if self.context_size else None
        return self.word_softmax(features, text.with_end(target, self.end), last)

    def _stepper(self, x):
        """`step` and state of a search: the network's, and the last ids."""
        if not self.context_size:
            return super()._stepper(x)
        write, batch = self.writer.stepper(), ops.shape(self._target(x))[0]

        def step(ids, state):
            last = ops.concatenate([state[0][:, 1:], ids[:, None]], axis=1)
            features, moved = write(ids, state[1:])
            return self.word_softmax.logits(features, last), [last, *moved]

        return step, [ops.full((batch, self.context_size), self.end, "int32"), *self.writer.zero_state(batch)]

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(2e-3, global_clipnorm=1.0)

    # --- what goes in ---

    def input_fields(self):
        """Ids of words, if there is a vocabulary, and of characters, 0 for padding on the right; `encode` makes them."""
        found = super().input_fields()
        if not self.writer.words:
            return found
        return [Field("words", (None,), "int32", 0, len(self.vocabulary) + 1, (self._most_words,)), *found]

    @property
    def _most_words(self):
        return self.length // 2 + 1

    @checked
    def encode(self, texts: Texts) -> dict | np.ndarray:
        """The ids that `fit`, `evaluate` and `predict` take.

        Args:
            texts: list of strings, each with a character or more; of longer ones the first `length` are read.

        Returns:
            int32 `(texts, length)` of the characters; with a vocabulary a dict of these, `text`, and of `words` `(texts, any)`.

        Raises:
            ValueError: if a text has no character.
        """
        ids = self._ids("texts", texts, self.vectorization)
        if not self.writer.words:
            return ids
        words = ops.convert_to_numpy(self.word_vectorization([self._whole_words(one) for one in texts]))[:, : self._most_words]
        # few sizes are compiled
        places = min(self._most_words, -(-max(1, words.shape[1]) // 8) * 8)
        return {"words": np.pad(words, ((0, 0), (0, max(0, places - words.shape[1])))).astype("int32"), "text": ids}

    def _whole_words(self, one):
        """What is read of a text, without a last word that is cut."""
        cut = one[: self.length]
        if len(one) == len(cut) or one[self.length] in SPACE:
            return cut
        return cut[: max(cut.rfind(space) for space in SPACE) + 1]

    def _of_strings(self, texts):
        ids = self.vectorization(texts)
        if not self.writer.words:
            return [ids]
        words = ops.pad(self.word_vectorization(texts), ((0, 0), (0, self._most_words)))[:, : self._most_words]
        return [ops.cast(words, "int32"), ids]

    @checked
    def fit_words(
        self,
        texts: Texts,
        epochs: Count = 5,
        batch_size: Count | None = None,
        learning_rate: Positive = 2e-3,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Train the network of words alone, as a language model of words, before `fit`; all else stays as it is.

        Args:
            texts: list of strings.
            epochs: passes.
            batch_size: texts in a batch; `None` for the method's own.
            learning_rate: of Adam.
            callbacks: of `keras.Model.fit`.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History`; `loss` is the cross-entropy of a word in nats.

        Raises:
            ValueError: if the model has no vocabulary, or a text has no character.
        """
        if not self.word_network:
            arguments.refuse("vocabulary", "given where words are to be learned", self.vocabulary)
        part = PartTraining(self, lambda words, training: self.word_network.nats(words), "word_network")
        options = {"batch_size": batch_size or self.default_batch_size, "epochs": epochs, "callbacks": callbacks, "verbose": verbose}
        try:
            return part.learn(learning_rate, self.encode(texts)["words"], **options)
        finally:
            self._let_words_learn()

    @checked
    def bits_per_character(self, texts: Texts, batch_size: Count = ROWS) -> float:
        """Mean bits of a character, the end of each text counted as one: `-log2` of its probability."""
        nats = self.word_nats(texts, batch_size)
        return float(np.concatenate(nats).mean() / np.log(2))

    @classmethod
    def example_config(cls):
        """A few letters and words."""
        return {
            "alphabet": "acehmnost ,",
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat"],
            "context_size": 2,
            "contexts": ["th", "at", " a"],
            "length": 14,
            "cell": "gru",
            "embedding_size": 5,
            "units": 4,
            "word_units": 3,
            "word_loss": 0.5,
            "joint": False,
            "dropout": 0.1,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        words = {"fit_words": {**found["encode"], "epochs": 1, "verbose": 0}} if self.word_network else {}
        return {**found, **words, "bits_per_character": found["log_likelihood"]}

    @classmethod
    def search_space(cls, hp):
        """Cell, sizes and learning rate."""
        return {
            "cell": hp.Choice("cell", ["lstm", "gru"]),
            "units": hp.Choice("units", [128, 256, 512]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 5e-4, 5e-3, sampling="log"),
        }


class _Writer(layers.Layer):
    """A recurrent layer over vectors of characters, each beside the state of the words so far."""

    def __init__(self, symbols, embedding_size, units, cell, words, dropout, **kwargs):
        super().__init__(**kwargs)
        self.width, self.words = units, words
        self.embedding = layers.Embedding(symbols, arguments.count("embedding_size", embedding_size), name="embedding")
        self.embedding.build((None, None))
        self.reader = CELLS[cell](arguments.count("units", units), return_sequences=True, dtype=self.dtype_policy, name="reader")
        self.reader.build((None, None, embedding_size + (words.units if words else 0)))
        self.drop = layers.Dropout(dropout)
        self.states = 2 if cell == "lstm" else 1
        self.built = True

    def zero_state(self, batch):
        """The state before a text: of the characters, then of the words."""
        own = [ops.zeros((batch, self.width), self.compute_dtype) for _ in range(self.states)]
        return [*own, *(self.words.zero_state(batch) if self.words else [])]

    def call(self, before, words=None, training=False, losses=False):
        """Features `(batch, length, units)`, and the losses of the next words `(batch, words)` or `None`."""
        x, found = self.embedding(before), None
        if self.words:
            states, found = self.words(before, words, losses=losses)
            x = ops.concatenate([x, states], axis=-1)
        return self.drop(self.reader(x), training=training), found

    def stepper(self):
        """A function `step(ids, state) -> features, state`."""

        def step(ids, state):
            x, own, heard = self.embedding(ids), state[: self.states], state[self.states :]
            if self.words:
                heard = self.words.step(ids, heard)
                x = ops.concatenate([x, heard[0]], axis=-1)
            features, moved = self.reader.cell(x, own)
            return features, [*moved, *heard]

        return step


class _Words(layers.Layer):
    """A recurrent layer that moves when a word is over: over given words at once, or character by character."""

    def __init__(self, characters, vocabulary, embedding_size, units, cell, joint, **kwargs):
        super().__init__(**kwargs)
        text.check_vocabulary(vocabulary, lower=True)
        self.joint = joint
        self.units, self.states = arguments.count("word_units", units), 2 if cell == "lstm" else 1
        self.embedding = layers.Embedding(len(vocabulary) + 2, embedding_size, name="embedding")
        self.embedding.build((None, None))
        self.reader = CELLS[cell](units, return_sequences=True, dtype=self.dtype_policy, name="reader")
        self.reader.build((None, None, embedding_size))
        self.logits = layers.Dense(len(vocabulary) + 2, dtype="float32", name="logits")
        self.logits.build((None, None, units))
        self._next, self._word = _trie(characters, vocabulary)
        # what stands before a text, and behind it, ends a word too
        self._ends = np.array([True, False, *(character in SPACE for character in characters), True])
        self.built = True

    def zero_state(self, batch):
        """The states of the reader, the place in the tree of words, and whether the last character was none of a word."""
        states = [ops.zeros((batch, self.units), self.compute_dtype) for _ in range(self.states)]
        return [*states, ops.zeros((batch,), "int32"), ops.ones((batch,), "bool")]

    def call(self, before, words, losses=False):
        """The state after the last whole word, before each character `(batch, length, units)`, and losses of the next words or `None`."""
        states = self._states(words)
        ends = ops.take(ops.convert_to_tensor(self._ends), before)
        over = ends & ~ops.pad(ends[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        count = ops.minimum(ops.cumsum(ops.cast(over, "int32"), axis=1), ops.shape(words)[1])
        found = ops.take_along_axis(states if self.joint else ops.stop_gradient(states), count[..., None], axis=1)
        return found, self._word_losses(words, states) if losses else None

    def nats(self, words):
        """Minus the log-probabilities of words given those before `(batch, words)`, 0 for padding."""
        return self._word_losses(words, self._states(words))

    def _states(self, words):
        """Before the first word, and behind each."""
        return ops.pad(self.reader(self.embedding(words)), ((0, 0), (1, 0), (0, 0)))

    def _word_losses(self, words, states):
        return sequence_crossentropy(words, self.logits(states[:, :-1]))

    def step(self, ids, state):
        """The state after a character."""
        *states, node, outside = state
        ends = ops.take(ops.convert_to_tensor(self._ends), ids)
        word = self.embedding(ops.take(ops.convert_to_tensor(self._word), node))
        moved = self.reader.cell(word, states)[1]
        over = (ends & ~outside)[:, None]
        states = [ops.where(over, new, old) for new, old in zip(moved, states)]
        following = ops.take(ops.convert_to_tensor(self._next.ravel()), node * self._next.shape[1] + ids)
        return [*states, ops.where(ends, 0, following), ends]


class _ConditionedSoftmax(layers.Layer):
    """A softmax over symbols whose matrix the last symbols choose."""

    def __init__(self, symbols, units, table, **kwargs):
        super().__init__(**kwargs)
        self.symbols, self.units, self._table = symbols, units, table
        count = int(table.max()) + 1
        self.kernel = self.add_weight(
            (count, symbols, units), keras.initializers.RandomNormal(stddev=units**-0.5), name="kernel", autocast=False
        )
        self.bias = self.add_weight((count, symbols), "zeros", name="bias", autocast=False)
        self.built = True

    def _number(self, last):
        """Of the matrix that the last ids `(..., context_size)` choose."""
        place = 0
        for i in range(self._table.ndim):
            place = place * self.symbols + last[..., i]
        return ops.take(ops.convert_to_tensor(self._table.ravel()), place)

    def logits(self, inputs, last=None):
        """Logits `(..., symbols)` float32."""
        inputs, (count, symbols, units) = ops.cast(inputs, "float32"), self.kernel.shape
        if last is None:
            return ops.matmul(inputs, ops.transpose(self.kernel[0])) + self.bias[0]
        number = self._number(last)
        bias = ops.take(self.bias, number, axis=0)
        if count * symbols > _MOST_LOGITS:
            return ops.einsum("...u,...su->...s", inputs, ops.take(self.kernel, number, axis=0)) + bias
        # all matrices at once cost less than to fetch one for each place
        scores = ops.matmul(inputs, ops.transpose(ops.reshape(self.kernel, (-1, units))))
        scores = ops.reshape(scores, (*ops.shape(inputs)[:-1], count, symbols))
        return ops.take_along_axis(scores, number[..., None, None], axis=-2)[..., 0, :] + bias

    def call(self, inputs, targets, last=None):
        """Losses `(batch, length)` float32 of `targets`, 0 for padding."""
        return sequence_crossentropy(targets, self.logits(inputs, last))


def _trie(characters, vocabulary):
    """The tree of the words as int32 tables: the node behind each node and id `(nodes, ids)`, and the word's id at each node `(nodes,)`.

    Node 0 is before a word, node 1 where there is no word any more.
    """
    ids = {character: i for i, character in enumerate(characters, 2)}
    rows, found = [{}, {}], {}
    for number, word in enumerate(vocabulary, 2):
        if not set(word) <= set(ids) or set(word) & set(SPACE):
            arguments.refuse("vocabulary", "words of characters of the alphabet, without white space", word)
        node = 0
        for character in word:
            if ids[character] not in rows[node]:
                rows[node][ids[character]] = len(rows)
                rows.append({})
            node = rows[node][ids[character]]
        found[node] = number
    following = np.ones((len(rows), len(characters) + 3), "int32")
    for node, row in enumerate(rows):
        following[node, list(row)] = list(row.values())
    return following, np.array([found.get(node, text.UNKNOWN) for node in range(len(rows))], "int32")
