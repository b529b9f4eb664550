"""A language model that writes a sentence knowing the sentences before it, by a gate of its LSTM that lets their words in.

Paper: Wang, Cho 2015, "Larger-Context Language Modelling", arXiv 1511.03729. Most language models read each sentence for itself. Here the
sentences before it become a vector: their words as one bag (`"bag"`), a bag for each sentence that a recurrent network reads
(`"sequence"`), or bags that two recurrent networks read and the writer attends to before each word (`"attention"`). The vector enters every
gate of the LSTM (early fusion), or it is added, through a gate of its own, to the memory cell where that becomes the output (late fusion):
the cell keeps what is within the sentence, and the context does not have to pass through it.

Shapes: word ids of the sentences before, `(batch, sentences, length)`, and of the text, `(batch, length)` -> log-probability of the text
`(batch,)`, in nats.

Differences from the paper:
1. A bag is the mean of its word vectors, not their sum, so that many sentences are no longer vectors than few.
2. Adam in place of Adadelta; dropout on word vectors and features. Default sizes are an eighth of the paper's `units=1000`.
3. What was not checked: the gate's equations are those of `_ContextLSTM`, from memory; attention asks with the last output and word.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, text
from zoo.arguments import Count, Index, Positive, Sentences, Share, TextLists, checked
from zoo.families.language_model import LanguageModel
from zoo.layers.attention import Attention
from zoo.layers.both_directions import both_directions
from zoo.model import Field

CONTEXTS = ("none", "bag", "sequence", "attention")
FUSIONS = ("early", "late")


class LargerContextLM(LanguageModel):
    """Language model of a sentence given those before it (Wang and Cho 2015, arXiv 1511.03729).

    Texts of verbs are lists of sentences, of which the last is meant and the others are what comes before; a string is a sentence that
    nothing comes before. `zoo.text.with_contexts(documents, 4)` makes them.

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        context: `"bag"`, `"sequence"` or `"attention"`; `"none"` for a plain LSTM.
        fusion: `"late"` or `"early"`.
        sentences: so many sentences before are read.
        length: words read of a sentence.
        embedding_size: length of a word vector.
        units: of the LSTM.
        context_units: of what reads the sentences before, and of the vectors of their words.
        dropout: rate on word vectors and on features, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 32

    def __init__(
        self,
        vocabulary,
        context: Literal["none", "bag", "sequence", "attention"] = "attention",
        fusion: Literal["early", "late"] = "late",
        sentences=4,
        length=50,
        embedding_size=64,
        units=128,
        context_units=64,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("context", context, CONTEXTS)
        arguments.one_of("fusion", fusion, FUSIONS)
        arguments.count("sentences", sentences)
        self.vocabulary, self.context, self.fusion, self.sentences, self.length = vocabulary, context, fusion, sentences, length
        self.embedding_size, self.units, self.context_units, self.dropout = embedding_size, units, context_units, dropout
        symbols = len(vocabulary) + 3
        reader = None if context == "none" else _ContextReader(symbols, context_units, context, name="context_reader")
        writer = _ContextLSTM(symbols, embedding_size, units, reader, fusion, dropout, name="writer")
        self._build(vocabulary, text.word_vectorization(vocabulary, length), writer)
        self.compile()

    # --- the network ---

    def _features(self, before, x, training=False):
        return self.writer(before, self._known(x), training=training)

    def _writer_step(self, x):
        return self.writer.stepper(self._known(x))

    def _known(self, x):
        """What the sentences before say, a dict for the writer."""
        return {} if self.context == "none" else self.writer.reader(ops.cast(x["context"], "int32"))

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    # --- what goes in ---

    def input_fields(self):
        """Ids of the sentences before, 0 for padding, those without words first; and of the text; `encode` makes them."""
        found = super().input_fields()
        if self.context == "none":
            return found
        return [Field("context", (self.sentences, None), "int32", 0, self.end - 1, (self.length,)), *found]

    @checked
    def encode(self, texts: Sentences) -> dict | np.ndarray:
        """The ids that `fit`, `evaluate` and `predict` take.

        Args:
            texts: list of lists of sentences, the last with a word or more; or list of strings. The `sentences` sentences before the
                last are read, and `length` words of each.

        Returns:
            Dict of int32 arrays `context` `(texts, sentences, length)` and `text` `(texts, length)`; the latter alone if there is no
            context.

        Raises:
            ValueError: if a last sentence has no word.
        """
        parts = [[one] if isinstance(one, str) else one for one in texts]
        ids = self._ids("texts", [part[-1] for part in parts], self.vectorization)
        if self.context == "none":
            return ids
        before = [([""] * self.sentences + list(part[:-1]))[-self.sentences :] for part in parts]
        found = ops.convert_to_numpy(self.vectorization([sentence for part in before for sentence in part]))
        return {"context": found.astype("int32").reshape(len(parts), self.sentences, self.length), "text": ids}

    def _of_strings(self, texts):
        ids = self.vectorization(texts)
        if self.context == "none":
            return [ids]
        return [ops.zeros((ops.shape(ids)[0], self.sentences, self.length), "int32"), ids]

    # --- use ---

    @checked
    def sample(  # type: ignore[override]
        self,
        n: Count = 1,
        temperature: Positive = 1.0,
        top_k: Count | None = None,
        top_p: Share | None = None,
        seed: Index | None = None,
        after: TextLists | None = None,
    ) -> list:
        """Random sentences.

        Args:
            n: how many.
            temperature: what logits are divided by; below 1 the probable words gain.
            top_k: draw from so many of the most probable words.
            top_p: draw from the fewest words that have this probability together.
            seed: an int gives the same texts each time.
            after: lists of sentences; `n` are then drawn to follow each of them.

        Returns:
            List of strings, words separated by spaces, those that follow the same one another.
        """
        self._seed(seed)
        # a last sentence that nobody reads
        texts = [[*part, "<unknown>"] for part in (after or [[]]) for _ in range(n)]
        return self._sampled(self._columns(texts), temperature=temperature, top_k=top_k, top_p=top_p)

    def example_calls(self):
        """A small valid call of every verb."""
        found = super().example_calls()
        return {**found, "sample": {**found["sample"], "after": [["the cat sat", "a mat"]]}}

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "context": "attention",
            "fusion": "late",
            "sentences": 2,
            "length": 6,
            "embedding_size": 5,
            "units": 4,
            "context_units": 6,
            "dropout": 0.1,
        }

    @classmethod
    def search_space(cls, hp):
        """What reads the context, sizes, dropout and learning rate."""
        return {
            "context": hp.Choice("context", ["bag", "sequence", "attention"]),
            "units": hp.Choice("units", [128, 256, 512]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 3e-3, sampling="log"),
        }


