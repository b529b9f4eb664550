"""What language models share: the nats of words or characters, texts that go on, random texts."""

from functools import partial

import numpy as np
from keras import ops

from zoo import arguments, autodiff, text
from zoo.arguments import Count, Index, Positive, Sentences, Share, Texts, checked
from zoo.families.text_writer import ROWS, TextWriter
from zoo.fields import PaddedField
from zoo.layers.word_softmax import WordSoftmax
from zoo.model import Field

# what the exported model adds to a text
_ADDED = 10


class LanguageModel(TextWriter):
    """Ids of the words of a text `(batch, any)` -> its log-probability, `(batch,)` nats; `fit(encode(texts))`.

    Arrays may be shorter than `length`, which cuts texts. A method sets `length`, calls `_build`, and may override `_features` and
    `_writer_step` or `_stepper`, which have to be one function.
    """

    def _build(self, symbols, vectorization, writer, output=None):
        """What is written, a list of strings; the layer from texts to their ids; layers like `RecurrentDecoder` and `WordSoftmax`."""
        arguments.count("length", self.length)
        self._set_words(symbols)
        self.vectorization, self.writer = vectorization, writer
        self.word_softmax = output or WordSoftmax(self.end + 1, writer.width, name="word_softmax")

    # --- the network ---

    def call(self, x, training=False):
        """Log-probabilities of texts `(batch,)`; in training estimates, where the softmax is."""
        return -ops.sum(self._nats(x, training), axis=1)

    def _nats(self, x, training=False):
        """Minus the log-probabilities of the words and the end `(batch, length + 1)`."""
        target = ops.cast(self._target(x), "int32")
        before = text.behind_end(target, self.end)
        return self.word_softmax(self._features(before, x, training), text.with_end(target, self.end), training=training)

    def _features(self, before, x, training=False):
        """Features of the next word at all places, given the words before."""
        return self.writer(before, training=training)[0]

    def _stepper(self, x):
        """`step` and state of a search, with logits as scores; the texts of `x` say how many there are."""
        write = self._writer_step(x)

        def step(ids, state):
            features, state = write(ids, state)
            return self.word_softmax.logits(features), state

        return step, self.writer.zero_state(ops.shape(self._target(x))[0])

    def _writer_step(self, x):
        """The writer's step, which gives features."""
        return self.writer.stepper()

    # --- what goes in ---

    def input_fields(self):
        """Ids, 0 for padding on the right; `encode` makes them."""
        return [PaddedField("text", (None,), "int32", 0, self.end - 1, (self.length,))]

    def example_calls(self):
        """A small valid call of every verb."""
        texts = ["the cat sat", "a mat"]
        return {
            **super().example_calls(),
            "encode": {"texts": texts},
            "log_likelihood": {"texts": texts, "batch_size": 1},
            "word_nats": {"texts": texts, "batch_size": 1},
            "sample": {"n": 2, "temperature": 0.7, "top_k": 3, "top_p": 0.9, "seed": 1},
            "complete": {"texts": texts, "words": 2, "beams": 2, "temperature": 0.7, "top_k": 3, "top_p": 0.9, "seed": 1},
        }

    def _columns(self, texts):
        """What `encode` gives, as a list of arrays."""
        x = self.encode(texts)
        return list(x.values()) if isinstance(x, dict) else [x]

    def _packed(self, columns):
        """What `call` takes, of that list."""
        names = [field.name for field in self.input_fields()]
        return columns[0] if len(names) == 1 else dict(zip(names, columns))

    @checked
    def encode(self, texts: Texts) -> dict | np.ndarray:
        """The ids that `fit`, `evaluate` and `predict` take.

        Args:
            texts: list of strings, each with a word or more; of longer ones the first `length` words are read.

        Returns:
            int32 `(texts, length)`; `zoo.text.trimmed` takes away what no text needs.

        Raises:
            ValueError: if a text has no word.
        """
        return self._ids("texts", texts, self.vectorization)

    # --- use ---

    @checked
    def log_likelihood(self, texts: Sentences, batch_size: Count = ROWS) -> np.ndarray:
        """Log-probabilities of texts, the end included, in nats: float32 array `(texts,)`. Unknown words count as one."""
        run = self._graph("log_likelihood", lambda *columns: self(self._packed(columns)))
        return autodiff.in_batches(run, self._columns(texts), batch_size)[0]

    @checked
    def word_nats(self, texts: Sentences, batch_size: Count = ROWS) -> list:
        """Minus the log-probability of each word given those before.

        Args:
            texts: list of strings.
            batch_size: texts at once.

        Returns:
            For each text a float32 array `(words + 1,)`; the last is the end's. The exponential of a mean is a perplexity.
        """
        columns = self._columns(texts)
        nats = autodiff.in_batches(self._graph("nats", lambda *columns: self._nats(self._packed(columns))), columns, batch_size)[0]
        return [row[: words + 1] for row, words in zip(nats, np.count_nonzero(columns[-1], axis=1))]

    @checked
    def sample(
        self, n: Count = 1, temperature: Positive = 1.0, top_k: Count | None = None, top_p: Share | None = None, seed: Index | None = None
    ) -> list:
        """Random texts.

        Args:
            n: how many.
            temperature: what logits are divided by; below 1 the probable words gain.
            top_k: draw from so many of the most probable words.
            top_p: draw from the fewest words that have this probability together.
            seed: an int gives the same texts each time.

        Returns:
            List of strings, words separated by spaces.
        """
        self._seed(seed)
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return self._sampled([np.zeros((n, 1), "int32") for _ in self.input_fields()], **options)

    def _sampled(self, columns, **options):
        """A random text for each row of what `encode` gives, whatever its texts."""

        def draw(*columns):
            x = self._packed(columns)
            return self._drawn(self._stepper(x), self._target(x), self.length, **options)

        return self._texts(autodiff.in_batches(self._graph(("sample", *options.values()), draw), columns, ROWS)[0])

    @checked
    def complete(
        self,
        texts: Sentences,
        words: Count = _ADDED,
        beams: Count | None = None,
        temperature: Positive = 1.0,
        top_k: Count | None = None,
        top_p: Share | None = None,
        seed: Index | None = None,
    ) -> list:
        """Texts that go on.

        Args:
            texts: list of strings, each with a word or more, and fewer than `length`.
            words: to add at most; the end of the text may come earlier.
            beams: add the most probable words that a search with so many beams finds, in place of random ones.
            temperature: as in `sample`.
            top_k: as in `sample`.
            top_p: as in `sample`.
            seed: as in `sample`.

        Returns:
            List of strings: each text, and the words that were added.

        Raises:
            ValueError: if a text has no word, or too many.
        """
        self._seed(seed)
        columns = self._columns(texts)
        counts = np.count_nonzero(columns[-1], axis=1)
        if counts.max() >= self.length:
            arguments.refuse("texts", f"shorter than `length`, {self.length}, to go on", texts[int(counts.argmax())])
        options = {"beams": beams} if beams else {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        run = self._graph(("complete", words, *options.items()), partial(self._completed, words=words, **options))
        found = autodiff.in_batches(run, columns, ROWS)[0]
        added = self._texts([row[count:] for row, count in zip(found, counts)])
        texts = [one if isinstance(one, str) else one[-1] for one in texts]
        return [f"{one}{self.between}{other}" if other else one for one, other in zip(texts, added)]

    def _completed(self, *columns, words, beams=None, **options):
        """Ids `(batch, length + words)` that start with the given ones."""
        x = self._packed(columns)
        ids = self._target(x)
        counts, places = ops.sum(ops.cast(ids > 0, "int32"), axis=1, keepdims=True), ops.arange(self.length + words)
        known = ops.pad(ids, ((0, 0), (0, self.length + words - ids.shape[1])))
        # free behind the text, and padding behind that
        given = ops.where((places >= counts) & (places < counts + words), -1, known)
        model = self._stepper(x)
        if beams is None:
            return self._drawn(model, ids, self.length + words, given=given, **options)
        return self._found(model, ids, self.length + words, beams, 0.0, False, given=given, closed=False)[0][:, 0]

    # --- export ---

    def _of_strings(self, texts):
        """What `encode` gives, as a list of tensors, of a string tensor `(batch,)`."""
        return [self.vectorization(texts)]

    def _complete_strings(self, texts):
        return {"text": self._named(self._completed(*self._of_strings(texts), words=_ADDED, beams=5))}

    def signatures(self):
        """`serve` takes strings and gives their log-probabilities, `complete` adds the most probable words that a beam of 5 finds, `score`
        takes ids."""
        strings = [Field("text", (), "string")]
        return {
            "serve": (lambda text: {self.output_name: self(self._packed(self._of_strings(text)))}, strings),
            "complete": (self._complete_strings, strings),
            "score": (self._serve, self.input_fields()),
        }
