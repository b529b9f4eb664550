"""Doctor AI: reads the codes of a patient's visits, and tells those of the next visit and the days until then.

Paper: Choi, Bahadori, Schuetz, Stewart, Sun 2015, "Doctor AI: Predicting Clinical Events via Recurrent Neural Networks", arXiv 1511.05942.
A visit is the sum of its codes' vectors; GRUs read the visits; from each state a softmax gives the labels of the next visit, and a
rectified linear unit the time. The vectors may start from a skip-gram of codes. One or two layers, random or skip-gram start, are the
paper's RNN-1, RNN-2, RNN-1-IR and RNN-2-IR. Records come from `zoo.datasets.read_visits`.

Shapes: `codes` `(batch, max_visits, max_codes)`, places in the vocabulary plus 1, 0 for padding; `days` `(batch, max_visits)` since the
visit before; `visits` `(batch,)`, how many are real -> `probabilities` `(batch, max_visits, labels)` and `log_days` `(batch, max_visits)`,
log(1 + days), of the visit that comes next. Targets are the visits themselves, one step on. Behind the last visit outputs mean nothing.

Differences from the paper:
1. The loss of a batch is a mean over visits, where the paper has a sum over the visits of a patient.
2. The paper's text was not at hand; loss, form of the time and defaults are those of its review and of what is known of the authors' code:
   tanh on the sum of a visit's vectors, beside which the time goes into the first GRU; logarithms of all times; Adadelta.
3. The skip-gram is of sets: all codes of a visit and of its neighbours are contexts of each other, in place of a window over codes in some
   order; it learns by Adam.
"""

from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.metrics import r2_score

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Count, Described, Index, Inputs, Kind, Numbers, Verbose, WordVectors, checked
from zoo.datasets.patients import PatientRecords
from zoo.layers.conditional_gru import ConditionalGRU
from zoo.layers.sequence_pooling import at_last
from zoo.layers.word_prediction import NegativeSampling
from zoo.metrics import top_k_recall
from zoo.model import Field, Model

_TINY = 1e-8


Codes = Annotated[Any, Described("input_fields", "codes")]
Records = Annotated[PatientRecords, Kind(arguments.instance, of=PatientRecords)]