class _ContextReader(layers.Layer):
    """Sentences `(batch, sentences, length)` as one vector, or as a vector for each of them (section 3.1)."""

    def __init__(self, symbols, units, kind, **kwargs):
        super().__init__(**kwargs)
        self.units, self.kind = arguments.count("context_units", units), kind
        self.embedding = layers.Embedding(symbols, units, name="embedding")
        self.embedding.build((None, None))
        self.reader = None
        if kind == "sequence":
            self.reader = layers.LSTM(units, dtype=self.dtype_policy, name="reader")
        elif kind == "attention":
            if units % 2:
                arguments.refuse("context_units", "an even number, half of it for each direction", units)
            self.reader = both_directions(layers.LSTM(units // 2, return_sequences=True, dtype=self.dtype_policy), name="reader")
        if self.reader:
            self.reader.build((None, None, units))
        self.built = True

    def call(self, ids):
        """Dict of `vector` `(batch, units)`, or of `memory` `(batch, sentences, units)` and `present` `(batch, sentences)`."""
        words = ops.cast(ids > 0, self.compute_dtype)
        vectors = self.embedding(ids) * words[..., None]
        if self.kind == "bag":
            return {"vector": ops.sum(vectors, axis=(1, 2)) / ops.maximum(ops.sum(words, axis=(1, 2)), 1)[:, None]}
        count = ops.sum(words, axis=2)
        bags = ops.sum(vectors, axis=2) / ops.maximum(count, 1)[..., None]
        if self.kind == "sequence":
            return {"vector": self.reader(bags)}
        return {"memory": self.reader(bags), "present": count > 0}


class _ContextLSTM(layers.Layer):
    """An LSTM over words and a context `p`, which is the same for all words or looked for before each.

    With `x` a word, `h` the last output and `c` the cell: i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c = f c + i g,
    h = o tanh(c). Early fusion adds V p to the four sums. Late fusion (section 3.2) leaves them and has h = o tanh(c + r (P p)), with the
    gate r = sigmoid(R (P p) + S c + b).
    """

    def __init__(self, symbols, embedding_size, units, reader, fusion, dropout, **kwargs):
        super().__init__(**kwargs)
        self.width, self.reader, self.fusion = arguments.count("units", units), reader, fusion
        self.embedding = layers.Embedding(symbols, arguments.count("embedding_size", embedding_size), name="embedding")
        self.embedding.build((None, None))
        self.drop = layers.Dropout(dropout)
        self.kernel = self.add_weight((embedding_size, 4 * units), "glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight((units, 4 * units), "orthogonal", name="recurrent_kernel")
        # forget gates start open
        self.bias = self.add_weight((4 * units,), "zeros", name="bias")
        self.bias.assign(np.repeat([0.0, 1.0, 0.0, 0.0], units))
        self.attend = None
        if reader:
            self.context_kernel = self.add_weight(
                (reader.units, units if fusion == "late" else 4 * units), "glorot_uniform", name="context_kernel"
            )
            if reader.kind == "attention":
                self.attend = Attention(units + embedding_size, reader.units, units=units, name="attend")
        if reader and fusion == "late":
            self.gate_context = self.add_weight((units, units), "glorot_uniform", name="gate_context")
            self.gate_cell = self.add_weight((units, units), "glorot_uniform", name="gate_cell")
            self.gate_bias = self.add_weight((units,), "zeros", name="gate_bias")
        self.built = True

    def zero_state(self, batch):
        """The state before a text, `h` and `c`."""
        return [ops.zeros((batch, self.width), self.compute_dtype) for _ in range(2)]

    def call(self, before, known, training=False):
        """Features `(batch, length, units)` given the words before and what `_ContextReader` gives."""
        cell = _Cell(self, self._looker(known), dtype=self.dtype_policy)
        x = self.drop(self.embedding(before), training=training)
        state = self.zero_state(ops.shape(before)[0])
        return self.drop(layers.RNN(cell, return_sequences=True, dtype=self.dtype_policy)(x, initial_state=state), training=training)

    def stepper(self, known):
        """A function `step(ids, state) -> features, state` for rows of ids `(n,)`; row `i` is of text `i // (n // batch)`."""
        look = self._looker(known, beams=True)
        return lambda ids, state: self.move(self.embedding(ids), state, look)

    def _looker(self, known, beams=False):
        """A function of word and last output to the context through its kernel, or `None`; with beams of some rows of each text."""
        if not self.reader:
            return None
        if self.attend is None:
            fixed = ops.matmul(known["vector"], self.context_kernel)
            return lambda x, h: ops.repeat(fixed, ops.shape(x)[0] // ops.shape(fixed)[0], axis=0) if beams else fixed
        # a text without sentences before it has no context, not the mean of nothing
        memory, some = known["memory"], ops.cast(ops.any(known["present"], axis=1), self.compute_dtype)
        keys, present = self.attend.keys(memory), known["present"]

        def look(x, h):
            query = ops.concatenate([h, x], axis=-1)
            # while it learns, shapes have to be known
            query = ops.reshape(query, (ops.shape(memory)[0], -1, self.attend.query_dim)) if beams else query[:, None]
            found = self.attend(query, memory, present, keys)[0] * some[:, None, None]
            found = ops.reshape(found, (-1, self.reader.units)) if beams else found[:, 0]
            return ops.matmul(found, self.context_kernel)

        return look

    def move(self, x, state, look):
        """A step: output, and the new state."""
        h, c = state
        sums = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        context = look(x, h) if look else None
        if look and self.fusion == "early":
            sums = sums + context
        i, f, g, o = ops.split(sums, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        shown = c
        if look and self.fusion == "late":
            gate = ops.sigmoid(ops.matmul(context, self.gate_context) + ops.matmul(c, self.gate_cell) + self.gate_bias)
            shown = c + gate * context
        h = ops.sigmoid(o) * ops.tanh(shown)
        return h, [h, c]


class _Cell(layers.Layer):
    """The step of a `_ContextLSTM`, for `keras.layers.RNN`."""

    def __init__(self, layer, look, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.look = layer, look
        self.state_size, self.output_size, self.built = [layer.width, layer.width], layer.width, True

    def call(self, x, states, training=False):
        return self.inner.move(x, states, self.look)
