"""SA-LSTM: a classifier of texts whose LSTM first learns from texts without labels, as a sequence autoencoder or as a language model.

Paper: Dai, Le 2015, "Semi-supervised Sequence Learning", arXiv 1511.01432. The sequence autoencoder reads a text and writes it again from
its last state, with the same LSTM for both; the language model predicts the next word. The weights that either finds are where the
classifier starts (`pretrain`, then `fit`). Options: labels at every step with linear gain, joint training, truncated backpropagation.

Shapes: word ids `(batch, length)`, 0 for padding and 1 for an unknown word -> probabilities `(batch, num_classes)`.

Differences from the paper:
1. The class is read from the state after the last word; the symbol of the text's end is seen by the decoder and the language model alone.
   Texts have a static `length`; what is longer is cut.
2. Gradients of longer texts pass the last `truncation` words of each text in the classifier and the encoder. The decoder and the language
   model, which have losses at all steps, are cut into parts of `truncation` steps, from whose beginnings no gradient leaves; the first part
   of the decoder reaches the encoder.
3. Cells are clipped before the output gate sees them, gradients by their global norm. The paper's limits were not checked: 50 and 1 here.
4. The hidden layer is rectified. Dropped words become the unknown word. Optimizer and forget gates (bias 1) were not checked either.
5. With `samples` the softmax over the words is estimated from that many words, drawn by Zipf's law for a whole batch: the vocabulary has
   to be sorted by frequency. The weights stay those of a full softmax, which negative sampling would not give.
6. Pre-training and joint training start with the biases of the softmax over words at the logarithms of the words' frequencies.
7. Joint training takes one objective of the two and may meet texts without a class (-1) in the same batch.
8. The default sizes are a quarter of the paper's, and texts are cut at 400 words, as far as gradients go: what a laptop trains. The paper's
   are `SALSTM(vocabulary, length=1024, embedding_size=512, units=1024, hidden=512)`.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Amount, Callbacks, Count, Index, Numbers, Positive, Share, Texts, Verbose, checked
from zoo.decoding import beam_search, sample_sequences
from zoo.families.text_classification import TextClassification
from zoo.families.word_vectors import WordVectors
from zoo.layers.symbol_dropout import SymbolDropout
from zoo.layers.word_softmax import WordSoftmax
from zoo.metrics.pixel_accuracy import PixelAccuracy
from zoo.model import Field, Model, is_stream
from zoo.text import PADDING, UNKNOWN, with_end, word_vectorization

OBJECTIVES = ("autoencoder", "language_model")
# far below any other number before an activation, in float16 as well
_NEVER = -1e4


class SALSTM(WordVectors, TextClassification):
    """LSTM classifier that is pre-trained by a sequence autoencoder or a language model (Dai and Le 2015, arXiv 1511.01432).

    Args:
        vocabulary: list of words, the most frequent first, such as `zoo.text.learn_vocabulary(texts)` gives.
        num_classes: number of classes.
        class_names: list of names for `classify`, or `None`.
        length: words read of a text.
        embedding_size: size of a word vector (the paper: 512, see difference 8).
        units: cells of the LSTM (the paper: 1024).
        hidden: width of the layer between LSTM and softmax (the paper: 512), or `None` for no such layer.
        dropout: rate on the hidden layer (on the LSTM's state without one).
        word_dropout: share of the words that `fit` makes unknown to the reader.
        embedding_dropout: rate on the numbers of the word vectors that `fit` reads.
        linear_gain: whether training predicts the class at every word, with weights that rise from 0 to 1 (section 3).
        truncation: words, counted from the end of the text, that gradients pass.
        cell_clip: largest absolute value of a cell, or `None`.
        gradient_clip: largest global norm of the gradients under the default optimizer and in `pretrain`, or `None`.
        samples: words that estimate the softmax over the vocabulary in training, or `None` for all words.
        joint_weight: of the unsupervised loss per word beside the supervised one in `fit`; 0 trains the classes alone. Otherwise a label of
            -1 stands for a text without one.
        joint_objective: `"autoencoder"` or `"language_model"`, of joint training.
        predict_end: whether the language model predicts the end of a text as well. Where texts are short and all end with a full stop, it
            then learns to forget everything at the stop, which is where the class is read.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        vocabulary,
        num_classes=2,
        class_names=None,
        length=400,
        embedding_size=128,
        units=256,
        hidden=128,
        dropout=0.5,
        word_dropout=0.0,
        embedding_dropout=0.0,
        linear_gain=False,
        truncation=400,
        cell_clip=50.0,
        gradient_clip=1.0,
        samples=None,
        joint_weight=0.0,
        joint_objective="autoencoder",
        predict_end=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"length": length, "embedding_size": embedding_size, "units": units, "hidden": hidden, "truncation": truncation}
        for name, value in {**sizes, "samples": samples}.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        for name, value in {"cell_clip": cell_clip, "gradient_clip": gradient_clip}.items():
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0, or None. Received: {value}")
        if joint_weight < 0:
            raise ValueError(f"`joint_weight` must not be negative. Received: {joint_weight}")
        _check_objective(joint_objective, "joint_objective")
        self._set_classes(num_classes, class_names)
        self.vocabulary, self.length, self.embedding_size, self.units, self.hidden = vocabulary, length, embedding_size, units, hidden
        self.dropout, self.word_dropout, self.embedding_dropout = dropout, word_dropout, embedding_dropout
        self.linear_gain, self.truncation, self.cell_clip, self.gradient_clip = linear_gain, truncation, cell_clip, gradient_clip
        self.samples, self.joint_weight, self.joint_objective, self.predict_end = samples, joint_weight, joint_objective, predict_end
        self.vectorization = word_vectorization(vocabulary, length)
        self.num_symbols = len(vocabulary) + 2
        recurrent, dropouts = (units, truncation, cell_clip), (word_dropout, embedding_dropout)
        self.reader = TextReader(self.num_symbols, embedding_size, *recurrent, samples, *dropouts, predict_end, name="reader")
        # the softmax over words learns in `pretrain`, and in `fit` only if that has a loss for it
        self.reader.word_softmax.trainable = joint_weight > 0
        self.head = self._build_head()
        self._verbs = {}
        self.compile()

    def _build_head(self):
        """State of the LSTM -> logits of the classes, at one step or at many."""
        x = state = keras.Input((None, self.units), name="state")
        if self.hidden is not None:
            x = layers.Dense(self.hidden, "relu", name="hidden")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        return keras.Model(state, layers.Dense(self.num_classes, dtype="float32", name="logits")(x), name="head")

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of word ids `(batch, length)`.

        While training with linear gain they are the mean of the probabilities at all steps, a geometric one weighted by the gain: minus
        their logarithm is the weighted loss of each class, so that no label is needed here.
        """
        steps, state = self.reader.read(x, training)
        if training and self.joint_weight:
            losses, targets = self.reader.word_losses(x, self.joint_objective, training, state)
            self.add_loss(self.joint_weight * _mean(losses, targets))
        if training and self.linear_gain:
            chances = keras.activations.log_softmax(self.head(steps, training=training))
            gain = linear_gain(x, steps.shape[1])[..., None]
            return ops.exp(ops.sum(gain * chances, axis=1) / ops.sum(gain, axis=1))
        return ops.softmax(self.head(steps[:, -1:], training=training)[:, 0], axis=-1)

    def _word_tables(self):
        return [self.reader.embedding.embeddings]

    # --- learning ---

    def target_fields(self):
        """Its class; -1 for none if training is joint."""
        return [Field("label", (), "int32", -1 if self.joint_weight else 0, self.num_classes - 1)]

    def default_loss(self):
        """See `objective`."""
        return None

    def default_metrics(self):
        """Accuracy on the texts that have a class."""
        return [PixelAccuracy(ignore_class=-1, name="accuracy")]

    def default_optimizer(self):
        """Adam, with clipped gradients."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=self.gradient_clip)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy, averaged over the texts that have a class."""
        label = ops.reshape(ops.cast(y, "int32"), (-1,))
        known = ops.cast(label >= 0, "float32")
        chance = ops.take_along_axis(ops.cast(y_pred, "float32"), ops.maximum(label, 0)[:, None], axis=-1)[:, 0]
        losses = -ops.log(ops.maximum(chance, 1e-30)) * known
        if sample_weight is not None:
            losses = losses * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return ops.sum(losses) / ops.maximum(ops.sum(known), 1.0)

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`; joint training of ids in an array starts as `pretrain` does, see `WordSoftmax.start_from`."""
        if self.joint_weight and not is_stream(x):
            arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
            x, y = self.prepared(x, y) if self._auto_loss else (self.prepared(x)[0], y)
            self.reader.word_softmax.start_from(x)
        return super().fit(x, y, *args, **kwargs)

    @checked
    def pretrain(
        self,
        texts: Texts | Numbers,
        objective: Literal["autoencoder", "language_model"] = "autoencoder",
        transfer: Literal["all", "embedding"] = "all",
        epochs: Count = 10,
        batch_size: Count = 64,
        learning_rate: Amount = 1e-3,
        validation_split: Share = 0.0,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
        jit_compile: Literal["auto", True, False] = "auto",
    ) -> keras.callbacks.History:
        """Learn word vectors and LSTM from texts without labels (section 2); the classifier is left as it was. No dropout is used.

        Args:
            texts: list of strings, or ids as `encode` gives.
            objective: `"autoencoder"` (SA-LSTM) or `"language_model"` (LM-LSTM).
            transfer: `"all"`: word vectors and LSTM stay. `"embedding"`: the word vectors alone; the LSTM goes back to where it was.
            epochs: passes over the texts.
            batch_size: texts in a batch.
            learning_rate: of Adam.
            validation_split: share of the texts, the last ones, to watch `val_loss` on.
            callbacks: of `keras.Model.fit`.
            verbose: of `keras.Model.fit`.
            jit_compile: of `keras.Model.compile`.

        Returns:
            The `History`; `loss` is the cross-entropy of a word in nats (an estimate with `samples`, but `val_loss` is exact).

        Raises:
            ValueError: if an argument is none of these.
        """
        ids = self._ids(texts)
        softmax, cells = self.reader.word_softmax, [*self.reader.project.weights, *self.reader.recurrent.weights]
        before = [ops.convert_to_numpy(v) for v in cells]
        model = _WordModel(self.reader, objective)
        softmax.start_from(ids)
        softmax.trainable = True
        try:
            model.compile(keras.optimizers.Adam(learning_rate, global_clipnorm=self.gradient_clip), jit_compile=jit_compile)
            history = model.fit(
                ids, batch_size=batch_size, epochs=epochs, validation_split=validation_split, callbacks=callbacks, verbose=verbose
            )
        finally:
            softmax.trainable = self.joint_weight > 0
        if transfer == "embedding":
            for variable, value in zip(cells, before):
                variable.assign(value)
        return history

    @classmethod
    def example_config(cls):
        """A short text, few cells, and the options that are not the default."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "num_classes": 3,
            "class_names": ["x", "y", "z"],
            "length": 7,
            "embedding_size": 6,
            "units": 5,
            "hidden": 4,
            "dropout": 0.2,
            "word_dropout": 0.1,
            "embedding_dropout": 0.1,
            "linear_gain": True,
            "truncation": 4,
            "cell_clip": 3.0,
            "gradient_clip": 5.0,
            "samples": 6,
            "joint_weight": 0.5,
            "joint_objective": "language_model",
            "predict_end": False,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        calls = super().example_calls()
        texts = {"texts": ["the cat sat", "a mat"]}
        pretrain = {
            **texts,
            "objective": "autoencoder",
            "transfer": "all",
            "epochs": 1,
            "batch_size": 2,
            "learning_rate": 0.01,
            "verbose": 0,
        }
        complete = {**texts, "words": 2, "temperature": 0.5, "seed": 1}
        return {**calls, "pretrain": pretrain, "complete": complete, "reconstruct": {**texts, "beams": 2}}

    @classmethod
    def search_space(cls, hp):
        """Sizes, rates of dropout, linear gain and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [32, 64, 128, 512]),
            "units": hp.Choice("units", [32, 64, 128, 1024]),
            "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1),
            "word_dropout": hp.Float("word_dropout", 0.0, 0.5, step=0.1),
            "embedding_dropout": hp.Float("embedding_dropout", 0.0, 0.8, step=0.1),
            "linear_gain": hp.Boolean("linear_gain"),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    # --- verbs ---

    @checked
    def complete(
        self, texts: Texts, words: Count = 10, temperature: Positive = 1.0, beams: Count | None = None, seed: Index = 0
    ) -> list[str]:
        """Texts that go on as the language model says; after `pretrain(objective="language_model")`, before `fit` changes the LSTM.

        Args:
            texts: list of strings with at least one word each.
            words: to add at most; the end of the text may come earlier.
            temperature: below 1 the probable words gain.
            beams: search for the most probable words with so many beams instead of drawing them.
            seed: of the draws.

        Returns:
            List of strings: the words of each text, and those that were added.

        Raises:
            ValueError: if a text has no words, or an argument is out of range.
        """
        ids = self.encode(texts)
        if not np.all(np.any(ids != PADDING, axis=1)):
            raise ValueError(f"`texts` must have at least one word each. Received: {texts[:5]}")
        found = self._verb("complete", words, temperature, beams, seed)(ids)
        return [f"{text.strip()} {self._spell(row)}".strip() for text, row in zip(texts, ops.convert_to_numpy(found))]

    @checked
    def reconstruct(self, texts: Texts, beams: Count = 1) -> list[str]:
        """What the sequence autoencoder remembers of texts; after `pretrain(objective="autoencoder")`.

        Args:
            texts: list of strings.
            beams: of the search for the most probable words.

        Returns:
            List of strings of at most `length` words.

        Raises:
            ValueError: if `texts` is no list of strings, or there is no beam.
        """
        found = self._verb("reconstruct", self.length, None, beams, None)(self.encode(texts))
        return [self._spell(row) for row in ops.convert_to_numpy(found)]

    def _verb(self, name, words, temperature, beams, seed):
        """The compiled decoder for these arguments, made once."""
        key = (name, words, temperature, beams, seed)

        def write(ids):
            if name == "complete":
                state, start = self.reader.before_the_last_word(ids)
            else:
                _, state = self.reader.read(ids)
                start = ops.full((ops.shape(ids)[0],), self.reader.end, "int32")
            if beams is None:
                return sample_sequences(self.reader.next_word, state, start, words, seed, temperature, self.reader.end)
            return beam_search(self.reader.next_word, state, start, words, beams, self.reader.end)[0][:, 0]

        if key not in self._verbs:
            self._verbs[key] = autodiff.compiled(write, self)
        return self._verbs[key]

    def _spell(self, ids):
        return " ".join(self.vocabulary[i - 2] for i in ids if i not in (PADDING, UNKNOWN, self.reader.end))

    def _ids(self, texts):
        if isinstance(texts, np.ndarray):
            return self.input_fields()[0].convert(texts).astype("int32")
        return self.encode(texts)


class TextReader(layers.Layer):
    """Word vectors, one LSTM and a softmax over words: what the objectives share.

    Args:
        num_symbols: number of ids; one more, `end`, stands for the end of a text.
        embedding_size: size of a word vector.
        units: cells.
        truncation: steps that gradients pass.
        cell_clip: largest absolute value of a cell, or `None`.
        samples: of the softmax in training, or `None`.
        word_dropout: share of words that become unknown when `read` trains.
        embedding_dropout: rate on the word vectors when `read` trains.
        predict_end: whether the language model predicts the end.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_symbols,
        embedding_size,
        units,
        truncation,
        cell_clip=None,
        samples=None,
        word_dropout=0.0,
        embedding_dropout=0.0,
        predict_end=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.end, self.units, self.truncation, self.predict_end = num_symbols, units, truncation, predict_end
        # ids have nothing to do with float16, which would round them
        self.word_dropout = SymbolDropout(word_dropout, UNKNOWN, PADDING, dtype="float32", name="word_dropout")
        self.embedding = layers.Embedding(num_symbols + 1, embedding_size, name="embedding")
        self.embedding_dropout = layers.Dropout(embedding_dropout, name="embedding_dropout")
        # what the input adds to the gates is one large product for all steps, not a small one in each
        self.project = layers.Dense(4 * units, bias_initializer=_forget_gates_open, name="project")
        self.recurrent = layers.RNN(ClippedLSTMCell(units, cell_clip, name="cell"), return_sequences=True, return_state=True, name="lstm")
        self.word_softmax = WordSoftmax(num_symbols + 1, units, samples, name="word_softmax")
        self.embedding.build((None, None))
        self.project.build((None, None, embedding_size))
        self.recurrent.build((None, None, 4 * units))
        self.built = True

    def read(self, ids, training=False):
        """The states of the LSTM in texts, which are moved to the right, so that all end at the last step.

        Args:
            ids: `(batch, length)` int32.
            training: whether to drop words and numbers.

        Returns:
            Outputs of the last `truncation` steps `(batch, steps, units)`, and the last state, two tensors `(batch, units)`.
        """
        ids = _aligned(ids, right=True)
        early, state = ids.shape[1] - self.truncation, None
        if early > 0:
            _, *state = self.recurrent(self._gates(ids[:, :early], training))
            state = [ops.stop_gradient(part) for part in state]
        steps, *state = self.recurrent(self._gates(ids[:, max(early, 0) :], training), initial_state=state)
        return steps, state

    def _gates(self, ids, training=False):
        """Inputs of the gates. Padding closes the input gate, which leaves an LSTM that has not read anything yet at 0."""
        vectors = self.embedding(self.word_dropout(ids, training=training))
        gates = self.project(self.embedding_dropout(vectors, training=training))
        closed = np.repeat(np.array([_NEVER, 0, 0, 0], "float32"), self.units)
        return ops.where(ops.equal(ids, PADDING)[..., None], ops.cast(closed, gates.dtype), gates)

    def word_losses(self, ids, objective, training=False, state=None):
        """Cross-entropies of the words that an objective predicts.

        Args:
            ids: `(batch, length)` int32.
            objective: `"autoencoder"` or `"language_model"`.
            training: whether the softmax may be estimated.
            state: of the autoencoder, if the texts have been read already.

        Returns:
            Losses `(batch, steps)` float32, 0 where there is no word; and the words, int32, 0 for none.
        """
        if objective == "autoencoder":
            state = self.read(ids)[1] if state is None else state
            inputs, targets = autoencoder_sequences(ids, self.end)
        else:
            state = None
            inputs, targets = language_model_sequences(ids, self.end if self.predict_end else PADDING)
        steps = []
        for start in range(0, inputs.shape[1], self.truncation):
            if start:
                state = [ops.stop_gradient(part) for part in state]
            part, *state = self.recurrent(self._gates(inputs[:, start : start + self.truncation]), initial_state=state)
            steps.append(part)
        steps = ops.concatenate(steps, axis=1) if len(steps) > 1 else steps[0]
        return self.word_softmax(steps, targets, training=training), targets

    def before_the_last_word(self, ids):
        """The state before the last word of texts, a list of two `(batch, units)`; and that word `(batch,)`."""
        ids = _aligned(ids, right=True)
        # one more column, so that texts of one word have something before it
        gates = self._gates(ops.pad(ids[:, :-1], ((0, 0), (1, 0))))
        return self.recurrent(gates)[1:], ids[:, -1]

    def next_word(self, ids, state):
        """Logits `(n, symbols)` of the word after `ids` `(n,)`, and the state after them; an unknown word is never next."""
        steps, state = self.recurrent.cell(self._gates(ids[:, None])[:, 0], state)
        return self.word_softmax.logits(steps) + ops.one_hot(UNKNOWN, self.end + 1) * _NEVER, state

    def call(self, ids, training=False):
        """What `read` gives."""
        return self.read(ids, training)


class ClippedLSTMCell(layers.Layer):
    """One step of an LSTM whose inputs come as what they add to the gates: `(batch, 4 * units)` for input, forget, candidate and output.

    Args:
        units: cells.
        cell_clip: largest absolute value of a cell, or `None`.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, units, cell_clip=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.cell_clip = units, cell_clip
        self.state_size, self.output_size = [units, units], units
        self.recurrent_kernel = self.add_weight((units, 4 * units), "orthogonal", name="recurrent_kernel")
        self.built = True

    def call(self, inputs, states):
        """The output `(batch, units)`, and the two states after the step."""
        output, cell = states
        enter, keep, candidate, leave = ops.split(inputs + ops.matmul(output, self.recurrent_kernel), 4, axis=-1)
        cell = ops.sigmoid(keep) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
        if self.cell_clip is not None:
            cell = ops.clip(cell, -self.cell_clip, self.cell_clip)
        output = ops.sigmoid(leave) * ops.tanh(cell)
        return output, [output, cell]


class _WordModel(keras.Model):
    """A `TextReader` that learns an objective; ids are the input, and nothing else is needed."""

    def __init__(self, reader, objective):
        super().__init__(name=objective)
        self.reader, self.task = reader, objective
        self.built = True

    def call(self, x, training=False):
        return self.reader.word_losses(x, self.task, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return autodiff.per_replica(_mean(*y_pred))


def autoencoder_sequences(ids, end):
    """What the decoder reads and what it has to write: the end of the text and the words, then the words and the end.

    Args:
        ids: `(batch, length)` int32, 0 for padding.
        end: id of the end.

    Returns:
        Inputs and targets, `(batch, length + 1)` int32, 0 behind the end.
    """
    words = _aligned(ids)
    inputs = ops.pad(words, ((0, 0), (1, 0)), constant_values=end)
    return inputs, with_end(words, end)


def language_model_sequences(ids, end):
    """What the language model reads and what it has to predict: the words, then the words from the second on and the end.

    Args:
        ids: `(batch, length)` int32, 0 for padding.
        end: id of the end; 0 where it is not to be predicted.

    Returns:
        Inputs and targets, `(batch, length)` int32, 0 behind the last word.
    """
    words = _aligned(ids)
    # an empty text has nothing to begin with, and so predicts nothing
    return words, ops.where(words == PADDING, PADDING, with_end(words, end)[:, 1:])


def linear_gain(ids, steps):
    """Weights of the labels at the last steps of texts that were moved to the right: 0 at the first word, 1 at the last (section 3).

    Args:
        ids: `(batch, length)` int32, 0 for padding.
        steps: how many.

    Returns:
        `(batch, steps)` float32, 0 before the text; the last weight is always 1.
    """
    words = ops.cast(ops.sum(ops.cast(ids != PADDING, "int32"), axis=1, keepdims=True), "float32")
    place = words - ops.arange(steps, 0, -1, dtype="float32")
    gain = ops.clip(place / ops.maximum(words - 1, 1), 0, 1)
    return ops.where(ops.arange(steps) == steps - 1, 1.0, gain)


def _aligned(ids, right=False):
    """The words of texts without padding between them, on the left or on the right."""
    length = ids.shape[1]
    place = ops.arange(length, dtype="int32") + ops.where(ids == PADDING, -length if right else length, 0)
    return ops.take_along_axis(ids, ops.argsort(place, axis=1), axis=1)


def _mean(losses, targets):
    """Loss per word."""
    return ops.sum(losses) / ops.maximum(ops.sum(ops.cast(targets != PADDING, "float32")), 1.0)


def _forget_gates_open(shape, dtype=None):
    """Biases of the gates: 1 for the forget gates, 0 for the others."""
    return ops.cast(np.repeat(np.array([0, 1, 0, 0], "float32"), shape[0] // 4), dtype or "float32")


def _check_objective(value, argument):
    if value not in OBJECTIVES:
        raise ValueError(f"`{argument}` must be one of {OBJECTIVES}. Received: {value!r}")
