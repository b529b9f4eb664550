"""End-to-end memory networks: answer a question, or predict the next word, by attending several times to a memory.

Sukhbaatar et al. 2015, "End-To-End Memory Networks", arXiv:1503.08895. Every sentence (or word) is stored as an input and an output
vector; each hop compares the state with the input vectors and adds the attended sum of the output vectors to the state.

Differences from the paper:

1. Padding sentences are masked: they get no attention (in the authors' code they are zero vectors that take part in the softmax).
2. Random noise puts each sentence one more step back in time with probability `random_noise`, which is what empty memories between the
   sentences do; the memories themselves are not inserted, since they would be masked.
3. The gradient is clipped by its norm over all weights, as section 5 says; the authors' code for question answering clips each matrix.
4. Losses are summed over the batch, as in the authors' code: a learning rate of 0.01 is meant for batches of 32.
5. The weights of the position encoding are twice the paper's, as in the authors' code: their mean is then 1, as for a bag of words.
   With the paper's, at the same learning rate, tasks that need the order of words are not learned.
6. In the language model training does not stop by itself when the learning rate falls below 1e-5.
"""

from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, Kind, Text, Texts, checked
from zoo.datasets import babi
from zoo.layers import PositionEncoding
from zoo.metrics import Perplexity
from zoo.model import Field, Model

QUERY = 0.1  # every component of the language model's question (section 5)
# what an argument that is `None` means for each form; the language model's are those of the authors' code
FORMS = {
    "qa": {"hops": 3, "embedding_size": 20, "memory_size": 50, "tying": "adjacent", "stddev": 0.1},
    "lm": {"hops": 6, "embedding_size": 150, "memory_size": 100, "tying": "layerwise", "stddev": 0.05},
}


Story = Annotated[Sequence[str], Kind(arguments.texts, empty=True)]