class DoctorAI(Model):
    """GRUs over visits that predict the next one (arXiv 1511.05942, section 3); `fit(model.encode(records))` trains it.

    Args:
        vocabulary: list of codes that visits may have.
        labels: what is predicted of each code, a list of names as long as `vocabulary`, such as `zoo.datasets.icd9_category` gives; codes
            with the same name are one label. `None` for the codes themselves.
        embedding_size: length of a code's vector.
        units: list with the units of each GRU layer.
        dropout: rate on the outputs of each layer.
        predict_time: whether the days until the next visit are predicted.
        use_time: whether the days since the visit before are read.
        tune_embeddings: whether the vectors of codes are learned; without it give some, by `pretrain_embeddings` or `load_code_vectors`.
        time_weight: weight of half the squared error of log(1 + days) beside the cross-entropy.
        l2: weight of the squared norm of the output kernels.
        max_visits: visits of a patient; of more the last ones are read.
        max_codes: codes of a visit.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        vocabulary,
        labels=None,
        embedding_size=200,
        units=(2000, 2000),
        dropout=0.5,
        predict_time=True,
        use_time=True,
        tune_embeddings=True,
        time_weight=1.0,
        l2=1e-3,
        max_visits=100,
        max_codes=64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(vocabulary) or len(set(vocabulary)) < len(vocabulary):
            raise ValueError(f"`vocabulary` must hold codes, none of them twice. Received: {str(vocabulary)[:100]}")
        if labels is not None and len(labels) != len(vocabulary):
            raise ValueError(f"`labels` must be {len(vocabulary)} names, one for each code. Received: {len(labels)}")
        if not len(units) or min(embedding_size, max_codes, *units) < 1 or max_visits < 2:
            raise ValueError(
                "`embedding_size`, `units` and `max_codes` must be at least 1, `max_visits` 2. "
                f"Received: {embedding_size}, {units}, {max_codes}, {max_visits}"
            )
        if not 0 <= dropout < 1 or min(time_weight, l2) < 0:
            raise ValueError(f"`dropout` must lie in [0, 1), `time_weight` and `l2` from 0. Received: {dropout}, {time_weight}, {l2}")
        self.vocabulary, self.labels, self.embedding_size, self.units = vocabulary, labels, embedding_size, units
        self.dropout, self.predict_time, self.use_time, self.tune_embeddings = dropout, predict_time, use_time, tune_embeddings
        self.time_weight, self.l2, self.max_visits, self.max_codes = time_weight, l2, max_visits, max_codes
        self.label_names = sorted(set(labels or vocabulary))
        places = {name: i for i, name in enumerate(self.label_names, start=1)}
        # of padding and of each code
        self._label_of = np.array([0, *(places[name] for name in (labels or vocabulary))], "int32")
        self.network = self._build_network()
        self.crossentropy = keras.metrics.Mean("crossentropy")
        self.time_error = keras.metrics.Mean("time_error") if predict_time else None
        self._forward = autodiff.compiled(lambda x: self(x, training=False), self)
        self._next = autodiff.compiled(self._serve_next, self)
        self.compile()

    def _build_network(self):
        codes = keras.Input((self.max_visits, self.max_codes), dtype="int32", name="codes")
        days = keras.Input((self.max_visits,), name="days")
        table = layers.Embedding(len(self.vocabulary) + 1, self.embedding_size, trainable=self.tune_embeddings, name="code_vectors")
        vectors = table(codes)
        # padding's vector is a bias of every visit
        bias = table(ops.zeros_like(codes[..., 0]))
        x = ops.tanh(bias + ops.sum(vectors * ops.cast(codes > 0, vectors.dtype)[..., None], axis=2))
        if self.use_time:
            x = ops.concatenate([x, ops.cast(ops.log1p(days), x.dtype)[..., None]], axis=-1)
        # padding lies behind all visits, so that no real state sees it
        for i, units in enumerate(self.units):
            x = ConditionalGRU(units, x.shape[-1], kernel_initializer="glorot_uniform", name=f"gru{i}")(x)
            x = layers.Dropout(self.dropout, name=f"dropout{i}")(x)
        options = {"kernel_regularizer": keras.regularizers.L2(self.l2) if self.l2 else None, "dtype": "float32"}
        outputs = {"probabilities": layers.Dense(len(self.label_names), "softmax", name="labels", **options)(x)}
        if self.predict_time:
            # starts at a month or so: a unit that starts below 0 would never learn
            bias = keras.initializers.Constant(3.0)
            outputs["log_days"] = layers.Dense(1, "relu", bias_initializer=bias, name="time", **options)(x)[..., 0]
        return keras.Model({"codes": codes, "days": days} if self.use_time else {"codes": codes}, outputs, name="network")

    def call(self, x, training=False):
        """What the visit after each visit will be like.

        Args:
            x: dict of `codes`, `days` and `visits`, see `input_fields`.
            training: whether to drop out.

        Returns:
            Dict of `probabilities` `(batch, max_visits, labels)` and, with `predict_time`, `log_days` `(batch, max_visits)`.
        """
        names = ("codes", "days") if self.use_time else ("codes",)
        return self.network({name: x[name] for name in names}, training=training)

    # --- what the method takes, and learning ---

    def input_fields(self):
        """Codes of visits, days since the visit before (0 for the first), and how many visits are real. `encode` makes them."""
        return [
            Field("codes", (self.max_visits, self.max_codes), "int32", 0, len(self.vocabulary)),
            Field("days", (self.max_visits,), "float32", 0),
            Field("visits", (), "int32", 1, self.max_visits),
        ]

    def default_optimizer(self):
        """Adadelta, as in the authors' code."""
        return keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-6)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy of the next labels and half the squared error of the log of the time, a mean over visits (section 3, loss)."""
        weight = self._real(x["visits"])
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        # one for each visit that has a next one
        scale = 1 / ops.maximum(ops.sum(self._real(x["visits"])), 1.0)
        labels, p = self.multi_hot(x["codes"])[:, 1:], ops.cast(y_pred["probabilities"], "float32")[:, :-1]
        losses = -ops.sum(labels * ops.log(p + _TINY) + (1 - labels) * ops.log(ops.maximum(1 - p, _TINY)), axis=-1)
        self.crossentropy.update_state(losses, weight)
        total = ops.sum(weight * losses)
        if self.predict_time:
            errors = ops.square(ops.log1p(ops.cast(x["days"], "float32"))[:, 1:] - ops.cast(y_pred["log_days"], "float32")[:, :-1]) / 2
            self.time_error.update_state(errors, weight)
            total = total + self.time_weight * ops.sum(weight * errors)
        return scale * total

    def _real(self, visits):
        """1 for each visit that has a next one, `(batch, max_visits - 1)`."""
        return ops.cast(ops.arange(1, self.max_visits) < ops.cast(visits, "int32")[:, None], "float32")

    @checked
    def multi_hot(self, codes: Codes):
        """The labels of visits, which is what is predicted of the visit before.

        Args:
            codes: `(batch, max_visits, max_codes)`, as `encode` gives them.

        Returns:
            0 or 1 float32, `(batch, max_visits, labels)`.
        """
        ids = ops.reshape(ops.take(self._label_of, ops.cast(codes, "int32"), axis=0), (-1, self.max_codes))
        rows = ops.broadcast_to(ops.arange(ops.shape(ids)[0])[:, None], ops.shape(ids))
        places = ops.stack([ops.reshape(ops.cast(rows, "int32"), (-1,)), ops.reshape(ids, (-1,))], axis=1)
        table = ops.zeros((ops.shape(ids)[0], len(self.label_names) + 1), "float32")
        table = ops.scatter_update(table, places, ops.ones_like(places[:, 0], dtype="float32"))
        # the first column is padding's
        return ops.reshape(table, (-1, self.max_visits, len(self.label_names) + 1))[..., 1:]

    @classmethod
    def example_config(cls):
        """Six codes in four labels, two small layers."""
        return {
            "vocabulary": ["250.00", "250.01", "401.1", "428.0", "428.9", "V70"],
            "labels": ["250", "250", "401", "428", "428", "V70"],
            "embedding_size": 5,
            "units": [4, 3],
            "dropout": 0.2,
            "time_weight": 0.7,
            "l2": 1e-4,
            "max_visits": 4,
            "max_codes": 3,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        x, vectors = self.example_inputs(), {self.vocabulary[0]: np.linspace(0, 1, self.embedding_size)}
        some = list(self.vocabulary)[:3]
        records = {"records": PatientRecords.from_rows([0, 0, 1, 1, 1], [0, 9, 3, 5, 8], [some[i] for i in (0, 1, 2, 0, 1)])}
        pretrain = {"x": x, "window": 1, "negative": 2, "epochs": 1, "batch_size": 2, "learning_rate": 0.01, "verbose": 0}
        return {
            **super().example_calls(),
            "multi_hot": {"codes": x["codes"]},
            "pretrain_embeddings": pretrain,
            "load_code_vectors": {"vectors": vectors, "seed": 1},
            "encode": records,
            "predict_next": {**records, "k": 2, "batch_size": 1},
            "evaluate_records": {**records, "k": [1, 2], "batch_size": 1},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, dropout, weight of the time and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [32, 64, 128]),
            "units": [hp.Choice("units", [32, 64, 128])] * hp.Int("layers", 1, 2),
            "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1),
            "time_weight": hp.Choice("time_weight", [0.3, 1.0, 3.0]),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1.0, sampling="log"),
        }

    # --- vectors of codes ---

    @checked
    def pretrain_embeddings(
        self,
        x: Inputs,
        window: Index = 1,
        negative: Count = 5,
        epochs: Count = 10,
        batch_size: Count = 128,
        learning_rate: Amount = 5e-3,
        verbose: Verbose = 0,
    ) -> keras.callbacks.History:
        """Start the vectors of codes from a skip-gram (Mikolov et al. 2013, arXiv 1310.4546) of these records (section 3, initialisation).

        Args:
            x: dict of arrays, see `encode`.
            window: visits before and behind a visit whose codes are contexts of its own.
            negative: draws for each context.
            epochs: passes over all visits.
            batch_size: visits of a batch.
            learning_rate: of Adam.
            verbose: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`; its `loss` is the mean over pairs of codes.
        """
        codes, near = _neighbourhoods(np.asarray(x["codes"], "int32"), np.asarray(x["visits"]), window)
        counts = np.bincount(codes.ravel(), minlength=len(self.vocabulary) + 1)[1:]
        skip_gram = _SkipGram(counts.tolist(), self.embedding_size, negative)
        skip_gram.compile(keras.optimizers.Adam(learning_rate))
        history = skip_gram.fit({"codes": codes, "near": near}, batch_size=batch_size, epochs=epochs, verbose=verbose)
        self.network.get_layer("code_vectors").set_weights([ops.convert_to_numpy(skip_gram.vectors)])
        return history

    @checked
    def load_code_vectors(self, vectors: WordVectors, seed: Index = 0) -> float:
        """Start from given vectors of codes; codes without one are drawn from U(-a, a) with the variance of the given ones.

        Args:
            vectors: code -> vector of `embedding_size` numbers: a dict, or gensim's `KeyedVectors`.
            seed: of the draws.

        Returns:
            The share of the vocabulary that has a vector.

        Raises:
            ValueError: if no code is known, or the vectors have another size.
        """
        table, coverage = text.vector_table(self.vocabulary, vectors, size=self.embedding_size, seed=seed)
        # a text has an unknown word beside padding
        self.network.get_layer("code_vectors").set_weights([table[1:]])
        return coverage

    # --- verbs ---

    @checked
    def encode(self, records: Records) -> dict[str, np.ndarray]:
        """What `fit` and `predict` take, of `zoo.datasets.PatientRecords`; codes that the vocabulary does not have are left out."""
        return records.with_vocabulary(list(self.vocabulary)).padded(self.max_visits, self.max_codes)

    @checked
    def predict_next(self, records: Records, k: Count = 10, batch_size: Count = 256) -> list[dict]:
        """The most probable labels of each patient's next visit, and the days until then.

        Args:
            records: `zoo.datasets.PatientRecords`.
            k: labels to give.
            batch_size: patients at once.

        Returns:
            For each patient a dict of `labels`, a list of (label, probability), the most probable first, and, with `predict_time`, `days`.
        """
        answers = []
        for x in self._batches(records, batch_size):
            found = {name: ops.convert_to_numpy(part) for name, part in self._next(x).items()}
            for i, row in enumerate(found["probabilities"]):
                answer = {"labels": [(self.label_names[j], float(row[j])) for j in np.argsort(-row, kind="stable")[:k]]}
                answers.append({**answer, "days": float(found["days"][i])} if self.predict_time else answer)
        return answers

    @checked
    def evaluate_records(self, records: Records, k: Numbers = (10, 20, 30), batch_size: Count = 256) -> dict[str, float]:
        """How well all visits but the first of each patient are predicted from those before (section 4).

        Args:
            records: `zoo.datasets.PatientRecords`.
            k: list of numbers of labels to look at.
            batch_size: patients at once.

        Returns:
            Dict of floats: `recall@10`, ... (`zoo.metrics.top_k_recall`) and, with `predict_time`, `r2` of the log of the time.

        Raises:
            ValueError: if no patient has two visits.
        """
        k = [arguments.count("k", n) for n in k]
        recalls: dict[int, list] = {n: [] for n in k}
        times: list = []
        for x in self._batches(records.take(records.counts > 1), batch_size):
            found = {name: ops.convert_to_numpy(part) for name, part in self._forward(x).items()}
            real = ops.convert_to_numpy(self._real(x["visits"])) > 0
            labels, p = ops.convert_to_numpy(self.multi_hot(x["codes"]))[:, 1:][real], found["probabilities"][:, :-1][real]
            for n in k:
                recalls[n].append(top_k_recall(labels, p, n))
            if self.predict_time:
                times.append((np.log1p(x["days"])[:, 1:][real], found["log_days"][:, :-1][real]))
        scores = {f"recall@{n}": float(np.mean(np.concatenate(parts))) for n, parts in recalls.items()}
        return {**scores, "r2": float(r2_score(*map(np.concatenate, zip(*times))))} if self.predict_time else scores

    def _batches(self, records, size):
        if not len(records):
            raise ValueError("`records` must hold patients, for `evaluate_records` with two visits or more. Received: none")
        for i in range(0, len(records), size):
            x = self.encode(records.take(slice(i, i + size)))
            self.check(x)
            yield x

    def signatures(self):
        """`serve` tells what follows each visit, `next` what follows the last."""
        return {"serve": (self._serve, self.input_fields()), "next": (self._serve_next, self.input_fields())}

    def _serve_next(self, x):
        found = self(x, training=False)
        answer = {"probabilities": at_last(found["probabilities"], x["visits"])}
        return {**answer, "days": ops.expm1(at_last(found["log_days"], x["visits"]))} if self.predict_time else answer


class _SkipGram(keras.Model):
    """Vectors of codes that tell the codes nearby from codes drawn at random."""

    def __init__(self, counts, dim, negative):
        super().__init__(name="skip_gram")
        self.prediction = NegativeSampling(counts, dim, negative, shared=64, dtype="float32", name="prediction")
        initial = keras.initializers.RandomUniform(-0.5 / dim, 0.5 / dim)
        self.vectors = self.add_weight((len(counts) + 1, dim), initial, name="vectors", autocast=False)
        self.built = True

    def call(self, x, training=False):
        """Losses `(rows, targets)` and numbers of pairs of the codes nearby, `(rows, targets)`."""
        codes, near = (ops.cast(x[name], "int32") for name in ("codes", "near"))
        pairs = (near > 0)[:, :, None] & (codes > 0)[:, None]
        # the visit's own codes come first, and none is a context of itself
        own = ops.arange(near.shape[1])[:, None] == ops.arange(codes.shape[1])
        pairs = ops.cast(pairs & ops.logical_not(own), "float32")
        losses = self.prediction(ops.take(self.vectors, codes, axis=0), ops.maximum(near - 1, 0), pairs)
        return losses, ops.sum(pairs, axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean over pairs."""
        losses, pairs = y_pred
        return autodiff.per_replica(ops.sum(losses) / ops.maximum(ops.sum(pairs), 1.0))


def _neighbourhoods(codes, visits, window):
    """Codes of all real visits `(n, max_codes)`, and those within `window` visits, their own first, `(n, (2 window + 1) max_codes)`."""
    length, real = codes.shape[1], np.arange(codes.shape[1]) < visits[:, None]
    # a padded visit has no codes
    around = np.pad(codes * real[..., None], ((0, 0), (window, window), (0, 0)))
    shifts = sorted(range(2 * window + 1), key=lambda shift: abs(shift - window))
    near = np.concatenate([around[:, shift : shift + length] for shift in shifts], axis=2)
    return codes[real], near[real]
