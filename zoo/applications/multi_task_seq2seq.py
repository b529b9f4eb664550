"""Several sequence-to-sequence tasks with shared encoders and decoders.

Paper: Luong, Le, Sutskever, Vinyals, Kaiser 2015, "Multi-task Sequence to Sequence Learning", arXiv 1511.06114. A task is an encoder and a
decoder. Tasks share what they have in common: one encoder and several decoders (translation and parsing, "one to many"), several encoders
and one decoder (translation and captions of images, "many to one"), or several of both ("many to many": translation with auto-encoders, or
with the prediction of the next sentence, of either language alone). Each update is of one task, drawn by a mixing ratio: how many updates a
task has for one of the reference task.

Shapes: the number of a task `(batch,)`, the same for a whole batch; word ids `source` `(batch, length)`, or `features` `(batch, size)`;
word ids `target` `(batch, length)` -> log-probability of the target `(batch,)`, in nats.

Differences from the paper:
1. An epoch is as long as the reference task needs for one passing of its pairs. Tasks are drawn anew for each update.
2. Adam in place of gradient descent; what a task does not use still moves a little by its momentum.
3. Default sizes are those that a laptop trains: the paper has 4 layers of 1000 units and vectors of 1000 numbers.
4. A tag sequence stands for the linearised parse trees.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Flag, Index, Numbers, Positive, Share, Text, Texts, checked
from zoo.families.text_writer import ROWS, WordWriting, ids_of, listed
from zoo.fields import PaddedField, SharedField
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.recurrent_encoder import RecurrentEncoder
from zoo.layers.word_softmax import WordSoftmax
from zoo.metrics.perplexity import MeanPerplexity
from zoo.model import Field, Model
from zoo.text.mixtures import TaskMixture


class MultiTaskSeq2Seq(Model):
    """Sequence-to-sequence networks that share their parts (Luong et al. 2015, arXiv 1511.06114).

    Args:
        readers: dict of name to a list of words, for texts, or to the length of vectors, such as features of images.
        writers: dict of name to a list of words.
        tasks: dict of name to a pair of names, of a reader and a writer; the first is the reference task.
        ratios: dict of name to how many updates a task has for one of the reference; 1 for tasks that it lacks.
        source_length: words read of a text.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: cells of each layer.
        num_layers: layers on one another, in readers and writers each.
        reverse: whether texts are read from the last word to the first.
        dropout: rate on what each layer reads, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    output_name = "log_likelihood"
    # section 4.2
    default_batch_size = 128

    def __init__(
        self,
        readers,
        writers,
        tasks,
        ratios=None,
        source_length=50,
        target_length=50,
        embedding_size=128,
        units=256,
        num_layers=1,
        reverse=True,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in {"source_length": source_length, "target_length": target_length}.items():
            arguments.count(name, value)
        self.readers, self.writers, self.tasks, self.ratios = readers, writers, tasks, ratios
        self.source_length, self.target_length, self.embedding_size, self.units = source_length, target_length, embedding_size, units
        self.num_layers, self.reverse, self.dropout = num_layers, reverse, dropout
        self._pairs, self._ratios = _checked_tasks(readers, writers, tasks, ratios)
        sizes = {"embedding_size": embedding_size, "units": units, "num_layers": num_layers, "dropout": dropout}
        self._reading = [self._reader(name, words, sizes) for name, words in readers.items()]
        self._writing = [_Writer(words, target_length, sizes, name=f"writer_{name}") for name, words in writers.items()]
        self._features = max((words for words in readers.values() if not isinstance(words, (list, tuple))), default=0)
        self.seed_generator = keras.random.SeedGenerator()
        # TensorFlow's XLA has no gradient of a branch with loops
        self.supports_jit = autodiff.BACKEND != "tensorflow"
        self.perplexities = [MeanPerplexity(f"perplexity_{name}" if len(tasks) > 1 else "perplexity") for name in tasks]
        self.compile()

    def _reader(self, name, words, sizes):
        if isinstance(words, (list, tuple)):
            return _TextReader(words, self.source_length, self.reverse, sizes, name=f"reader_{name}")
        return _FeatureReader(arguments.count("readers", words), self.units, self.num_layers, name=f"reader_{name}")

    # --- the network ---

    def call(self, x, training=False):
        """Log-probabilities of targets given sources `(batch,)`, by the parts of the batch's task."""
        if training:
            # draws come before the branches, which may not keep what they change
            for layer in self._flatten_layers():
                if isinstance(layer, layers.Dropout) and layer.rate:
                    layer.seed_generator.next()
        operands = [ops.cast(x["source"], "int32"), ops.cast(x["target"], "int32")]
        operands += [ops.cast(x["features"], self.compute_dtype)] if self._features else []
        branches = [partial(self._branch, task, training) for task in range(len(self._pairs))]
        return ops.switch(ops.cast(x["task"], "int32")[0], branches, *operands)

    def _branch(self, task, training, source, target, features=None):
        reader, writer = (parts[i] for parts, i in zip((self._reading, self._writing), self._pairs[task]))
        with autodiff.Scope():
            state = reader(source if isinstance(reader, _TextReader) else features, training=training)
            return -ops.sum(writer(target, state, training=training), axis=1)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy of a word, the end of a text included."""
        rows = ops.ones_like(y_pred) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        words = ops.sum((1.0 + ops.sum(ops.cast(x["target"] != text.PADDING, "float32"), axis=1)) * rows)
        loss = ops.sum(-y_pred * rows) / ops.maximum(words, 1e-6)
        for task, metric in enumerate(self.perplexities):
            metric.update_state(loss, sample_weight=words * ops.cast(x["task"][0] == task, "float32"))
        return loss

    def default_optimizer(self):
        """Adam; gradients whose norm is above 5 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=5.0)

    # --- what goes in ---

    def input_fields(self):
        """The number of the task, the same in all rows; ids of the source, 0 for padding (one unknown word where a task reads features);
        features, where tasks read some, zeros for the others; ids of the target."""
        most = [max((part.symbols for part in parts if hasattr(part, "symbols")), default=2) for parts in (self._reading, self._writing)]
        found = [SharedField("task", (), "int32", 0, len(self._pairs) - 1)]
        found += [PaddedField("source", (None,), "int32", 0, most[0] - 1, (self.source_length,))]
        found += [Field("features", (self._features,))] if self._features else []
        return [*found, PaddedField("target", (None,), "int32", 0, most[1] - 2, (self.target_length,))]

    def check(self, x, y=None):
        """Also refuses ids that the vocabularies of the task lack."""
        super().check(x, y)
        reader, writer = self._pairs[int(np.asarray(x["task"])[0])]
        limits = {"target": self._writing[writer].end - 1}
        if isinstance(self._reading[reader], _TextReader):
            limits["source"] = self._reading[reader].symbols - 1
        for name, high in limits.items():
            arguments.within(name, np.asarray(x[name]), high=high, dtype="int32")

    @checked
    def encode(self, task: Text, sources: Texts | Numbers, targets: Texts | None = None) -> dict:
        """The arrays that `fit`, `evaluate` and `predict` take, of one task.

        Args:
            task: its name.
            sources: list of strings, each with a word or more; or vectors `(n, size)`, if the task reads features.
            targets: list of as many strings.

        Returns:
            Dict of `task` `(n,)` int32, `source` `(n, source_length)` int32, `features` `(n, size)` float32, if there are tasks that read
            some, and, with targets, `target` `(n, target_length)` int32.

        Raises:
            ValueError: if there is no such task, sources are not what it reads, there are not as many targets, or a text has no word.
        """
        number = self._number(task)
        reader, writer = (parts[i] for parts, i in zip((self._reading, self._writing), self._pairs[number]))
        found = {"task": np.full(len(sources), number, "int32")}
        found["source"] = np.tile(np.eye(1, self.source_length, dtype="int32"), (len(sources), 1))
        features = np.zeros((len(sources), self._features), "float32")
        if isinstance(reader, _TextReader):
            found["source"] = ids_of("sources", arguments.texts("sources", sources), reader.vectorization)
        else:
            vectors = arguments.numbers("sources", sources, rank=2)
            if vectors.shape[1] != reader.size:
                arguments.refuse("sources", f"vectors of {reader.size} numbers", sources)
            features[:, : reader.size] = vectors
        if self._features:
            found["features"] = features
        if targets is None:
            return found
        if len(targets) != len(sources):
            arguments.refuse("targets", f"{len(sources)} texts, one for each of the sources", targets)
        return {**found, "target": ids_of("targets", targets, writer.vectorization)}

    def _number(self, task):
        return list(self.tasks).index(arguments.one_of("task", task, tuple(self.tasks)))

    @checked
    def mixed(self, pairs: dict, batch_size: Count | None = None, seed: Index = 0) -> TaskMixture:
        """Batches of all tasks for `fit`, each of one task, drawn by `ratios`.

        Args:
            pairs: dict of task to sources and targets, as `encode` takes them; tasks that it lacks are not trained.
            batch_size: rows of a batch.
            seed: of tasks and orders.

        Returns:
            A `zoo.text.TaskMixture`.

        Raises:
            ValueError: if the reference task is not there, or `encode` refuses something.
        """
        if not isinstance(pairs, dict) or next(iter(self.tasks)) not in pairs:
            arguments.refuse("pairs", f"a dict of tasks, {next(iter(self.tasks))!r} among them", pairs)
        order = [task for task in self.tasks if task in pairs] + [task for task in pairs if task not in self.tasks]
        data = [(self.encode(task, *pairs[task]), self._ratios[self._number(task)]) for task in order]
        return TaskMixture(data, batch_size or self.default_batch_size, seed)

    # --- use ---

    def _columns(self, task, sources, targets=None):
        """What `encode` gives, as a list of arrays without the task."""
        return [array for name, array in self.encode(task, sources, targets).items() if name != "task"]

    def _state(self, number, source, features=None):
        reader = self._reading[self._pairs[number][0]]
        return reader(source if isinstance(reader, _TextReader) else features)

    @checked
    def log_likelihood(self, task: Text, sources: Texts | Numbers, targets: Texts, batch_size: Count = ROWS) -> np.ndarray:
        """Log-probabilities of targets given their sources, in nats: float32 array `(n,)`. Unknown words count as one."""
        number = self._number(task)
        writer = self._writing[self._pairs[number][1]]

        def run(*columns):
            return -ops.sum(writer(columns[-1], self._state(number, *columns[:-1])), axis=1)

        return autodiff.in_batches(self._graph(("log_likelihood", task), run), self._columns(task, sources, targets), batch_size)[0]

    @checked
    def write(
        self,
        task: Text,
        sources: Texts | Numbers,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
    ) -> list:
        """The most probable targets of a task that a beam finds.

        Args:
            task: its name.
            sources: as `encode` takes them.
            beams: targets that are followed at once; 1 is greedy.
            length_power: they are ranked by log-probability over length to this power; 0 prefers short ones.
            n_best: give so many of each source, with scores.
            unknown: whether `<unknown>` may be written.
            batch_size: sources at once.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each source a list of pairs (string, log-probability), best first.

        Raises:
            ValueError: as `encode`.
        """
        number, beams = self._number(task), max(beams, n_best or 1)
        writer = self._writing[self._pairs[number][1]]

        def search(*columns):
            return list(writer.search(self._state(number, *columns), beams, length_power, unknown))

        run = self._graph(("write", task, beams, length_power, unknown), search)
        found, scores = autodiff.in_batches(run, self._columns(task, sources), batch_size)
        if n_best is None:
            return writer._texts(found[:, 0])
        return listed(writer._texts(found[:, :n_best].reshape(-1, found.shape[-1])), scores, n_best)

    @checked
    def sample(
        self,
        task: Text,
        sources: Texts | Numbers,
        temperature: Positive = 1.0,
        top_k: Count | None = None,
        top_p: Share | None = None,
        seed: Index | None = None,
    ) -> list:
        """Random targets of a task: list of strings. `temperature`, `top_k` and `top_p` are those of `zoo.decoding.sample_sequences`."""
        if seed is not None:
            self.seed_generator.state.assign(np.array([seed, 0], "uint32"))
        number, options = self._number(task), {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        writer = self._writing[self._pairs[number][1]]

        def draw(*columns):
            return writer.draw(self._state(number, *columns), self.seed_generator, **options)

        run = self._graph(("sample", task, *options.values()), draw)
        return writer._texts(autodiff.in_batches(run, self._columns(task, sources), ROWS)[0])

    def signatures(self):
        """A signature for each task by its name, from strings or features to texts, by a beam of 5; `serve` is that of the reference task,
        `score` takes ids."""
        found = {name: self._signature(number) for number, name in enumerate(self.tasks)}
        return {**found, "serve": next(iter(found.values())), "score": (self._serve, self.input_fields())}

    def _signature(self, number):
        reader, writer = (parts[i] for parts, i in zip((self._reading, self._writing), self._pairs[number]))
        is_text = isinstance(reader, _TextReader)

        def write(source):
            read = reader(ops.cast(reader.vectorization(source), "int32")) if is_text else reader(source)
            found, scores = writer.search(read, 5, 1.0, False)
            return {"text": writer._named(found[:, 0]), "log_likelihood": scores[:, 0]}

        return write, [Field("source", (), "string") if is_text else Field("source", (reader.size,))]

    def example_data(self, batch_size=2):
        """Keyword arguments of a small `fit`, with batches of all tasks."""
        x = self.example_inputs(batch_size)
        tasks = [{**x, "task": np.full_like(x["task"], task)} for task in range(len(self.tasks))]
        # so many that no task is left out
        return {"x": TaskMixture([(part, 1.0) for part in 8 * tasks], batch_size)}

    def example_calls(self):
        """A small valid call of every verb."""
        sources, targets = ["the cat sat", "a mat"], ["a cat", "the mat sat"]
        pairs = {"task": "translation", "sources": sources}
        return {
            **super().example_calls(),
            "encode": {**pairs, "targets": targets},
            "mixed": {"pairs": {"translation": (sources, targets)}, "batch_size": 1, "seed": 1},
            "log_likelihood": {**pairs, "targets": targets, "batch_size": 1},
            "write": {**pairs, "beams": 2, "length_power": 0.5, "n_best": 2, "unknown": True, "batch_size": 1},
            "sample": {**pairs, "temperature": 0.7, "top_k": 3, "top_p": 0.9, "seed": 1},
        }

    @classmethod
    def example_config(cls):
        """Two readers, two writers, three tasks."""
        return {
            "readers": {"source": ["the", "cat", "sat", "a", "mat"], "picture": 3},
            "writers": {"target": ["a", "the", "cat", "mat"], "tags": ["noun", "verb", "article", "other"]},
            "tasks": {"translation": ["source", "target"], "tagging": ["source", "tags"], "captions": ["picture", "target"]},
            "ratios": {"tagging": 0.5},
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "reverse": False,
            "dropout": 0.1,
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


class _TextReader(layers.Layer):
    """A text to the last states of stacked LSTMs."""

    def __init__(self, words, length, reverse, sizes, **kwargs):
        super().__init__(**kwargs)
        self.vectorization, self.symbols = text.word_vectorization(words, length), len(words) + 2
        self.encoder = RecurrentEncoder(self.symbols, reverse=reverse, **sizes, name="encoder")
        self.built = True

    def call(self, source, training=False):
        """Ids `(batch, length)` -> a list of states."""
        return self.encoder(_known(source, self.symbols), training=training)[1]


class _FeatureReader(layers.Layer):
    """A vector to the states that a writer starts from: a dense layer for each."""

    def __init__(self, size, units, num_layers, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.dense = [layers.Dense(units, "tanh", name=f"state_{i}") for i in range(2 * num_layers)]
        for layer in self.dense:
            layer.build((None, size))
        self.built = True

    def call(self, features, training=False):
        """Vectors `(batch, any)`, of which the first `size` numbers are read -> a list of states."""
        return [layer(features[:, : self.size]) for layer in self.dense]


class _Writer(WordWriting, layers.Layer):
    """Stacked LSTMs that write words of one vocabulary."""

    def __init__(self, words, length, sizes, **kwargs):
        super().__init__(**kwargs)
        self.vectorization, self.length = text.word_vectorization(words, length), length
        self._set_words(words)
        self.symbols = self.end + 1
        self.decoder = RecurrentDecoder(self.symbols, readout=None, **sizes, name="decoder")
        self.word_softmax = WordSoftmax(self.symbols, self.decoder.width, name="word_softmax")
        self.built = True

    def call(self, target, state, training=False):
        """Minus the log-probabilities of the words and the end `(batch, length + 1)`."""
        target = _known(target, self.end)
        before = text.behind_end(target, self.end)
        return self.word_softmax(self.decoder(before, state, training=training)[0], text.with_end(target, self.end), training=training)

    def _step(self, ids, state):
        features, state = self.decoder.stepper()(ids, state)
        return self.word_softmax.logits(features), state

    def search(self, state, beams, length_power, unknown):
        """Ids `(batch, beams, length + 1)` and log-probabilities of the best texts."""
        return self._found((self._step, state), state[0], self.length + 1, beams, length_power, unknown)

    def draw(self, state, seed, **options):
        """Ids `(batch, length)` of random texts."""
        return self._random((self._step, state), state[0], self.length, seed, **options)


def _known(ids, symbols):
    """Ids of which those that a vocabulary lacks, and another task's has, are the unknown word."""
    return ops.where(ids < symbols, ids, text.UNKNOWN)


def _checked_tasks(readers, writers, tasks, ratios):
    """Numbers of reader and writer of each task, and their ratios."""
    for name, parts in (("readers", readers), ("writers", writers), ("tasks", tasks)):
        if not isinstance(parts, dict) or not parts:
            arguments.refuse(name, "a dict of names", parts)
    found = []
    for pair in tasks.values():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] not in readers or pair[1] not in writers:
            arguments.refuse("tasks", f"pairs of a reader ({', '.join(readers)}) and a writer ({', '.join(writers)})", pair)
        found.append((list(readers).index(pair[0]), list(writers).index(pair[1])))
    if not isinstance(ratios or {}, dict) or set(ratios or {}) - set(tasks):
        arguments.refuse("ratios", f"a dict of tasks ({', '.join(tasks)})", ratios)
    return found, [arguments.number("ratios", (ratios or {}).get(name, 1.0), above=0) for name in tasks]
