"""LightFM: matrix factorisation whose users and items are sums of their features' embeddings, so that new items can be ranked.

Paper: Kula 2015, "Metadata Embeddings for User and Item Cold-start Recommendations", arXiv 1507.08439. The objectives beyond the paper's
logistic one (BPR, WARP, k-OS WARP), AdaDelta and the names are those of the author's `lightfm` package.

A representation is `sum_f weight_f * [embedding_f, bias_f]` over a user's or item's features (section 3, `zoo.layers.FeatureSum`); the
score of a pair `(batch,)` is the dot product of the embeddings plus both biases. No array has users x items entries.

Differences from the paper and the package:
1. A step takes a batch of interactions against the same weights; the package updates after every one. The gradient is the batch's sum, as
   if each interaction had made its own update, while the reported loss is the mean. AdaGrad thus adds the squares of sums, not sums of
   squares, and divides by the accumulator after the update.
2. WARP draws its `max_sampled` items at once and takes the first that violates the margin. Draws, number of tries and the weight
   `log((items - 1) // tries)` are distributed as in the sequential search; the search is no cheaper where violations are easy to find.
   The weight is clipped at 10 before `sample_weight` multiplies it, and k-OS honours `sample_weight`, which the package refuses.
3. BPR draws `max_sampled` items by popularity and takes the first that is not a positive; the package draws until it finds one.
4. Pairwise losses leave user biases alone, since they cancel; the package moves them, without effect on any ranking.
5. L2 shrinks the features that an interaction touches; the package decays all of them at every interaction, so its alphas act more.
6. The loss is WARP by default, which learns from positives alone, as most data are. The paper's logistic loss, the package's default,
   learns nothing from these: measured, an AUC of 0.51.
"""

import warnings
from dataclasses import replace

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo import autodiff
from zoo.arguments import Count, Matrix, Numbers, checked
from zoo.layers.feature_sum import FeatureSum, padded_rows
from zoo.losses import ranking
from zoo.model import Field, Model, is_stream
from zoo.optimizers.rows import RowAdadelta, RowAdagrad

CRITERIA = ("logistic", "bpr", "warp", "warp-kos")
SCHEDULES = ("adagrad", "adadelta")
BATCH_SIZE = 1024
# scores that a verb holds at a time
CHUNK = 2**22


