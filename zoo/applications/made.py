"""MADE: an autoencoder whose masked weights make it a distribution over binary vectors, with exact likelihoods, samples and imputation.

Paper: Germain, Gregor, Murray, Larochelle 2015, "MADE: Masked Autoencoder for Distribution Estimation", arXiv 1502.03509. Inputs are
`(batch, dimensions)`, 0 or 1; outputs are log-likelihoods in nats, `(batch,)`.

Output d is the probability of input d given the inputs before it in an ordering, since masks cut every path from the others to it; the
product of all is the probability of the input. With many masks one network is as many models, which share their weights.

Differences from the paper:
1. One hidden layer of 500 units and one mask by default: the network of the paper's study of the number of masks, in its simplest form.
   Its best one on binarised MNIST, `units=(8000, 8000), masks=32`, has 77 million weights: 2.5 GB, and on two cores two minutes to make
   and ten for an epoch, a hundred times the default's. Many masks ask for many more updates than one: after two epochs of MNIST 32
   masks are behind by nats (the preset's card), while the paper, at the end, is 0.4 nats ahead with them.
2. All masks of the cycle are drawn when the model is made and kept with its weights, where the paper's code draws them again from a seed.
3. Orthogonal weights are Keras's, with orthonormal rows or columns; the paper's code cuts them out of a larger orthogonal matrix.
4. Early stopping on validation data with a look-ahead of 30 epochs is the user's (`keras.callbacks.EarlyStopping`).
5. Samples and imputed values come from one loop that carries the sums of the first layer and adds one input a step, rather than from a
   pass through the network for each input. Its ordering may differ from row to row. The probabilities are the same.
6. Products of masks in place of the paper's mixture, which Huszar's review of the paper asks for: `combine="product"` multiplies the
   conditionals of masks that share an ordering and normalises each, which is exact; `combine="geometric"` multiplies whole distributions,
   over any orderings, and is not normalised: 2^D terms would have to be summed. Since such a product sums to at most one, its score is a
   lower bound on the normalised product's log-likelihood, and on the mixture's. It is also what training raises.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Flag, Index, Inputs, Numbers, Positive, checked
from zoo.layers.masked_dense import MaskedDense, degree_mask, draw_degrees
from zoo.model import Field, Model

# rows of a compiled loop, and of a pass through all masks
ROWS = 250
ORDERINGS, CONNECTIVITIES = ("agnostic", "random", "natural"), ("agnostic", "fixed")


class MADE(Model):
    """Masked autoencoder for distribution estimation; `fit(x)` needs no targets.

    `call` and `predict` give log-likelihoods under the mixture of all masks; while it trains, each step has the next mask of the cycle.

    Args:
        dimensions: number of binary variables, at least 2.
        units: sizes of the hidden layers.
        masks: how many masks training takes in turn, batch by batch; `None` draws a new one for each batch.
        ordering: of the variables. `"agnostic"`: each mask has its own random one (order-agnostic training). `"random"`: one for all masks.
            `"natural"`: the order in which they come.
        connectivity: `"agnostic"`: each mask has its own degrees of the hidden units (connectivity-agnostic training). `"fixed"`: all masks
            share one set.
        ensemble: how many masks are combined at test time where `masks` is `None`; otherwise those of training are.
        direct: connections from inputs to outputs, under a mask of their own.
        conditioning: weights that tell units which connections a mask has left them (connectivity-agnostic training).
        activation: of the hidden units, by name, or a function that is registered with Keras; of each number alone, so not softmax, which
            would lead around the masks.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if a size is too small, a choice unknown, or several masks would all be the same.
    """

    output_name = "log_likelihood"
    # section "Experiments"
    default_batch_size = 100

    def __init__(
        self,
        dimensions=784,
        units=(500,),
        masks=1,
        ordering="agnostic",
        connectivity="agnostic",
        ensemble=32,
        direct=True,
        conditioning=False,
        activation="relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dimensions, self.units = arguments.count("dimensions", dimensions, low=2), arguments.counts("units", units)
        self.masks = None if masks is None else arguments.count("masks", masks)
        self.ensemble = arguments.count("ensemble", ensemble)
        self.ordering = arguments.one_of("ordering", ordering, ORDERINGS)
        self.connectivity = arguments.one_of("connectivity", connectivity, CONNECTIVITIES)
        self.direct, self.conditioning = arguments.flag("direct", direct), arguments.flag("conditioning", conditioning)
        self.activation = _activation(activation)
        if ordering != "agnostic" and connectivity == "fixed" and masks != 1:
            raise ValueError(f"`masks` must be 1 where `ordering` and `connectivity` are the same for all. Received: {masks}")
        self._build_layers()
        self.seed_generator = keras.random.SeedGenerator()
        # the degrees of all units in each mask of the ensemble, layer by layer
        self.tables = [self._fixed(f"degrees_{i}", table) for i, table in enumerate(self._drawn_tables())]
        self.turn = self._fixed("turn", np.zeros((), "int32"))
        self.compile()

    def _build_layers(self):
        options = {"conditioning": self.conditioning}
        self.hidden = [MaskedDense(n, self.activation, name=f"hidden_{i}", **options) for i, n in enumerate(self.units)]
        self.logits = MaskedDense(self.dimensions, name="logits", **options)
        self.shortcut = MaskedDense(self.dimensions, use_bias=False, name="shortcut") if self.direct else None
        for layer, size in zip([*self.hidden, self.logits], (self.dimensions, *self.units)):
            layer.build((None, size))
        if self.direct:
            self.shortcut.build((None, self.dimensions))

    @property
    def mask_count(self):
        """How many masks the ensemble has."""
        return self.masks or self.ensemble

    @property
    def orderings(self):
        """The place of each variable in the ordering of each mask of the ensemble, from 1: int32 array `(mask_count, dimensions)`."""
        return ops.convert_to_numpy(self.tables[0])

    def input_fields(self):
        """Binary vectors."""
        return [Field("x", (self.dimensions,), "int32", 0, 1)]

    @classmethod
    def example_config(cls):
        """A small model of ten variables with two hidden layers and three masks."""
        sizes = {"dimensions": 10, "units": (12, 8), "masks": 3, "ensemble": 2, "conditioning": True, "activation": "softplus"}
        return {**sizes, "ordering": "random", "direct": True}

    def example_calls(self):
        """A small valid call of every verb."""
        x = self.example_inputs()
        missing = np.arange(x.size).reshape(x.shape) % 3 == 0
        own = {
            "log_likelihood": {"x": x, "combine": "mixture", "masks": 2, "power": 1.0, "batch_size": 2},
            "conditionals": {"x": x, "mask": 1},
            "weight_masks": {"mask": 1},
            "sample": {"n": 3, "mask": 0, "seed": 0},
            "impute": {"x": x, "missing": missing, "observed_first": True, "seed": 0},
            "conditional_log_likelihood": {"x": x, "missing": missing, "observed_first": True, "masks": 2},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Width, number of masks, direct connections, and learning rate; the paper searched these."""
        return {
            "units": (hp.Choice("width", [250, 500, 1000, 2000]),),
            "masks": hp.Choice("masks", [1, 2, 4, 8, 16, 32, 64]),
            "direct": hp.Boolean("direct"),
            "learning_rate": hp.Float("learning_rate", 5e-3, 1e-1, sampling="log"),
        }

    def default_optimizer(self):
        """AdaGrad, learning rate 0.01 (section "Binarized MNIST"), with sums of squares that start at 0."""
        return keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.0, epsilon=1e-6)

    # --- learning ---

    def call(self, x, training=False):
        """Log-likelihoods `(batch,)` in nats: of the mixture; in training under the mask of this step."""
        x = ops.cast(x, "float32")
        if training:
            return _log_probability(x, self._logits(x, self._next_degrees()))
        return self._combined(x, "mixture", self.mask_count)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Mean negative log-likelihood in nats."""
        rows = ops.ones_like(y_pred) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        return -ops.mean(rows * y_pred)

    def _drawn_tables(self):
        """Degrees of all units in each mask of the ensemble, drawn anew: one int32 array `(mask_count, size)` a layer."""
        noise = keras.random.uniform((self.mask_count, self.dimensions + sum(self.units)), seed=self.seed_generator)
        noise = ops.convert_to_numpy(noise).copy()
        if self.connectivity == "fixed":
            noise[:, self.dimensions :] = noise[0, self.dimensions :]
        if self.ordering == "random":
            noise[:, : self.dimensions] = noise[0, : self.dimensions]
        natural = np.arange(1, self.dimensions + 1) if self.ordering == "natural" else None
        drawn = [draw_degrees(ops.convert_to_tensor(row), self.dimensions, self.units, natural) for row in noise]
        return [np.stack([ops.convert_to_numpy(layer) for layer in layers]) for layers in zip(*drawn)]

    def _fixed(self, name, value):
        """A weight that training does not touch."""
        return self.add_weight(value.shape, lambda shape, dtype: ops.convert_to_tensor(value, dtype), "int32", trainable=False, name=name)

    def _degrees(self, mask):
        """Degrees of the units in one mask of the ensemble: places of the variables, then a tensor a hidden layer."""
        return [ops.take(table, mask, axis=0) for table in self.tables]

    def _next_degrees(self):
        """Degrees of the units in this step of training."""
        if self.masks is not None:
            turn = ops.mod(self.turn, self.masks)
            self.turn.assign(turn + 1)
            return self._degrees(turn)
        noise = keras.random.uniform((self.dimensions + sum(self.units),), seed=self.seed_generator)
        first, *hidden = self._degrees(0)
        drawn = draw_degrees(noise, self.dimensions, self.units, None if self.ordering == "agnostic" else first)
        return drawn if self.connectivity == "agnostic" else [drawn[0], *hidden]

    def _logits(self, x, degrees):
        """Logits of all conditionals, `(batch, dimensions)` float32: inputs `(batch, dimensions)` float, degrees of one mask."""
        h = x
        for layer, before, after in zip(self.hidden, degrees, degrees[1:]):
            h = layer(h, degree_mask(before, after))
        logits = self.logits(h, degree_mask(degrees[-1], degrees[0], strict=True))
        if self.direct:
            logits = logits + self.shortcut(x, degree_mask(degrees[0], degrees[0], strict=True))
        return ops.cast(logits, "float32")

    # --- how likely ---

    @checked
    def log_likelihood(
        self,
        x: Inputs,
        combine: Literal["mixture", "product", "geometric"] = "mixture",
        masks: Count | None = None,
        power: Positive = 1.0,
        batch_size: Count = ROWS,
    ):
        """Log-likelihood of each row in nats, under all masks together.

        Args:
            x: array `(n, dimensions)` of 0 and 1.
            combine: `"mixture"`: log of the mean probability, as in the paper. `"product"`: each conditional is the normalised product of
                those of all masks; they must share one ordering. `"geometric"`: mean of the log-probabilities, which is not normalised; a
                lower bound on the other kinds of combination that are (see the module's sixth difference).
            masks: how many masks of the ensemble, the first ones; all by default.
            power: of the product: 1 is the geometric mean of the conditionals, the number of masks their plain product.
            batch_size: rows at once.

        Returns:
            float32 array `(n,)`.

        Raises:
            ValueError: if `x` is not binary, the model has fewer `masks`, or `combine` is `"product"` and orderings differ.
        """
        count = self._first_masks(masks)
        if combine == "product" and self.ordering == "agnostic" and count > 1:
            raise ValueError(
                "`combine` must be 'mixture' or 'geometric' where masks have different orderings, since products of such cannot be "
                f"normalised. Received: {combine!r}"
            )
        if combine != "product" and power != 1:
            raise ValueError(f"`power` must be 1 unless `combine` is 'product'. Received: {power}")
        run = self._graph(("combined", combine, count), lambda x, power: self._combined(x, combine, count, power))
        return autodiff.in_batches(run, [np.asarray(x, "float32")], batch_size, shared=[np.array(power, "float32")])[0]

    @checked
    def conditionals(self, x: Inputs, mask: Index = 0, batch_size: Count = ROWS):
        """The outputs of the autoencoder: the probability of each variable to be 1, given those before it.

        Args:
            x: array `(n, dimensions)` of 0 and 1.
            mask: which of the ensemble; `orderings` has its ordering.
            batch_size: rows at once.

        Returns:
            float32 array `(n, dimensions)`.

        Raises:
            ValueError: if `x` is not binary or there is no such mask.
        """
        mask = arguments.count("mask", mask, low=0, high=self.mask_count - 1)
        run = self._graph("conditionals", lambda x, mask: ops.sigmoid(self._logits(x, self._degrees(mask))))
        return autodiff.in_batches(run, [np.asarray(x, "float32")], batch_size, shared=[np.array(mask, "int32")])[0]

    @checked
    def weight_masks(self, mask: Index = 0):
        """The masks of all weights.

        Args:
            mask: which of the ensemble.

        Returns:
            List of bool arrays `(features, units)`: of each hidden layer, of the outputs, and of the direct connections if there are such.

        Raises:
            ValueError: if there is no such mask.
        """
        mask = arguments.count("mask", mask, low=0, high=self.mask_count - 1)
        first, *hidden = self._degrees(mask)
        found = [degree_mask(before, after) for before, after in zip([first, *hidden], hidden)]
        found.append(degree_mask(hidden[-1], first, strict=True))
        if self.direct:
            found.append(degree_mask(first, first, strict=True))
        return [ops.convert_to_numpy(m) for m in found]

    def _combined(self, x, combine, count, power=1.0):
        """Log-likelihoods `(batch,)` of rows `(batch, dimensions)` under the first `count` masks; the loop is one graph for any number."""
        step = {"mixture": ops.logaddexp}.get(combine, ops.add)

        def values(mask):
            logits = self._logits(x, self._degrees(mask))
            return logits if combine == "product" else _log_probability(x, logits)

        total = values(0)
        if count > 1:
            total = ops.fori_loop(1, count, lambda mask, total: step(total, values(mask)), total)
        if combine == "mixture":
            return total - float(np.log(count))
        return _log_probability(x, total * (power / count)) if combine == "product" else total / count

    # --- samples and missing values ---

    @checked
    def sample(self, n: Count, mask: Index | None = None, seed: Index | None = None):
        """Draw vectors, variable by variable in the ordering of a mask (ancestral sampling).

        Args:
            n: how many.
            mask: which of the ensemble draws; by default all do, as evenly as `n` allows: the mixture.
            seed: an int gives the same vectors each time.

        Returns:
            float32 array `(n, dimensions)` of 0 and 1.

        Raises:
            ValueError: if there is no such mask.
        """
        nothing = np.zeros((n, self.dimensions), "float32")
        return self._filled(nothing, nothing, False, mask, seed)

    @checked
    def impute(self, x: Inputs, missing: Numbers, observed_first: Flag | None = None, mask: Index | None = None, seed: Index | None = None):
        """Draw missing values (order-agnostic training).

        Args:
            x: array `(n, dimensions)` of 0 and 1, in missing places as well, no matter which (`np.nan_to_num` for data with NaN).
            missing: bool array `(n, dimensions)`, or `(dimensions,)` for all rows.
            observed_first: whether each row gets an ordering in which its observed variables come first, so that draws depend on all of
                them and are exact. By default where training drew a new ordering for each batch (`masks=None`, `ordering="agnostic"`);
                other models have not learned to use such orderings. With `False` a mask's own ordering is followed and observed values
                are put in as they come, so that a draw depends on those before it alone: exact only if the missing ones come last.
            mask: whose degrees, and whose ordering among observed and among missing ones; by default all masks take turns.
            seed: an int gives the same draws each time.

        Returns:
            float32 array `(n, dimensions)`; observed values are as they were.

        Raises:
            ValueError: if `x` is not binary, `missing` has another shape, or there is no such mask.
        """
        x, missing = np.asarray(x, "float32"), self._missing(missing, len(x))
        return self._filled(x, 1 - missing, self._is_observed_first(observed_first), mask, seed)

    @checked
    def conditional_log_likelihood(
        self,
        x: Inputs,
        missing: Numbers,
        observed_first: Flag | None = None,
        masks: Count | None = None,
        batch_size: Count = ROWS,
    ):
        """Log-probability of missing values under what `impute` draws from, in nats: how well it guesses.

        Args:
            x: array `(n, dimensions)` of 0 and 1, with the true values in missing places.
            missing: bool array `(n, dimensions)`, or `(dimensions,)` for all rows.
            observed_first: as in `impute`.
            masks: how many masks of the ensemble, the first ones; all by default.
            batch_size: rows at once.

        Returns:
            float32 array `(n,)`: the log of the mean over masks; 0 for rows in which nothing is missing.

        Raises:
            ValueError: if `x` is not binary, `missing` has another shape, or the model has fewer `masks`.
        """
        x, missing = np.asarray(x, "float32"), self._missing(missing, len(x))
        first, count = self._is_observed_first(observed_first), self._first_masks(masks)

        def score(x, given):
            # noise decides nothing where all values are put in
            one = lambda mask: self._walk(x, given, x, mask, first, forced=True)[1]  # noqa: E731
            return ops.logsumexp(ops.map(one, ops.arange(count, dtype="int32")), axis=0) - float(np.log(count))

        return autodiff.in_batches(self._graph(("score", first, count), score), (x, 1 - missing), batch_size)[0]

    def _missing(self, missing, rows):
        """`missing` as a float32 array `(rows, dimensions)` of 0 and 1."""
        shape = (rows, self.dimensions)
        if missing.shape not in (shape, shape[1:]) or not np.isin(missing, (0, 1)).all():
            raise ValueError(f"`missing` must hold bools of shape {shape} or {shape[1:]}. Received: {arguments.shown(missing)}")
        return np.broadcast_to(missing, shape).astype("float32")

    def _is_observed_first(self, asked):
        return bool(self.masks is None and self.ordering == "agnostic") if asked is None else asked

    def _filled(self, x, given, observed_first, mask, seed):
        """Rows `(n, dimensions)` whose values are drawn where `given` is 0: groups of one mask each, in one compiled call."""
        rng = np.random.default_rng(self._fresh_seed() if seed is None else seed)
        masks = rng.permutation(self.mask_count) if mask is None else [arguments.count("mask", mask, low=0, high=self.mask_count - 1)]
        # as many groups for each mask; of more masks than rows the first ones take a row each
        masks = masks[: len(x)]
        groups = len(masks) * -(-len(x) // (len(masks) * ROWS))
        size = -(-len(x) // groups)
        order = rng.permutation(len(x))
        # dealt out in turns, so that groups differ by one row at most; rows of a second round fill up and are dropped again
        places = np.arange(groups * size).reshape(size, groups).T.ravel()
        rows = order[places % len(x)]
        noise = rng.random((groups * size, self.dimensions), "float32")

        def fill(*arrays):
            return ops.map(lambda group: self._walk(*group, observed_first)[0], arrays)

        shape = (groups, size, self.dimensions)
        arrays = [a.reshape(shape) for a in (x[rows], given[rows], noise)]
        found = self._graph(("fill", observed_first), fill)(*arrays, np.resize(masks, groups).astype("int32"))
        filled = np.empty_like(x)
        filled[rows[places < len(x)]] = ops.convert_to_numpy(found).reshape(-1, self.dimensions)[places < len(x)]
        return filled

    def _fresh_seed(self):
        drawn = keras.random.randint((), 0, arguments.LARGEST_INT, seed=self.seed_generator)
        return int(ops.convert_to_numpy(drawn))

    def _walk(self, x, given, noise, mask, observed_first=False, forced=False):
        """Visit the variables of each row in its ordering, and draw those that are not given.

        The first layer's sums, and those of the direct connections, grow by one input a step. A unit whose inputs have not all come holds
        a part of its sum, but its degree is too high for it to be read.

        Args:
            x: `(batch, dimensions)` float32.
            given: the same shape, 1 where the value of `x` holds.
            noise: the same shape, in [0, 1); compared with the probability of 1.
            mask: of the ensemble, an int32 scalar.
            observed_first: whether the ordering of a row has what is given first.
            forced: whether to put `x` in everywhere.

        Returns:
            The filled rows, and the log-probability `(batch,)` of what was not given.
        """
        places, *degrees = self._degrees(mask)
        sequence = self._sequence(places, given, observed_first)
        # one row for each step
        steps = [ops.transpose(a) for a in (sequence, *(ops.take_along_axis(a, sequence, axis=1) for a in (x, given, noise)))]
        logit_of, grown = self._one_by_one(degrees)

        def visit(i, state):
            values, sums, nats = state
            variable, truth, known, threshold = (ops.take(a, i, axis=0) for a in steps)
            logit = logit_of(i, variable, sums)
            drawn = ops.cast(threshold < ops.sigmoid(logit), "float32")
            value = truth if forced else known * truth + (1 - known) * drawn
            nats = nats + (1 - known) * (value * logit - ops.softplus(logit))
            is_here = ops.cast(ops.equal(ops.arange(self.dimensions), i), "float32")
            return values + is_here * value[:, None], grown(i, variable, sums, value), nats

        width = self.units[0] + self.dimensions * int(self.direct)
        start = (ops.zeros_like(x), ops.zeros((ops.shape(x)[0], width)), ops.zeros_like(x[:, 0]))
        values, _, nats = ops.fori_loop(0, self.dimensions, visit, start)
        return ops.take_along_axis(values, ops.argsort(sequence, axis=1), axis=1), nats

    def _sequence(self, places, given, observed_first):
        """Variables of each row in the order in which they come, int32 `(batch, dimensions)`."""
        late = self.dimensions * (1 - ops.cast(given, "int32")) if observed_first else ops.zeros_like(given, "int32")
        return ops.cast(ops.argsort(places[None] + late, axis=1), "int32")

    def _one_by_one(self, degrees):
        """The network for a variable at a time.

        Args:
            degrees: of the hidden layers.

        Returns:
            `logit_of(i, variable, sums)`, the logits `(batch,)` of the variables `(batch,)` that are i-th in their rows, and
            `grown(i, variable, sums, value)`, the sums once these variables have values. Sums `(batch, units + dimensions)` are those of
            the first layer and of the direct connections.
        """
        first, *deeper = self.hidden
        inner = [layer.masked(degree_mask(*pair)) for layer, pair in zip(deeper, zip(degrees, degrees[1:]))]
        incoming = first.kernel
        if self.direct:
            incoming = ops.concatenate([incoming, self.shortcut.kernel], axis=1)
        outgoing = ops.transpose(self.logits.kernel)
        signals = [ops.transpose(self.logits.conditioning_kernel)] if self.conditioning else []

        def logit_of(i, variable, sums):
            h = first.activation(sums[:, : self.units[0]] + first.bias)
            for layer, (kernel, bias) in zip(deeper, inner):
                h = layer.activation(ops.matmul(h, kernel) + bias)
            weights = h * ops.take(outgoing, variable, axis=0) + sum(ops.take(signal, variable, axis=0) for signal in signals)
            is_open = ops.cast(degrees[-1] <= i, "float32")
            logit = ops.sum(weights * is_open, axis=1) + ops.take(self.logits.bias, variable)
            if self.direct:
                logit = logit + ops.take_along_axis(sums[:, self.units[0] :], variable[:, None], axis=1)[:, 0]
            return logit

        def grown(i, variable, sums, value):
            is_open = ops.cast(degrees[0] > i, "float32")
            added = value[:, None] * ops.take(incoming, variable, axis=0)
            if self.conditioning:
                signal = ops.take(first.conditioning_kernel, variable, axis=0)
                added = added + ops.pad(signal, ((0, 0), (0, added.shape[1] - self.units[0])))
            if self.direct:
                is_open = ops.concatenate([is_open, ops.ones((self.dimensions,))])
            return sums + added * is_open

        return logit_of, grown

    # --- export ---

    def signatures(self):
        """`serve` gives log-likelihoods; `sample` turns noise, uniform in [0, 1], into vectors; `impute` fills what is missing with it.

        Both draw by the first mask; `impute` as the verb does by default.
        """
        noise = Field("noise", (self.dimensions,), "float32", 0.0, 1.0)
        missing = Field("missing", (self.dimensions,), "int32", 0, 1)
        return {
            "serve": (self._serve, self.input_fields()),
            "sample": (self._serve_sample, [noise]),
            "impute": (self._serve_impute, [*self.input_fields(), missing, noise]),
        }

    def _serve_sample(self, noise):
        nothing = ops.zeros_like(noise)
        return {"x": ops.cast(self._walk(nothing, nothing, noise, 0)[0], "int32")}

    def _serve_impute(self, arrays):
        given = 1 - ops.cast(arrays["missing"], "float32")
        x = ops.cast(arrays["x"], "float32")
        return {"x": ops.cast(self._walk(x, given, arrays["noise"], 0, self._is_observed_first(None))[0], "int32")}

    # --- helpers ---

    def _first_masks(self, masks):
        return self.mask_count if masks is None else arguments.count("masks", masks, high=self.mask_count)


def _activation(given):
    """The activation as configs hold it, if it is one and treats each number alone."""
    expected = "the name of an activation, or a registered function, of each number alone"
    x = np.array([[-1.5, 0.5, 2.0, 0.25]] * 2, "float32")
    x[1, 2] = -0.5
    try:
        found = keras.activations.serialize(keras.activations.get(given))
        one, other = ops.convert_to_numpy(keras.activations.get(found)(x))
    except Exception:
        # of Keras for other things, or of the function for other shapes
        arguments.refuse("activation", expected, given)
    if one.shape != (4,) or (one != other)[[0, 1, 3]].any():
        arguments.refuse("activation", expected, given)
    return given if isinstance(given, str) else found


def _log_probability(x, logits):
    """Log-probabilities `(batch,)` of binary rows, by logits of the same shape."""
    return ops.sum(x * logits - ops.softplus(logits), axis=1)
