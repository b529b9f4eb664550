"""What methods share that read one text and write another: translation, summaries, replies."""

from functools import partial

import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Flag, Index, Positive, Sentences, Share, Texts, checked
from zoo.families.text_writer import ROWS, TextWriter, listed
from zoo.fields import PaddedField
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.recurrent_encoder import RecurrentEncoder
from zoo.layers.word_softmax import WordSoftmax
from zoo.model import Field


class EncoderDecoder(TextWriter):
    """Word ids of a `source` and a `target` text -> log-probability of the target, `(batch,)` nats; `fit(encode(sources, targets))`.

    Ids are those of `TextWriter`. Arrays may be shorter than `source_length` and `target_length`, which cut texts.

    A method gives its constructor's arguments to `_build`, and may override `_features` and `_stepper`, which have to be one function. One
    that writes symbols which are no words of texts overrides `_symbols`, `_most_places` and `_finished`. One with a network of its own
    calls `_build_words`, makes its `word_softmax`, and overrides `_read` and `_attends` as well. One whose sources are lists of strings
    overrides `_reading`, or `_source_ids`, and `_source_texts`.
    """

    # the constructor's argument that `alignment` names where there is no attention
    _attention_argument = "memory"

    def _build(self, embedding_size, units, num_layers=1, memory=True, samples=None, encoder=None, decoder=None):
        """Vocabularies are set; `encoder` and `decoder` are more arguments of the layers. The encoder may be as wide as it wants."""
        self._build_words()
        sizes, encoder = {"embedding_size": embedding_size, "num_layers": num_layers}, {"units": units, **(encoder or {})}
        self.encoder = RecurrentEncoder(len(self._symbols()[0]) + 2, **{**sizes, **encoder}, name="encoder")
        decoder = {"units": units, **sizes, **(decoder or {})}
        memory_dim = self.encoder.units if memory else 0
        self.decoder = RecurrentDecoder(self.end + 1, memory_dim=memory_dim, **decoder, name="decoder")
        self.bridges = self._bridges()
        self.word_softmax = WordSoftmax(self.end + 1, self.decoder.width, samples, name="word_softmax")

    def _build_words(self):
        """Lookups of both vocabularies, and what verbs and training need besides the network."""
        for name in ("source_length", "target_length"):
            arguments.count(name, getattr(self, name))
        read, written = self._symbols()
        self.source_vectorization = self._reading(read)
        self.target_vectorization = text.word_vectorization(written, self.target_length)
        self._set_words(written)

    def _reading(self, words):
        """The layer from sources to ids."""
        return text.word_vectorization(words, self.source_length)

    def _source_ids(self, texts):
        """Ids of sources, strings."""
        return self.source_vectorization(texts)

    def _source_texts(self, sources):
        """Strings, of what verbs are given."""
        return arguments.texts("sources", sources)

    def _looked_at(self, source):
        """What attention looks at, of ids of sources."""
        return source

    def _symbols(self):
        """What is read and what is written, two lists: words."""
        return self.source_vocabulary, self.target_vocabulary

    def _most_places(self):
        """Symbols of a target at most."""
        return self.target_length

    @property
    def _attends(self):
        """Whether `_features` gives weights of attention."""
        return bool(self.decoder.memory_dim)

    def _bridges(self):
        """What turns the encoder's last states to the decoder's first ones, where they are not of one kind: a layer for each."""
        one, other = self.encoder, self.decoder
        if (one.units, one.num_layers, one.cell) == (other.units, other.num_layers, other.cell):
            return []
        found = [layers.Dense(other.units, "tanh", name=f"bridge_{i}") for i in range(other.states_per_layer * other.num_layers)]
        for layer in found:
            layer.build((None, one.units))
        return found

    # --- the network ---

    def call(self, x, training=False):
        """Log-probabilities of targets given sources `(batch,)`; in training estimates, where the softmax is."""
        return -ops.sum(self._nats(x, training)[0], axis=1)

    def _nats(self, x, training=False):
        """Minus the log-probabilities of the words and the end `(batch, length + 1)`, and what was attended to."""
        return self._nats_after(self._read(x["source"], training), x, training)

    def _nats_after(self, read, x, training=False):
        target = ops.cast(x["target"], "int32")
        words = text.with_end(target, self.end)
        before = text.behind_end(target, self.end)
        features, weights = self._features(before, read, training)
        return self._word_losses(features, words, x, training), weights

    def _word_losses(self, features, words, x, training):
        """Minus the log-probabilities of words by their features; `x` is what `call` takes."""
        return self.word_softmax(features, words, training=training)

    def _read(self, source, training=False):
        """The decoder's first state, and what stays: a dict with `memory` and `present`, if it looks at them."""
        memory, states, present = self.encoder(ops.cast(source, "int32"), training=training)
        if self.bridges:
            # all start from the output of the last layer
            states = [bridge(states[-self.encoder.states_per_layer]) for bridge in self.bridges]
        return states, ({"memory": memory, "present": present} if self.decoder.memory_dim else {})

    def _features(self, before, read, training=False):
        """Features of the next word at all places, given the words before, and weights of attention or `None`."""
        state, stays = read
        return self.decoder(before, state, **stays, training=training)

    def _stepper(self, source):
        """`step` and state of a search, with logits as scores."""
        state, stays = self._read(source)
        decode = self.decoder.stepper(**stays)

        def step(ids, state):
            features, state = decode(ids, state)
            return self.word_softmax.logits(features), state

        return step, state

    # --- what goes in ---

    def input_fields(self):
        """Ids of both texts, 0 for padding on the right; `encode` makes them."""
        return [
            PaddedField("source", (None,), "int32", 0, len(self._symbols()[0]) + 1, (self.source_length,)),
            PaddedField("target", (None,), "int32", 0, self.end - 1, (self._most_places(),)),
        ]

    def example_calls(self):
        """A small valid call of every verb."""
        sources, targets = ["the cat sat", "a mat"], ["a cat", "the mat sat"]
        return {
            **super().example_calls(),
            "encode": {"sources": sources, "targets": targets},
            "log_likelihood": {"sources": sources, "targets": targets, "batch_size": 1},
            "sample": {"sources": sources, "temperature": 0.7, "top_k": 3, "top_p": 0.9, "seed": 1},
            "alignment": {"sources": sources, "targets": targets, "batch_size": 1} if self._attends else None,
        }

    @checked
    def encode(self, sources: Sentences, targets: Texts | None = None) -> dict:
        """The ids that `fit`, `evaluate` and `predict` take.

        Args:
            sources: list of strings, each with a word or more; of longer ones the first `source_length` words are read.
            targets: list of as many strings, each with a word or more; of longer ones the first `target_length` words are read.

        Returns:
            Dict of int32 arrays `source` `(texts, source_length)` and, with targets, `target` `(texts, target_length)`.

        Raises:
            ValueError: if there are not as many targets as sources, or a text has no word.
        """
        found = {"source": self._ids("sources", self._source_texts(sources), self._source_ids)}
        if targets is None:
            return found
        if len(targets) != len(sources):
            arguments.refuse("targets", f"{len(sources)} texts, one for each of the sources", targets)
        return {**found, "target": self._ids("targets", targets, self.target_vectorization)}

    # --- use ---

    @checked
    def log_likelihood(self, sources: Sentences, targets: Texts, batch_size: Count = ROWS) -> np.ndarray:
        """Log-probabilities of targets given their sources, in nats: float32 array `(texts,)`. Unknown words count as one."""
        x = self.encode(sources, targets)
        run = self._graph("log_likelihood", lambda source, target: self({"source": source, "target": target}))
        return autodiff.in_batches(run, [x["source"], x["target"]], batch_size)[0]

    @checked
    def alignment(self, sources: Sentences, targets: Texts, batch_size: Count = ROWS) -> list:
        """Where the decoder looks in each source while it writes each word of the target.

        Args:
            sources: list of strings.
            targets: list of as many strings, such as what the model wrote.
            batch_size: texts at once.

        Returns:
            For each pair an array `(words of the target + 1, words of the source)` float32, whose rows add up to 1; the last is the end's.

        Raises:
            ValueError: if the model has no attention, or texts are as `encode` refuses them.
        """
        if not self._attends:
            raise ValueError(f"`{self._attention_argument}` must give attention for `alignment`. Received: a model without it")
        x = self.encode(sources, targets)
        run = self._graph("alignment", lambda source, target: self._nats({"source": source, "target": target})[1])
        weights = autodiff.in_batches(run, [x["source"], x["target"]], batch_size)[0]
        sizes = [np.count_nonzero(ids, axis=1) for ids in (x["target"], self._looked_at(x["source"]))]
        return [row[: m + 1, :n] for row, m, n in zip(weights, *sizes)]

    @checked
    def sample(
        self,
        sources: Sentences,
        temperature: Positive = 1.0,
        top_k: Count | None = None,
        top_p: Share | None = None,
        seed: Index | None = None,
    ) -> list:
        """Random targets of sources.

        Args:
            sources: list of strings.
            temperature: what logits are divided by; below 1 the probable words gain.
            top_k: draw from so many of the most probable words.
            top_p: draw from the fewest words that have this probability together.
            seed: an int gives the same texts each time.

        Returns:
            List of strings, words separated by spaces.
        """
        self._seed(seed)
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        run = self._graph(("sample", *options.values()), partial(self._sampled, **options))
        return self._finished(autodiff.in_batches(run, [self.encode(sources)["source"]], ROWS)[0], sources)

    def _sampled(self, source, **options):
        return self._drawn(self._stepper(source), source, self._most_places(), **options)

    def _written(self, sources, beams, length_power, n_best, batch_size, unknown=False, key=(), finished=None, shared=(), **options):
        """What verbs that write give: the best text of each source, or with `n_best` lists of so many pairs of text and log-probability.

        `finished(ids, sources)` makes texts; `shared` are tensors that the search takes behind the sources.
        """
        finished = finished or self._finished
        beams = max(beams, n_best or 1)
        search = partial(self._search, beams=beams, length_power=length_power, unknown=unknown, **options)
        run = self._graph(("search", beams, length_power, unknown, *key), search)
        found, scores = autodiff.in_batches(run, [self.encode(sources)["source"]], batch_size, shared)
        if n_best is None:
            return finished(found[:, 0], sources)
        texts = finished(found[:, :n_best].reshape(-1, found.shape[-1]), [source for source in sources for _ in range(n_best)])
        return listed(texts, scores, n_best)

    def _search(self, source, beams=1, length_power=0.0, unknown=False):
        """Ids `(batch, beams, target_length + 1)` and log-probabilities `(batch, beams)`."""
        return self._searched(source, self._stepper(source), beams, length_power, unknown)

    def _searched(self, source, model, beams, length_power, unknown, normalize=True, length=None, **options):
        """`options` are those of `beam_search`."""
        return self._found(model, source, length or self._most_places() + 1, beams, length_power, unknown, normalize=normalize, **options)

    def _finished(self, ids, sources):
        """The texts that a user reads, of what was written to sources."""
        return self._texts(ids)

    # --- export ---

    def signatures(self):
        """`serve` takes strings and writes, by a beam of 5; `score` takes ids of both texts, as `call`."""
        return {
            "serve": (lambda source: self._serve_text(self._source_ids(source)), [Field("source", (), "string")]),
            "score": (self._serve, self.input_fields()),
        }

    def _serve_text(self, source):
        found, scores = self._search(source, beams=5)
        return {"text": self._named(found[:, 0]), "log_likelihood": scores[:, 0]}


class Translator(EncoderDecoder):
    """Texts of one language to another."""

    def example_calls(self):
        """A small valid call of every verb."""
        translate = {"texts": ["the cat sat", "a mat"], "beams": 2, "length_power": 0.5, "n_best": 2, "unknown": True, "batch_size": 1}
        return {**super().example_calls(), "translate": translate}

    @checked
    def translate(
        self,
        texts: Texts,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
    ) -> list:
        """The most probable translations that a beam finds.

        Args:
            texts: list of strings, each with a word or more.
            beams: translations that are followed at once; 1 is greedy.
            length_power: they are ranked by log-probability over length to this power; 0 prefers short ones.
            n_best: give so many of each text, with scores.
            unknown: whether `<unknown>` may be written.
            batch_size: texts at once.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each text a list of pairs (string, log-probability), best first.

        Raises:
            ValueError: if a text has no word.
        """
        return self._written(texts, beams, length_power, n_best, batch_size, unknown)
