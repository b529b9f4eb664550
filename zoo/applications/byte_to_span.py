"""Byte-to-span: an LSTM reads the bytes of a text, another writes the spans in it, as start, length and label one after the other.

Paper: Gillick, Brunk, Vinyals, Subramanya 2015, "Multilingual Language Processing From Bytes", arXiv 1512.00103. There are no words and no
tokens: texts of all languages are read in UTF-8, in windows of 60 bytes of which half overlaps, and one model learns several languages from
their windows shuffled together, without being told which is which.

Ids of bytes: 0 is padding, byte b has b + 1, 257 is the DROP symbol of byte dropout. Symbols that are written: 0 is padding, 1 STOP, then
`segment_length` starts (0, 1, ...), as many lengths (1, 2, ...), and the labels; starts and lengths count bytes in the window. The writer
begins with one more symbol, GO.

Shapes: `bytes` `(batch, segment_length)` and `symbols` `(batch, 3 * max_spans + 1)`, the right answer -> logits of each symbol given those
before it, `(batch, 3 * max_spans + 1, symbols)`. There are no other targets.

Differences from the paper:
1. Reader and writer have weights of their own, and the reader's state starts at zero for every window; the paper's way was not checked.
2. Adam with clipped gradients by default; the paper's schedule was not reproduced.
3. Decoding is constrained: only symbols that continue a triple inside the text, at borders of characters and behind the span before, are
   chosen (`constrained=False` for the free way, which drops what is no triple).
4. Windows never cut a character. A span that two windows could answer for is asked of the one with more text around it.
5. Attention, reading in both directions, and a penalty for STOP that trades precision for recall are options that the paper has not.
"""

from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Count, Described, Flag, Number, Numbers, Rows, Texts, checked
from zoo.decoding import beam_search
from zoo.layers.attention import Attention
from zoo.layers.both_directions import both_directions
from zoo.layers.symbol_dropout import SymbolDropout
from zoo.losses import sequence_crossentropy
from zoo.model import Field, Model

STOP = 1
# what an illegal symbol gets instead of its log-probability
_ILLEGAL = -1e4


Bytes = Annotated[Any, Described("input_fields", "bytes")]