class LightFM(Model):
    """Hybrid recommender; `fit` takes a sparse interaction matrix, or `x={"user", "item"}` with the interaction as an optional target.

    Args:
        num_users: number of users.
        num_items: number of items.
        num_user_features: columns of the user feature matrix; `None` means one feature for each user (matrix factorisation).
        num_item_features: columns of the item feature matrix; `None` means one feature for each item.
        max_features_per_user: most features a user has.
        max_features_per_item: most features an item has.
        dim: length of the embeddings (the package's `no_components`).
        criterion: `"warp"`, `"bpr"`, `"warp-kos"` (positives alone suffice) or `"logistic"` (the paper's; needs negative interactions).
        learning_schedule: `"adagrad"` (rate 0.05) or `"adadelta"` (rho 0.95, epsilon 1e-6).
        max_sampled: items drawn for an interaction in search of a negative one.
        k: k-OS takes the `k`-th best of the drawn positives.
        n: positives that k-OS draws.
        user_alpha: L2 penalty of user features.
        item_alpha: L2 penalty of item features.
        num_recommendations: length of the lists of the exported `recommend`, and the default elsewhere; shorter where items are fewer.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "score"

    def __init__(
        self,
        num_users,
        num_items,
        num_user_features=None,
        num_item_features=None,
        max_features_per_user=1,
        max_features_per_item=1,
        dim=10,
        criterion="warp",
        learning_schedule="adagrad",
        max_sampled=10,
        k=5,
        n=10,
        user_alpha=0.0,
        item_alpha=0.0,
        num_recommendations=10,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, choices in (("criterion", criterion, CRITERIA), ("learning_schedule", learning_schedule, SCHEDULES)):
            if value not in choices:
                raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}")
        for name, value in (("num_users", num_users), ("num_items", num_items), ("num_recommendations", num_recommendations)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        if not 1 <= k <= n or max_sampled < 1 or min(user_alpha, item_alpha) < 0:
            raise ValueError(
                "`k` must be in 1..`n`, `max_sampled` at least 1, `user_alpha` and `item_alpha` not negative. "
                f"Received: {k}, {n}, {max_sampled}, {user_alpha}, {item_alpha}"
            )
        self.num_users, self.num_items = num_users, num_items
        self.num_user_features, self.num_item_features = num_user_features, num_item_features
        self.max_features_per_user, self.max_features_per_item = max_features_per_user, max_features_per_item
        self.dim, self.criterion, self.learning_schedule = dim, criterion, learning_schedule
        self.max_sampled, self.k, self.n = max_sampled, k, n
        self.user_alpha, self.item_alpha = user_alpha, item_alpha
        self.num_recommendations = num_recommendations
        self.users = FeatureSum(num_users, num_user_features, max_features_per_user, dim, name="users")
        self.items = FeatureSum(num_items, num_item_features, max_features_per_item, dim, name="items")
        self.seed_generator = keras.random.SeedGenerator()
        self.positives = None
        self._verbs = {}
        self.compile()

    @classmethod
    @checked
    def from_features(cls, user_features: Matrix | None = None, item_features: Matrix | None = None, **arguments):
        """A model sized for, and holding, the given feature matrices.

        Args:
            user_features: scipy sparse `(users, user features)`; without it give `num_users`.
            item_features: scipy sparse `(items, item features)`; without it give `num_items`. Put an identity matrix beside the metadata
                (`zoo.datasets.with_identity`) to learn an embedding of each item as well.
            **arguments: of the constructor.
        """
        for side, features in (("user", user_features), ("item", item_features)):
            if features is not None:
                features = features.tocsr()
                arguments[f"num_{side}s"], arguments[f"num_{side}_features"] = features.shape
                arguments[f"max_features_per_{side}"] = max(1, int(np.diff(features.indptr).max(initial=0)))
        model = cls(**arguments)
        model.set_features(user_features, item_features)
        return model

    @checked
    def set_features(self, user_features: Matrix | None = None, item_features: Matrix | None = None):
        """Set what users and items are made of; the matrices are weights of the model and are saved with it.

        Args:
            user_features: scipy sparse `(num_users, num_user_features)`, or `None` to leave them.
            item_features: scipy sparse `(num_items, num_item_features)`, or `None` to leave them.

        Raises:
            ValueError: if a shape is not the constructor's, or a row has more entries than `max_features_per_user` / `_item`.
        """
        if user_features is not None:
            self.users.set_features(user_features, "user_features")
        if item_features is not None:
            self.items.set_features(item_features, "item_features")

    # --- what the method tells about itself ---

    def input_fields(self):
        """A user and an item, by number."""
        return [Field("user", (), "int32", 0, self.num_users - 1), Field("item", (), "int32", 0, self.num_items - 1)]

    def check(self, x, y=None):
        """A sparse matrix of interactions, which `fit` takes as well, is checked there."""
        if not sparse.issparse(x):
            super().check(x, y)

    def target_fields(self):
        """The interaction: above 0 is positive, the rest negative. Without it all are positive."""
        return [Field("interaction", (), "float32", -1, 1, optional=True)]

    @classmethod
    def example_config(cls):
        """Six users and twelve items with up to three features, trained by BPR."""
        return {
            "num_users": 6,
            "num_items": 12,
            "num_user_features": 5,
            "num_item_features": 7,
            "max_features_per_user": 2,
            "max_features_per_item": 3,
            "dim": 4,
            "criterion": "bpr",
            "learning_schedule": "adadelta",
            "max_sampled": 3,
            "k": 2,
            "n": 4,
            "user_alpha": 1e-4,
            "item_alpha": 1e-3,
            "num_recommendations": 5,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        users, known = np.array([0, 1]), sparse.csr_matrix(([1.0], ([0], [1])), (self.num_users, self.num_items))
        sides = {"user": self.users, "item": self.items}
        features = {f"{side}_features": sums.features() for side, sums in sides.items() if sums.num_features}
        new = {f"add_{side}s": {"features": sums.features()[:2]} if sums.num_features else None for side, sums in sides.items()}
        own = {
            "from_features": {**features, **{f"num_{side}s": sums.size for side, sums in sides.items() if not sums.num_features}},
            "set_features": features,
            "set_interactions": {"matrix": known},
            "scores": {"users": users},
            "recommend": {"users": users, "k": 2, "exclude": known},
            "similar_items": {"items": users, "k": 2},
            **{f"{side}_representations": {"features": sums.features()} for side, sums in sides.items()},
            **new,
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Embedding length, criterion, draws and learning rate."""
        return {
            "dim": hp.Int("dim", 8, 128, sampling="log"),
            "criterion": hp.Choice("criterion", ["bpr", "warp", "warp-kos"]),
            "max_sampled": hp.Int("max_sampled", 5, 30),
            "learning_rate": hp.Float("learning_rate", 1e-2, 2e-1, sampling="log"),
        }

    def default_optimizer(self):
        """The package's AdaGrad or AdaDelta."""
        if self.learning_schedule == "adadelta":
            return RowAdadelta(1.0, rho=0.95, epsilon=1e-6)
        return RowAdagrad(0.05, initial_accumulator_value=1.0, epsilon=0.0)

    # --- scores and training ---

    def call(self, x, training=False):
        """Scores `(batch,)` of pairs of user and item."""
        user = self.users(x["user"])
        return ops.sum(_factors(user) * self.items(x["item"]), axis=-1) + user[:, -1]

    def fit(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """Train; the positive interactions seen so far are never drawn as negatives.

        Args:
            x: scipy sparse matrix `(num_users, num_items)` whose entries are interactions (above 0: positive, others negative), or what
                Keras takes: a dict of `user` and `item`, a dataset. Datasets are not read ahead; call `set_interactions` first.
            y: interactions `(n,)` in [-1, 1] beside arrays; `None` means all positive.
            *args: as in `keras.Model.fit`.
            sample_weight: one for each interaction; a sparse matrix beside a sparse `x`.
            **kwargs: as in `keras.Model.fit`. Beside a sparse `x`, `batch_size` is 1024 unless given.

        Returns:
            A `keras.callbacks.History`; its `loss` is the mean over interactions.
        """
        if sparse.issparse(x):
            x, y, sample_weight = self._unpack(x, sample_weight)
            kwargs.setdefault("batch_size", BATCH_SIZE)
        if not is_stream(x):
            x, y = self.prepared(x, y) if self._auto_loss else (self.prepared(x)[0], y)
        if isinstance(x, dict):
            positive = np.ones(len(x["user"]), bool) if y is None else np.asarray(y).ravel() > 0
            self._remember(np.asarray(x["user"])[positive], np.asarray(x["item"])[positive])
            if self.criterion == "logistic" and self._auto_loss and positive.all():
                warnings.warn('All interactions are positive; "logistic" learns nothing from these. Use criterion="warp".', stacklevel=2)
        if self.criterion == "warp-kos" and not self.positives:
            raise ValueError('`x` must hold positives for criterion "warp-kos", or `set_interactions` be called first. Received: none')
        return super().fit(x, y, *args, sample_weight=sample_weight, **kwargs)

    @checked
    def set_interactions(self, matrix: Matrix):
        """Set the known positives, which pairwise criteria do not draw as negatives. They are not saved.

        Args:
            matrix: scipy sparse `(num_users, num_items)`; entries above 0 are positives.
        """
        if matrix.shape != (self.num_users, self.num_items):
            raise ValueError(f"`matrix` must have shape ({self.num_users}, {self.num_items}). Received: {matrix.shape}")
        self.positives = ranking.Positives(matrix)
        # the table is a constant of the compiled steps
        self.train_function = self.test_function = None

    def objective(self, x, y, y_pred, sample_weight, training):
        """The criterion of each interaction; its value is the mean over the batch, its gradient that of the sum."""
        users, items = ops.cast(x["user"], "int32"), ops.cast(x["item"], "int32")
        if self.criterion == "logistic":
            losses = ranking.logistic_loss(y_pred, 1 if y is None else ops.reshape(y, (-1,))) + self._penalty(users, items[:, None])
        else:
            losses = self._pairwise(users, items)
            losses = losses if y is None else ops.where(ops.reshape(y, (-1,)) > 0, losses, 0.0)
        if sample_weight is not None:
            losses = losses * ops.reshape(ops.cast(sample_weight, losses.dtype), (-1,))
        total, mean = ops.sum(losses), ops.mean(losses)
        return mean + (total - mean) - ops.stop_gradient(total - mean)

    def _pairwise(self, users, items):
        """BPR, WARP or k-OS WARP for positive interactions `(batch,)`."""
        lookup = self.items.lookup(BATCH_SIZE * (2 if self.criterion == "bpr" else self.max_sampled + 3))
        factors = _factors(self.users.lookup(BATCH_SIZE)(users))
        if self.criterion == "warp-kos":
            items = self._kth_positive(users, factors, lookup)
        drawn = self._draw(ops.shape(users)[0])
        allowed = ops.ones_like(drawn, "bool") if self.positives is None else ops.logical_not(self.positives.contains(users, drawn))
        if self.criterion == "bpr":
            index, tries = ranking.first_true(allowed)
        else:
            scores = ops.stop_gradient(_products(factors, lookup(ops.concatenate([items[:, None], drawn], axis=1))))
            index, tries = ranking.first_violation(scores[:, 0], scores[:, 1:], allowed)
        chosen = _pick(drawn, index)
        # only the difference of the two scores counts
        margin = ops.sum(factors * (lookup(items) - lookup(chosen)), axis=-1)
        if self.criterion == "bpr":
            losses = ops.where(tries > 0, ranking.bpr_loss(margin, 0.0), 0.0)
        else:
            losses = ranking.warp_loss(margin, 0.0, tries, self.num_items)
        return losses + self._penalty(users, ops.stack([items, chosen], axis=1))

    def _draw(self, batch_size):
        """Candidates for negatives, `(batch, max_sampled)`: uniform for WARP, by popularity for BPR."""
        shape = (batch_size, self.max_sampled)
        if self.criterion == "bpr" and self.positives:
            return self.positives.draw_popular(shape, self.seed_generator)
        return keras.random.randint(shape, 0, self.num_items, seed=self.seed_generator)

    def _kth_positive(self, users, factors, lookup):
        """The k-th best of `n` positives drawn for each user (k-OS)."""
        drawn = self.positives.draw(users, self.n, self.seed_generator)
        counts = ops.minimum(self.positives.counts(users), self.n)
        scores = ops.stop_gradient(_products(factors, lookup(drawn)))
        return _pick(drawn, ranking.kth_positive(scores, counts, self.k))

    def _penalty(self, users, items):
        """L2 of the features of `users` `(batch,)` and `items` `(batch, any)`."""
        penalty = 0.0
        if self.user_alpha:
            penalty += self.user_alpha * self.users.half_square(users)
        if self.item_alpha:
            penalty += self.item_alpha * ops.sum(self.items.half_square(items), axis=-1)
        return penalty

    def _unpack(self, matrix, sample_weight):
        if matrix.shape != (self.num_users, self.num_items):
            raise ValueError(f"`x` must have shape ({self.num_users}, {self.num_items}). Received: {matrix.shape}")
        matrix = matrix.tocoo()
        if sparse.issparse(sample_weight):
            sample_weight = np.asarray(sample_weight.tocsr()[matrix.row, matrix.col]).ravel()
        x = {"user": matrix.row.astype("int32"), "item": matrix.col.astype("int32")}
        return x, np.where(matrix.data > 0, 1.0, -1.0).astype("float32"), sample_weight

    def _remember(self, users, items):
        shape = (self.num_users, self.num_items)
        known = sparse.csr_matrix((np.ones(len(users), bool), (users, items)), shape)
        if self.positives is not None:
            known = known + self.positives.matrix
        if self.positives is None or known.nnz > len(self.positives):
            self.set_interactions(known)

    # --- verbs ---

    @checked
    def scores(self, users: Numbers) -> np.ndarray:
        """Scores of all items, what the metrics of `zoo.metrics` take.

        Args:
            users: ids `(n,)`.

        Returns:
            Array `(n, num_items)`.
        """
        return self._run(self._score_all, None, self._ids(users, 0))[0]

    @checked
    def recommend(self, users: Numbers, k: Count | None = None, exclude: Matrix | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best items of each user.

        Args:
            users: ids `(n,)`.
            k: length of the lists, at most `num_items`; `num_recommendations` by default.
            exclude: scipy sparse `(num_users, num_items)` of items not to recommend, such as the training interactions.

        Returns:
            Item ids `(n, k)` and their scores `(n, k)`, best first; the score is -inf where fewer than `k` items are left.
        """
        if exclude is not None and exclude.shape != (self.num_users, self.num_items):
            raise ValueError(f"`exclude` must have shape ({self.num_users}, {self.num_items}). Received: {exclude.shape}")
        k = self._length(k, self.num_items)
        return self._run(self._score_all, k, self._ids(users, 0), None if exclude is None else exclude.tocsr())

    @checked
    def similar_items(self, items: Numbers, k: Count | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The items whose embeddings have the largest cosine with those of `items`, never the item itself.

        Args:
            items: ids `(n,)`.
            k: length of the lists, less than `num_items`; `num_recommendations` by default.

        Returns:
            Item ids `(n, k)` and cosines `(n, k)`, best first.
        """
        return self._run(self._cosines, self._length(k, self.num_items - 1), self._ids(items, 1))

    @checked
    def user_representations(self, features: Matrix | None = None):
        """Biases `(n,)` and embeddings `(n, dim)` of all users, or of rows of a sparse feature matrix `(n, num_user_features)`."""
        return self.users.representations(features)

    @checked
    def item_representations(self, features: Matrix | None = None):
        """Biases `(n,)` and embeddings `(n, dim)` of all items, or of rows of a sparse feature matrix `(n, num_item_features)`."""
        return self.items.representations(features)

    @checked
    def add_items(self, features: Matrix):
        """A copy of this model with new items after the old ones, known by their features alone (cold start).

        Args:
            features: scipy sparse `(new items, num_item_features)`.

        Returns:
            A compiled `LightFM` with more items; this model stays as it is.
        """
        return self._extended("item", features)

    @checked
    def add_users(self, features: Matrix):
        """A copy of this model with new users after the old ones; see `add_items`."""
        return self._extended("user", features)

    def signatures(self):
        """`serve` scores pairs; `recommend` gives the `num_recommendations` best items of users."""

        def recommend(users):
            item, score = _best(self._score_all(users), self._length(None, self.num_items))
            return {"item": item, "score": score}

        return {**super().signatures(), "recommend": (recommend, self.input_fields()[:1])}

    def _extended(self, name, features):
        """A copy with more rows on one side."""
        sides = {"user": self.users, "item": self.items}
        matrices = {key: side.features() if side.num_features else None for key, side in sides.items()}
        old = sides[name].features()
        if features.shape[1] != old.shape[1]:
            raise ValueError(f"`features` must have {old.shape[1]} columns. Received: shape {features.shape}")
        matrices[name] = sparse.vstack([old, features], format="csr")
        config = {key: value for key, value in self.get_config().items() if "features" not in key and key not in ("name", "dtype")}
        model = type(self).from_features(matrices["user"], matrices["item"], **config)
        model.users.table.assign(self.users.table)
        model.items.table.assign(self.items.table)
        if self.positives is not None:
            known = self.positives.matrix.copy()
            known.resize(model.num_users, model.num_items)
            model.set_interactions(known)
        return model

    def _ids(self, ids, field):
        return replace(self.input_fields()[field], name=("users", "items")[field]).convert(np.atleast_1d(ids)).astype("int32")

    def _score_all(self, users, excluded=None):
        """Scores `(batch, num_items)`; items `excluded` `(batch, any)` score -inf."""
        user, items = self.users(users), self.items(ops.arange(self.num_items))
        scores = ops.matmul(_factors(user), ops.transpose(items)) + user[:, -1:]
        return scores if excluded is None else _without(scores, excluded)

    def _cosines(self, items):
        embeddings = ops.normalize(self.items(ops.arange(self.num_items))[:, :-1], axis=-1)
        return _without(ops.matmul(ops.take(embeddings, items, axis=0), ops.transpose(embeddings)), items[:, None])

    def _length(self, k, most):
        k = min(self.num_recommendations, most) if k is None else k
        if not 1 <= k <= most:
            raise ValueError(f"`k` must be in 1..{most}. Received: {k}")
        return k

    def _run(self, function, k, ids, exclude=None):
        """Results of `function`, or its best `k`, for `ids` in chunks; their lengths are powers of two, so that few are compiled."""
        key = function.__name__, k, exclude is None
        if key not in self._verbs:

            def verb(*arrays):
                scores = function(*arrays)
                return _best(scores, k) if k else [scores]

            self._verbs[key] = autodiff.compiled(verb, self)
        n, size, parts = len(ids), _power_of_two(min(len(ids), max(1, CHUNK // self.num_items))), []
        width = 1 if exclude is None else _power_of_two(np.diff(exclude.indptr)[ids].max(initial=1))
        for start in range(0, n, size):
            chunk = ids[start : start + size]
            arrays = [np.pad(chunk, (0, size - len(chunk)), "edge")]
            if exclude is not None:
                arrays.append(padded_rows(exclude[arrays[0]], width, fill=self.num_items)[0])
            parts.append([ops.convert_to_numpy(result) for result in self._verbs[key](*arrays)])
        return tuple(np.concatenate(results)[:n] for results in zip(*parts))


def _factors(user):
    """What a user multiplies an item's representation with: the embedding, and a one that meets the item's bias."""
    bias = np.arange(user.shape[-1]) == user.shape[-1] - 1
    return user * (1 - bias).astype("float32") + bias.astype("float32")


def _products(factors, items):
    """Scores less the user's bias, `(batch, n)`, of items `(batch, n, dim + 1)`."""
    return ops.sum(factors[:, None] * items, axis=-1)


def _pick(table, index):
    """The entry `index` `(batch,)` of each row of whole numbers `(batch, n)`."""
    chosen = ops.equal(ops.arange(table.shape[1], dtype="int32"), ops.cast(index, "int32")[:, None])
    return ops.sum(ops.where(chosen, table, 0), axis=1)


def _best(scores, k):
    values, items = ops.top_k(scores, k)
    return ops.cast(items, "int32"), values


def _without(scores, excluded):
    """`scores` `(batch, n)` with -inf at the columns `excluded` `(batch, any)`; the column `n` excludes nothing."""
    n = scores.shape[1]
    rows = ops.arange(ops.shape(scores)[0], dtype="int32")[:, None] + ops.zeros_like(excluded)
    places = ops.reshape(ops.stack([rows, excluded], axis=-1), (-1, 2))
    padded = ops.pad(scores, [[0, 0], [0, 1]])
    return ops.scatter_update(padded, places, ops.full_like(places[:, 0], -np.inf, dtype=scores.dtype))[:, :n]


def _power_of_two(n):
    return 1 << (int(n) - 1).bit_length()