class MemN2N(Model):
    """End-to-end memory network (Sukhbaatar et al. 2015, arXiv:1503.08895).

    The model's output are logits of all words; id 0 is padding and never answered, word i of `vocabulary` has the id i + 1.

    Args:
        vocabulary: list of words in lower case; `zoo.datasets.babi.vocabulary` makes one.
        form: `"qa"`, question answering over sentences, or `"lm"`, a language model whose memories are the preceding words.
        hops: times that the memory is read; 3 for `"qa"`, 6 for `"lm"` (the paper: up to 7).
        embedding_size: size d of all vectors; 20 for `"qa"` (joint training: 50), 150 for `"lm"`.
        memory_size: number of memories; 50 for `"qa"`, 100 for `"lm"` (the paper: 100 to 200).
        sentence_length: words of a sentence at most (`"qa"` only).
        tying: `"adjacent"` (the output embedding of a hop is the input embedding of the next, section 2.2), `"layerwise"` (all hops share
            both, the state passes through a matrix H); adjacent for `"qa"` and layerwise for `"lm"`.
        encoding: `"position"` or `"bag"` of words (section 4.1; `"qa"` only).
        temporal: whether memories carry a learned encoding of their age.
        random_noise: rate of empty memories in training (`"qa"` only).
        stddev: of the normal initial weights; 0.1 for `"qa"`, 0.05 for `"lm"`.
        unknown: word of the vocabulary that the verbs read in place of one that is not in it; `None` refuses such words.
        **kwargs: of `zoo.Model`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    output_name = "probabilities"

    def __init__(
        self,
        vocabulary,
        form="qa",
        hops=None,
        embedding_size=None,
        memory_size=None,
        sentence_length=11,
        tying=None,
        encoding="position",
        temporal=True,
        random_noise=0.1,
        stddev=None,
        unknown=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("form", form, tuple(FORMS))
        arguments.one_of("tying", tying, ("adjacent", "layerwise", None))
        arguments.one_of("encoding", encoding, ("position", "bag"))
        if isinstance(vocabulary, str) or len(vocabulary) < 2 or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(f"`vocabulary` must be a list of two or more different words. Received: {str(vocabulary)[:100]}")
        if unknown is not None and unknown not in vocabulary:
            raise ValueError(f"`unknown` must be a word of the vocabulary, or None. Received: {unknown!r}")
        self.vocabulary, self.form, self.sentence_length, self.encoding = vocabulary, form, sentence_length, encoding
        self.temporal, self.random_noise, self.unknown = temporal, random_noise, unknown
        given = {"hops": hops, "embedding_size": embedding_size, "memory_size": memory_size, "tying": tying, "stddev": stddev}
        for name, value in given.items():
            setattr(self, name, FORMS[form][name] if value is None else value)

        self._ids = {word: number for number, word in enumerate(vocabulary, start=1)}
        self._adjacent = self.tying == "adjacent"
        self._build_weights()
        self.seed_generator = keras.random.SeedGenerator()
        self.position = PositionEncoding(self.embedding_size, dtype="float32")
        self._answer = autodiff.compiled(self._probabilities, self)
        self._attend = autodiff.compiled(self._attention, self)
        self.compile()

    def _build_weights(self):
        """Adjacent tying has the tables A_1 = B, C_1 = A_2, ..., C_K = W; layerwise A and C, shared by the hops, and B, W and H."""

        def weight(name, *shape):
            return self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(stddev=self.stddev), name=name)

        words, size = len(self.vocabulary) + 1, self.embedding_size
        tables = self.hops + 1 if self._adjacent else 2
        self.words = weight("words", words, tables, size)
        if self.temporal:
            self.ages = weight("ages", self.memory_size, tables, size)
        if not self._adjacent:
            self.answers = weight("answers", words, size)
            self.transition = weight("transition", size, size)
            if self.form == "qa":
                self.questions = weight("questions", words, size)
        # 1: the memory is read with a softmax; 0: linearly, see `zoo.callbacks.LinearStart`
        self.softmax_gate = self.add_weight(shape=(), initializer="ones", trainable=False, name="softmax_gate")

    # --- the network ---

    def call(self, x, training=False):
        """Logits of the answer or the next word, `(batch, len(vocabulary) + 1)`."""
        return self._read(x, training)[0]

    def _read(self, x, training=False):
        """Logits, and the attention of every hop `(batch, hops, memory_size)`."""
        story = x["story"] if self.form == "qa" else x[..., None]
        present = ops.any(story != 0, axis=-1)
        memory = self._memory(story, present, training)
        state = self._question(x)
        attention = []
        for hop in range(self.hops):
            given, taken = (hop, hop + 1) if self._adjacent else (0, 1)
            weights = self._weights(ops.sum(memory[:, :, given] * state[:, None], axis=-1), present)
            attention.append(weights)
            output = ops.sum(memory[:, :, taken] * ops.cast(weights, memory.dtype)[..., None], axis=1)
            state = output + (state if self._adjacent else ops.matmul(state, self.transition))
            if self.form == "lm":
                half = self.embedding_size // 2
                state = ops.concatenate([state[:, :half], ops.relu(state[:, half:])], axis=-1)
        table = self.words[:, self.hops] if self._adjacent else self.answers
        logits = ops.cast(ops.matmul(state, ops.transpose(table)), "float32")
        never = ops.arange(len(self.vocabulary) + 1) == 0
        return ops.where(never, -1e9, logits), ops.stack(attention, axis=1)

    def _memory(self, story, present, training):
        """All tables' vectors of the memories, `(batch, memory_size, tables, embedding_size)` (section 4.1)."""
        memory = self._encode(ops.take(self.words, story, axis=0), story)
        if not self.temporal:
            return memory
        if not training or self.form == "lm" or not self.random_noise:
            return memory + self.ages
        empty = keras.random.uniform(ops.shape(present), seed=self.seed_generator) < self.random_noise
        age = ops.arange(self.memory_size) + ops.cumsum(ops.cast(empty, "int32"), axis=1)
        return memory + ops.take(self.ages, ops.minimum(age, self.memory_size - 1), axis=0)

    def _question(self, x):
        """The first state, `(batch, embedding_size)`."""
        if self.form == "lm":
            return ops.full((ops.shape(x)[0], self.embedding_size), QUERY, dtype=self.compute_dtype)
        table = self.words[:, :1] if self._adjacent else self.questions[:, None]
        return self._encode(ops.take(table, x["question"], axis=0), x["question"])[:, 0]

    def _encode(self, vectors, ids):
        """Sum over words: `vectors` is `(..., words, tables, embedding_size)`, `ids` is `(..., words)`."""
        mask = ids != 0
        if self.encoding == "position" and self.form == "qa":
            weights = 2 * self.position(mask)
        else:
            weights = mask[..., None]
        return ops.sum(vectors * ops.cast(weights, vectors.dtype)[..., None, :], axis=-3)

    def _weights(self, scores, present):
        """Attention `(batch, memory_size)`, float32, 0 on padding."""
        scores = ops.cast(scores, "float32")
        softmax = ops.softmax(ops.where(present, scores, -1e9), axis=-1)
        return ops.where(self.softmax_gate > 0, softmax, scores) * ops.cast(present, "float32")

    # --- what it takes, and the paper's training ---

    def input_fields(self):
        """QA: `story` with the latest sentence first, and `question`. LM: `words`, the preceding ones, the latest first."""
        high = len(self.vocabulary)
        if self.form == "lm":
            return [Field("words", (self.memory_size,), "int32", 0, high)]
        return [
            Field("story", (self.memory_size, self.sentence_length), "int32", 0, high),
            Field("question", (self.sentence_length,), "int32", 0, high),
        ]

    def target_fields(self):
        """The id of the answer, or of the next word."""
        return [Field("answer" if self.form == "qa" else "next_word", (), "int32", 1, len(self.vocabulary))]

    def default_optimizer(self):
        """SGD, learning rate 0.01, gradient norm at most 40 (language model: 50)."""
        return keras.optimizers.SGD(0.01, global_clipnorm=40.0 if self.form == "qa" else 50.0)

    def default_loss(self):
        """Cross-entropy, summed over the batch."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def default_metrics(self):
        """Accuracy of answers, or perplexity."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy") if self.form == "qa" else Perplexity()]

    def default_callbacks(self):
        """Learning rate halved every 25 epochs up to 100; language model: divided by 1.5 when the validation loss does not fall."""
        if self.form == "lm":
            return [_OnPlateau(monitor="val_loss", factor=1 / 1.5, patience=1, min_delta=0.0, min_lr=1e-5)]
        return [keras.callbacks.LearningRateScheduler(_halve)]

    @classmethod
    def example_config(cls):
        """A network of a few words, with the options that are not the default."""
        return {
            "vocabulary": ["garden", "is", "mary", "office", "to", "went", "where"],
            "hops": 2,
            "embedding_size": 6,
            "memory_size": 5,
            "sentence_length": 4,
            "tying": "layerwise",
            "random_noise": 0.2,
            "stddev": 0.3,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        words = self.vocabulary[:6]
        texts = {"story": [" ".join(words[:2]), words[2]], "question": words[0]}
        qa = {"answer": {**texts, "top": 2}, "attention": texts}
        lm = {"next_word": {"words": words, "top": 2}, "perplexity": {"words": words, "batch_size": 2}, "windows": {"words": words}}
        lm["batches"] = {"words": words, "batch_size": 2, "seed": 1}
        without = dict.fromkeys(lm if self.form == "qa" else qa)
        return {**super().example_calls(), **(qa if self.form == "qa" else lm), **without}

    @classmethod
    def search_space(cls, hp):
        """Hops, size, encoding and learning rate."""
        return {
            "hops": hp.Int("hops", 1, 4),
            "embedding_size": hp.Choice("embedding_size", [10, 20, 50]),
            "tying": hp.Choice("tying", ["adjacent", "layerwise"]),
            "learning_rate": hp.Float("learning_rate", 1e-3, 3e-2, sampling="log"),
        }

    def signatures(self):
        """`serve`: probabilities of all words; `attention`: weights `(batch, hops, memory_size)`."""
        return {
            "serve": (lambda x: {self.output_name: self._probabilities(x)}, self.input_fields()),
            "attention": (lambda x: {"attention": self._attention(x)}, self.input_fields()),
        }

    def _probabilities(self, x):
        return ops.softmax(self(x, training=False), axis=-1)

    def _attention(self, x):
        return self._read(x)[1]

    # --- verbs ---

    @checked
    def answer(self, story: Texts, question: Text, top: Count = 3) -> list[tuple[str, float]]:
        """Answer a question about a story (`"qa"`).

        Args:
            story: list of sentences, oldest first; of a longer story the last `memory_size` are kept.
            question: a sentence.
            top: number of answers.

        Returns:
            List of (answer, probability), the best first.

        Raises:
            ValueError: if a word is not in the vocabulary (without `unknown`), a sentence is too long, or the model is a language model.
        """
        return self._best(self._answer(self._encode_text(story, question))[0], top)

    @checked
    def attention(self, story: Story, question: Text) -> np.ndarray:
        """What the hops look at (`"qa"`).

        Args:
            story: list of sentences, oldest first.
            question: a sentence.

        Returns:
            Array `(hops, len(story))` of weights; a sentence that no longer fits the memory has 0.

        Raises:
            ValueError: as `answer`.
        """
        weights = ops.convert_to_numpy(self._attend(self._encode_text(story, question)))[0]
        kept = min(len(story), self.memory_size)
        return np.pad(weights[:, :kept][:, ::-1], ((0, 0), (len(story) - kept, 0)))

    @checked
    def next_word(self, words: Texts, top: Count = 3) -> list[tuple[str, float]]:
        """Predict the next word (`"lm"`).

        Args:
            words: list of preceding words; the last `memory_size` are used.
            top: number of words.

        Returns:
            List of (word, probability), the best first.

        Raises:
            ValueError: if a word is not in the vocabulary or the model answers questions.
        """
        self._require("lm", "next_word")
        ids = self._word_ids(words)[-self.memory_size :]
        x = np.zeros((1, self.memory_size), "int32")
        x[0, : len(ids)] = ids[::-1]
        return self._best(self._answer(x)[0], top)

    @checked
    def perplexity(self, words: Texts, batch_size: Count = 128) -> float:
        """Perplexity on a text (`"lm"`): the exponential of the mean of -log p of each word given those before it.

        Args:
            words: list of words.
            batch_size: words at once.

        Raises:
            ValueError: if a word is not in the vocabulary, the text is empty or the model answers questions.
        """
        x, y = self.windows(words)
        total = 0.0
        for start in range(0, len(y), batch_size):
            rows = np.arange(start, start + batch_size) % len(y)
            p = ops.convert_to_numpy(self._answer(x[rows]))[np.arange(batch_size), y[rows]]
            total -= np.log(np.maximum(p[: len(y) - start], 1e-30)).sum()
        return float(np.exp(total / len(y)))

    @checked
    def windows(self, words: Texts) -> tuple[np.ndarray, np.ndarray]:
        """Arrays to `fit` a language model on a text (`"lm"`); for a long one see `batches`.

        Args:
            words: list of words.

        Returns:
            `x` (len(words), memory_size) int32, the words before each word, the latest first, and `y` (len(words),), the words. `x` is a
            view of the text, which takes no memory of its own and cannot be written to.

        Raises:
            ValueError: if a word is not in the vocabulary, the text is empty or the model answers questions.
        """
        self._require("lm", "windows")
        y = self._word_ids(words)
        before = np.concatenate([np.zeros(self.memory_size, "int32"), y[:-1]])
        return np.lib.stride_tricks.sliding_window_view(before, self.memory_size)[:, ::-1], y

    @checked
    def batches(self, words: Texts, batch_size: Count = 128, seed: Index = 0) -> keras.utils.PyDataset:
        """What `windows` gives, as batches in random order that are made one by one: `fit` would copy the windows of a long text.

        Args:
            words: list of words.
            batch_size: windows of a batch.
            seed: of the order, which is another in each epoch.

        Returns:
            A `keras.utils.PyDataset` for `fit`.

        Raises:
            ValueError: as `windows`.
        """
        return _Batches(*self.windows(words), batch_size, seed)

    def _require(self, form, verb):
        if self.form != form:
            raise ValueError(f'`{verb}` needs a model with `form="{form}"`. Received: form={self.form!r}')

    def _word_ids(self, words):
        unknown = sorted({w for w in words if w not in self._ids}) if self.unknown is None else []
        if unknown:
            raise ValueError(f"`words` must be a list of words of the vocabulary. Received: {unknown[:5] or repr(words)}")
        other = self._ids.get(self.unknown)
        return np.array([self._ids.get(w, other) for w in words], "int32")

    def _sentence_ids(self, sentence):
        """Ids of a sentence, padded."""
        return babi.encode_sentence(sentence, self._ids, self.sentence_length, self.unknown)

    def _encode_text(self, story, question):
        self._require("qa", "answer and attention")
        array = np.zeros((1, self.memory_size, self.sentence_length), "int32")
        for row, sentence in zip(array[0], reversed(story)):
            row[:] = self._sentence_ids(sentence)
        return {"story": array, "question": np.array([self._sentence_ids(question)], "int32")}

    def _best(self, probabilities, top):
        p = ops.convert_to_numpy(probabilities)
        return [(self.vocabulary[i - 1], float(p[i])) for i in np.argsort(-p[1:], kind="stable")[:top] + 1]


class _Batches(keras.utils.PyDataset):
    """Rows of arrays in random order."""

    def __init__(self, x, y, batch_size, seed):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.x, self.y, self.batch_size, self.rng = x, y, batch_size, np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.y) // self.batch_size)

    def __getitem__(self, index):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.x[rows], self.y[rows]

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.y))


class _OnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's callback, which would warn where there is no validation."""

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor in (logs or {}):
            super().on_epoch_end(epoch, logs)


def _halve(epoch, learning_rate):
    return learning_rate / 2 if epoch % 25 == 0 and 0 < epoch <= 100 else learning_rate