class ByteToSpan(Model):
    """Sequence to sequence from bytes to spans.

    Args:
        labels: list of the labels of spans.
        segment_length: bytes of a window.
        max_spans: spans that are written for a window at most; `None` means one every two bytes.
        embedding_size: length of the vectors of bytes and of symbols.
        units: cells of each LSTM.
        num_layers: LSTMs on one another, in the reader and in the writer.
        dropout: rate, on the input of every LSTM and of the output layer.
        byte_dropout: share of the bytes that become DROP in training.
        reverse_input: whether bytes are read from the last to the first.
        bidirectional: whether they are read in both directions, with half of the units each.
        attention: whether the writer looks at all bytes again for each symbol.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "logits"

    def __init__(
        self,
        labels,
        segment_length=60,
        max_spans=None,
        embedding_size=320,
        units=320,
        num_layers=4,
        dropout=0.2,
        byte_dropout=0.3,
        reverse_input=False,
        bidirectional=False,
        attention=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(labels, str) or len(labels) < 1 or len(set(labels)) != len(labels):
            raise ValueError(f"`labels` must be a list of different labels. Received: {str(labels)[:100]}")
        if segment_length < 8:
            raise ValueError(f"`segment_length` must be at least 8, two characters of any script. Received: {segment_length}")
        sizes = {
            "embedding_size": embedding_size,
            "units": units,
            "num_layers": num_layers,
            "max_spans": 1 if max_spans is None else max_spans,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        if bidirectional and units % 2:
            raise ValueError(f"`units` must be even to read in both directions. Received: {units}")
        self.labels, self.segment_length, self.max_spans = labels, segment_length, max_spans
        self.embedding_size, self.units, self.num_layers = embedding_size, units, num_layers
        self.dropout, self.byte_dropout = dropout, byte_dropout
        self.reverse_input, self.bidirectional, self.attention = reverse_input, bidirectional, attention
        self._spans = max_spans or segment_length // 2
        # the first symbol of each kind
        self._starts, self._lengths, self._labels = 2, 2 + segment_length, 2 + 2 * segment_length
        self._symbols = self._labels + len(labels)
        self._label_names = text.name_lookup(labels)
        self.reader = self._build_reader()
        self.symbol_embedding = layers.Embedding(self._symbols + 1, embedding_size, name="symbol_embedding")
        self.writers = [layers.LSTM(units, return_sequences=True, name=f"writer_{i}") for i in range(num_layers)]
        self.drop = layers.Dropout(dropout)
        self.attend = Attention(units, units, "scaled_dot", name="attend") if attention else None
        self.mix = layers.Dense(units, activation="tanh", name="mix") if attention else None
        self.symbol_logits = layers.Dense(self._symbols, dtype="float32", name="logits")
        self.network = self._build_network()
        self._decoders = {}
        self.compile()

    # --- the network ---

    def _build_reader(self):
        """Bytes to the last states of every layer, and to the outputs of the last one (section 3)."""
        ids = keras.Input((self.segment_length,), dtype="int32", name="bytes")
        x = SymbolDropout(self.byte_dropout, drop_id=text.DROPPED_BYTE, name="byte_dropout")(ids)
        x, mask = layers.Embedding(text.DROPPED_BYTE + 1, self.embedding_size, name="byte_embedding")(x), ops.not_equal(ids, 0)
        if self.reverse_input:
            # padding, now on the left, is skipped like that on the right
            x, mask = ops.flip(x, axis=1), ops.flip(mask, axis=1)
        states = []
        for i in range(self.num_layers):
            x = layers.Dropout(self.dropout)(x)
            if self.bidirectional:
                lstm = layers.LSTM(self.units // 2, return_sequences=True, return_state=True)
                x, *parts = both_directions(lstm, name=f"reader_{i}")(x, mask=mask)
                states += [ops.concatenate([parts[0], parts[2]], axis=-1), ops.concatenate([parts[1], parts[3]], axis=-1)]
            else:
                x, *parts = layers.LSTM(self.units, return_sequences=True, return_state=True, name=f"reader_{i}")(x, mask=mask)
                states += parts
            # the product ends Keras's own mask
            x = x * ops.cast(mask, x.dtype)[..., None]
        memory = [x, ops.cast(mask, x.dtype)] if self.attention else []
        return keras.Model(ids, [*states, *memory], name="reader")

    def _build_network(self):
        """Bytes and the right symbols to the logits of each symbol given those before."""
        ids = keras.Input((self.segment_length,), dtype="int32", name="bytes")
        symbols = keras.Input((3 * self._spans + 1,), dtype="int32", name="symbols")
        states = self.reader(ids)
        before = ops.concatenate([ops.full_like(symbols[:, :1], self._symbols), symbols[:, :-1]], axis=1)
        x = self.symbol_embedding(before)
        for i, writer in enumerate(self.writers):
            x = writer(self.drop(x), initial_state=states[2 * i : 2 * i + 2])
        return keras.Model({"bytes": ids, "symbols": symbols}, self._to_logits(x, states[2 * self.num_layers :]))

    def _to_logits(self, x, memory):
        """Outputs of the last writer `(batch, length, units)` to logits, past attention if there is any."""
        if self.attend:
            x = self.mix(ops.concatenate([x, self.attend(x, *memory)[0]], axis=-1))
        return self.symbol_logits(self.drop(x))

    def call(self, x, training=False):
        """Logits of the symbols, `(batch, 3 * max_spans + 1, symbols)`, float32."""
        return self.network({"bytes": x["bytes"], "symbols": x["symbols"]}, training=training)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy of the symbols, averaged over them."""
        losses = sequence_crossentropy(x["symbols"], y_pred)
        weights = ops.cast(ops.not_equal(x["symbols"], 0), "float32")
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, "float32")[:, None]
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)

    # --- what the method tells about itself ---

    def input_fields(self):
        """Bytes of windows, and the symbols to write for them."""
        return [
            Field("bytes", (self.segment_length,), "int32", 0, text.DROPPED_BYTE),
            Field("symbols", (3 * self._spans + 1,), "int32", 0, self._symbols - 1),
        ]

    @classmethod
    def example_config(cls):
        """A small model that uses all options."""
        return {
            "labels": ["NAME", "VERB"],
            "segment_length": 12,
            "max_spans": 3,
            "embedding_size": 5,
            "units": 6,
            "num_layers": 2,
            "dropout": 0.1,
            "byte_dropout": 0.2,
            "reverse_input": True,
            "bidirectional": True,
            "attention": True,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        texts, how = ["ab cd", "e"], {"beams": 2, "constrained": False, "stop_penalty": 0.1, "batch_size": 1}
        x = self.encode(texts)
        return {
            **super().example_calls(),
            "encode": {"texts": texts, "spans": [[(0, 2, self.labels[0])], []], "stride": 2},
            "windows": {"texts": texts, "stride": 2},
            "read_spans": {"symbols": x["symbols"][0]},
            "find": {"texts": texts, "unit": "bytes", **how},
            "join": {"texts": texts, "symbols": x["symbols"], "unit": "bytes"},
            "decode": {"ids": x["bytes"], **how},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, depth, both kinds of dropout and the learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [32, 64, 128]),
            "units": hp.Choice("units", [64, 128, 256]),
            "num_layers": hp.Int("num_layers", 1, 4),
            "dropout": hp.Float("dropout", 0.0, 0.4, step=0.1),
            "byte_dropout": hp.Float("byte_dropout", 0.0, 0.4, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """Adam with clipped gradients."""
        return keras.optimizers.Adam(2e-3, global_clipnorm=1.0)

    # --- texts to arrays and back ---

    @checked
    def encode(self, texts: Texts, spans: Rows | None = None, stride: Count | None = None):
        """What the model takes, of texts: the windows of all, one after the other.

        Args:
            texts: list of strings.
            spans: for each text a list of `(start, length, label)`, in characters, none overlapping another. Spans that cross the border of
                a window are left out of its answer; with the default stride every span of up to `segment_length / 2` bytes lies wholly in
                some window, and longer ones may lie in none. Of more than `max_spans` in a window the first are kept.
            stride: bytes from one window to the next, half a window by default; less gives more windows, in other places, to train on.

        Returns:
            Dict of int32 arrays: `bytes` `(windows, segment_length)` and `symbols` `(windows, 3 * max_spans + 1)`, zeros without `spans`.

        Raises:
            ValueError: if a text is none, a span lies outside of its text or overlaps another, or its label is unknown.
        """
        cut = self._windows(texts, stride)
        x = self._arrays(cut)
        if spans is not None:
            if len(spans) != len(texts):
                raise ValueError(f"`spans` must hold a list for each of the {len(texts)} texts. Received: {len(spans)}")
            placed = [self._in_bytes(data, found) for (data, _), found in zip(cut, spans)]
            rows = [self._written(found, *window) for (_, windows), found in zip(cut, placed) for window in windows]
            x["symbols"] = np.array(rows, "int32")
        return x

    @checked
    def windows(self, texts: Texts, stride: Count | None = None):
        """The windows of texts, as text.

        Args:
            texts: list of strings.
            stride: as in `encode`.

        Returns:
            For each text a list of pairs: the byte at which a window begins, and its text.
        """
        return [[(begin, data[begin:end].decode("utf-8")) for begin, end in windows] for data, windows in self._windows(texts, stride)]

    def _windows(self, texts, stride=None):
        """For each text its bytes and its windows as pairs `(begin, end)`."""
        if stride is not None and not 1 <= stride <= self.segment_length:
            raise ValueError(f"`stride` must lie between 1 and {self.segment_length}. Received: {stride}")
        data = [one.encode("utf-8") for one in texts]
        return [(one, text.byte_windows(one, self.segment_length, stride)) for one in data]

    def _arrays(self, cut):
        pieces = [np.frombuffer(data[begin:end], "uint8") for data, windows in cut for begin, end in windows]
        ids = np.zeros((len(pieces), self.segment_length), "int32")
        for row, piece in zip(ids, pieces):
            row[: len(piece)] = piece.astype("int32") + 1
        return {"bytes": ids, "symbols": np.zeros((len(pieces), 3 * self._spans + 1), "int32")}

    def _in_bytes(self, data, spans):
        """Spans of a text as `(start, length, place of the label)` in bytes, in order."""
        places, names = text.character_places(data), {name: i for i, name in enumerate(self.labels)}
        found, last = [], 0
        for start, length, label in sorted(_checked_spans(spans)):
            if label not in names:
                raise ValueError(f"`spans` must have labels out of {list(self.labels)[:20]}. Received: {label!r}")
            if start < last or length < 1 or start + length >= len(places):
                raise ValueError(
                    "`spans` must be of one or more characters inside their text, none overlapping another. "
                    f"Received: {(start, length, label)} in a text of {len(places) - 1} characters"
                )
            last = start + length
            found.append((int(places[start]), int(places[last] - places[start]), names[label]))
        return found

    def _written(self, spans, begin, end):
        """The symbols to write for a window: triples of the spans that lie wholly in it, then STOP."""
        inside = [span for span in spans if begin <= span[0] and span[0] + span[1] <= end][: self._spans]
        row = [n for start, length, label in inside for n in self._triple(start - begin, length, label)]
        return [*row, STOP, *[0] * (3 * (self._spans - len(inside)))]

    def _triple(self, start, length, label):
        return self._starts + start, self._lengths + length - 1, self._labels + label

    @checked
    def read_spans(self, symbols: Numbers):
        """Spans that were written for a window.

        Args:
            symbols: `(3 * max_spans + 1,)` whole numbers.

        Returns:
            List of `(start, length, label)` in bytes of the window, as they were written up to STOP, and whether all was triples of start,
            length and label; what is no triple is left out.
        """
        written = [int(n) for n in arguments.numbers("symbols", symbols, rank=1)]
        written = written[: written.index(STOP)] if STOP in written else written[: 3 * self._spans]
        spans, place, well_formed = [], 0, True
        while place < len(written):
            triple = written[place : place + 3]
            kinds = [np.searchsorted((self._starts, self._lengths, self._labels), n, side="right") for n in triple]
            if kinds == [1, 2, 3]:
                spans.append((triple[0] - self._starts, triple[1] - self._lengths + 1, self.labels[triple[2] - self._labels]))
                place += 3
            else:
                well_formed = False
                place += 1
        return spans, well_formed

    # --- use ---

    @checked
    def find(
        self,
        texts: Texts,
        beams: Count = 1,
        constrained: Flag = True,
        stop_penalty: Number = 0.0,
        unit: Literal["characters", "bytes"] = "characters",
        batch_size: Count = 256,
    ):
        """The spans in texts of any length.

        Args:
            texts: list of strings.
            beams: sequences of symbols that the search follows; 1 is the greedy way.
            constrained: whether only symbols are chosen that continue legal triples.
            stop_penalty: what is taken from the logit of STOP; above 0 more spans are found, below 0 fewer.
            unit: of starts and lengths, `"characters"` or `"bytes"` of the text.
            batch_size: windows in one run.

        Returns:
            For each text a list of `(start, length, label)`, in order, none overlapping another.

        Raises:
            ValueError: if `texts` holds something else than strings, or `unit` is unknown.
        """
        cut = self._windows(texts)
        written = self.decode(self._arrays(cut)["bytes"], beams, constrained, stop_penalty, batch_size)
        return self.join(texts, written, unit)

    @checked
    def join(self, texts: Texts, symbols: Numbers, unit: Literal["characters", "bytes"] = "characters"):
        """The spans of texts, out of the symbols that were written for all of their windows (see `zoo.text.joined_spans`).

        Args:
            texts: list of strings.
            symbols: `(windows, 3 * max_spans + 1)`, of the windows that `encode(texts)` makes.
            unit: as in `find`.
        """
        found, rows, cut = [], iter(symbols), self._windows(texts)
        if np.ndim(symbols) != 2 or len(symbols) != sum(len(windows) for _, windows in cut):
            arguments.refuse("symbols", f"rows, one for each of the {sum(len(windows) for _, windows in cut)} windows", symbols)
        for data, windows in cut:
            places = text.character_places(data)
            in_windows = []
            for begin, end in windows:
                spans = []
                for start, length, label in self.read_spans(next(rows))[0]:
                    # the free search may cut characters, which then belong to the span, and leave the window
                    first, last = np.searchsorted(places, begin + start, "right") - 1, np.searchsorted(places, begin + start + length)
                    if begin + start + length <= end:
                        spans.append((int(places[first]), int(places[last] - places[first]), label))
                in_windows.append((begin, end, spans))
            spans = text.joined_spans(in_windows, len(data))
            if unit == "characters":
                counts = {int(place): i for i, place in enumerate(places)}
                spans = [(counts[start], counts[start + n] - counts[start], label) for start, n, label in spans]
            found.append(spans)
        return found

    @checked
    def decode(self, ids: Bytes, beams: Count = 1, constrained: Flag = True, stop_penalty: Number = 0.0, batch_size: Count = 256):
        """The symbols that are written for windows.

        Args:
            ids: bytes `(windows, segment_length)`, as in `encode(texts)["bytes"]`.
            beams: as in `find`.
            constrained: as in `find`.
            stop_penalty: as in `find`.
            batch_size: windows in one run.

        Returns:
            `(windows, 3 * max_spans + 1)` int32, 0 behind STOP.
        """
        ids = ops.convert_to_numpy(ids)
        # all runs have one size, so that one graph does for all
        batch_size = min(batch_size, 1 << (len(ids) - 1).bit_length())
        padded = np.pad(ids.astype("int32"), ((0, -len(ids) % batch_size), (0, 0)))
        decode = self._decoder(beams, constrained)
        penalty = ops.convert_to_tensor(stop_penalty, "float32")
        runs = [decode(ops.convert_to_tensor(padded[i : i + batch_size]), penalty) for i in range(0, len(padded), batch_size)]
        return np.concatenate([ops.convert_to_numpy(run) for run in runs])[: len(ids)]

    def _decoder(self, beams, constrained):
        """One compiled function for each kind of search."""
        if (beams, constrained) not in self._decoders:
            self._decoders[beams, constrained] = autodiff.compiled(
                lambda ids, penalty: self._best_symbols(ids, penalty, beams, constrained), self
            )
        return self._decoders[beams, constrained]

    def _best_symbols(self, ids, stop_penalty=0.0, beams=1, constrained=True):
        """Beam search over the symbols of windows, in one loop."""
        found, count = list(self.reader(ids, training=False)), 2 * self.num_layers
        states, memory = found[:count], found[count:]
        # of every beam; what a text has alone is closed over
        borders = ops.repeat(text.character_borders(ids), beams, axis=0)
        zero = ops.zeros_like(ids[:, 0])
        penalty = ops.cast(ops.arange(self._symbols) == STOP, "float32") * stop_penalty

        def step(before, state):
            *states, begin, end = state
            x = self.symbol_embedding(before)
            cells = []
            for i, writer in enumerate(self.writers):
                x, parts = writer.cell(x, states[2 * i : 2 * i + 2])
                cells += parts
            logits = self._to_logits(ops.reshape(x, (-1, beams, self.units)), memory)
            logits = ops.reshape(logits, (-1, self._symbols)) - penalty
            begin = ops.where((before >= self._starts) & (before < self._lengths), before - self._starts, begin)
            end = ops.where((before >= self._lengths) & (before < self._labels), begin + before - self._lengths + 1, end)
            if constrained:
                logits = ops.where(self._legal(before, borders, begin, end), logits, _ILLEGAL)
            return logits, [*cells, begin, end]

        start = ops.full_like(zero, self._symbols)
        return beam_search(step, [*states, zero, zero], start, 3 * self._spans + 1, beams, end=STOP)[0][:, 0]

    def _legal(self, before, borders, begin, end):
        """Which symbols may follow: `(batch, symbols)` bool."""
        place = ops.arange(self.segment_length, dtype="int32")
        begin, end = begin[:, None], end[:, None]
        wants_length = (before >= self._starts) & (before < self._lengths)
        wants_label = (before >= self._lengths) & (before < self._labels)
        wants_start = ~(wants_length | wants_label)
        # a character begins at every border but the last, where the text ends
        last = ops.max(ops.where(borders, ops.arange(self.segment_length + 1, dtype="int32"), 0), axis=1, keepdims=True)
        starts = borders[:, :-1] & (place >= end) & (place < last)
        ends = begin + place + 1
        fits = ops.take_along_axis(borders, ops.minimum(ends, self.segment_length), axis=1) & (ends <= self.segment_length)
        shape = ops.zeros_like(starts)
        return ops.concatenate(
            [
                shape[:, :1],
                wants_start[:, None],
                starts & wants_start[:, None],
                fits & wants_length[:, None],
                ops.repeat(wants_label[:, None], len(self.labels), axis=1),
            ],
            axis=1,
        )

    # --- serving ---

    def signatures(self):
        """`serve` finds the spans of strings of up to `segment_length` bytes, `decode` writes symbols for bytes, `logits` is `call`."""
        return {
            "serve": (self._serve_text, [Field("text", (), "string")]),
            "decode": (lambda ids: {"symbols": self._best_symbols(ids)}, self.input_fields()[:1]),
            "logits": (self._serve, self.input_fields()),
        }

    def _serve_text(self, x):
        """Start and length in characters, and label, each `(batch, max_spans)`; length 0 and label "" behind the last span."""
        ids = text.byte_ids(x, self.segment_length)
        triples = ops.reshape(self._best_symbols(ids)[:, :-1], (-1, self._spans, 3))
        real = triples[..., 0] >= self._starts
        start = ops.where(real, triples[..., 0] - self._starts, 0)
        end = ops.where(real, start + triples[..., 1] - self._lengths + 1, 0)
        counts = ops.cumsum(ops.cast(text.character_borders(ids), "int32"), axis=1) - 1
        start, end = (ops.take_along_axis(counts, place, axis=1) for place in (start, end))
        label = ops.where(real, triples[..., 2] - self._labels + 1, 0)
        return {"start": start, "length": ops.where(real, end - start, 0), "label": self._label_names(label)}


def _checked_spans(spans):
    """A text's spans as triples of two whole numbers and a label."""
    found = [arguments.listed("spans", span, "triples of start, length and label") for span in arguments.listed("spans", spans, empty=True)]
    if any(len(span) != 3 for span in found):
        arguments.refuse("spans", "triples of start, length and label", spans)
    return [(arguments.count("spans", start, 0), arguments.count("spans", length, 0), label) for start, length, label in found]
