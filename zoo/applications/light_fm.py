"""LightFM: matrix factorisation whose users and items are sums of their features' embeddings, so that new items can be ranked.

Paper: Kula 2015, "Metadata Embeddings for User and Item Cold-start Recommendations", arXiv 1507.08439. The objectives beyond the paper's
logistic one (BPR, WARP, k-OS WARP), AdaDelta and the names are those of the author's `lightfm` package.

A representation is `sum_f weight_f * [embedding_f, bias_f]` over a user's or item's features (section 3); the score of a pair is the dot
product of the embeddings plus both biases. Features are sparse matrices, kept as tables of feature ids and weights, so a step gathers just the
rows it needs. No array has users x items entries.

Differences from the paper and the package:
1. A step takes a batch of interactions against the same weights; the package updates after every one. The gradient is the batch's sum, as if
   each interaction had made its own update, while the reported loss is the mean. AdaGrad thus adds squared sums, not sums of squares, and
   uses the accumulator after the update.
2. WARP draws its `max_sampled` items at once and takes the first that violates the margin. The draws, the number of tries and the weight
   `log((items - 1) // tries)` are distributed as in the sequential search; the search stops being cheaper where violations are easy to find.
   The weight is clipped at 10 before `sample_weight` multiplies it, and k-OS honours `sample_weight`, which the package refuses.
3. BPR draws `max_sampled` items by popularity and takes the first that is not a positive; the package draws until it finds one.
4. Pairwise losses leave user biases alone, since they cancel; the package moves them, without effect on any ranking.
5. L2 shrinks the features that an interaction touches; the package decays all of them at once.
"""

import warnings
from functools import cached_property

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo import autodiff
from zoo.losses import ranking
from zoo.model import Field, Model

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
        criterion: `"logistic"` (the paper's; needs negative interactions), `"bpr"`, `"warp"` or `"warp-kos"` (positives alone suffice).
        learning_schedule: `"adagrad"` (rate 0.05) or `"adadelta"` (rho 0.95, epsilon 1e-6).
        max_sampled: items drawn for an interaction in search of a negative one.
        k: k-OS takes the `k`-th best of the drawn positives.
        n: positives that k-OS draws.
        user_alpha: L2 penalty of user features.
        item_alpha: L2 penalty of item features.
        num_recommendations: length of the lists of the exported `recommend`, and the default elsewhere.
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
        criterion="logistic",
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
        if not 1 <= k <= n or max_sampled < 1 or min(user_alpha, item_alpha) < 0:
            raise ValueError(
                "`k` must be in 1..`n`, `max_sampled` at least 1, `user_alpha` and `item_alpha` not negative. "
                f"Received: {k}, {n}, {max_sampled}, {user_alpha}, {item_alpha}"
            )
        if not 1 <= num_recommendations <= num_items:
            raise ValueError(f"`num_recommendations` must be in 1..`num_items` ({num_items}). Received: {num_recommendations}")
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
    def from_features(cls, user_features=None, item_features=None, **arguments):
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

    def set_features(self, user_features=None, item_features=None):
        """Set what users and items are made of; the matrices are weights of the model and are saved with it.

        Args:
            user_features: scipy sparse `(num_users, num_user_features)`, or `None` to leave them.
            item_features: scipy sparse `(num_items, num_item_features)`, or `None` to leave them.

        Raises:
            ValueError: if a shape is not the constructor's, or a row has more entries than `max_features_per_user` / `_item`.
        """
        if user_features is not None:
            self.users.set_features(user_features, "user")
        if item_features is not None:
            self.items.set_features(item_features, "item")

    # --- what the method tells about itself ---

    def input_fields(self):
        """A user and an item, by number."""
        return [Field("user", (), "int32", 0, self.num_users - 1), Field("item", (), "int32", 0, self.num_items - 1)]

    def target_fields(self):
        """The interaction: above 0 is positive, the rest negative. Without it all are positive."""
        return [Field("interaction", (), "float32", -1, 1, optional=True)]

    @classmethod
    def example_config(cls):
        """Six users and twelve items with up to three features, trained by WARP."""
        return {
            "num_users": 6,
            "num_items": 12,
            "num_user_features": 5,
            "num_item_features": 7,
            "max_features_per_user": 2,
            "max_features_per_item": 3,
            "dim": 4,
            "criterion": "warp",
            "learning_schedule": "adadelta",
            "max_sampled": 3,
            "k": 2,
            "n": 4,
            "user_alpha": 1e-4,
            "item_alpha": 1e-3,
            "num_recommendations": 5,
        }

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
            return keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-6)
        return keras.optimizers.Adagrad(0.05, initial_accumulator_value=1.0, epsilon=0.0)

    # --- scores and training ---

    def call(self, x, training=False):
        """Scores `(batch,)` of pairs of user and item."""
        return _score(self.users(x["user"]), self.items(x["item"]))

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
        self.check(x, y)
        if isinstance(x, dict):
            positive = np.ones(len(x["user"]), bool) if y is None else np.asarray(y).ravel() > 0
            self._remember(np.asarray(x["user"])[positive], np.asarray(x["item"])[positive])
            if self.criterion == "logistic" and positive.all():
                warnings.warn('All interactions are positive; "logistic" learns nothing from these. Use criterion="warp".', stacklevel=2)
        if self.criterion == "warp-kos" and self.positives is None:
            raise ValueError('criterion "warp-kos" draws from each user\'s positives: call `set_interactions`. Received: a dataset alone')
        return super().fit(x, y, *args, sample_weight=sample_weight, **kwargs)

    def set_interactions(self, matrix):
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
        positive = ops.ones_like(users, "bool") if y is None else ops.reshape(y, (-1,)) > 0
        if self.criterion == "logistic":
            losses = ranking.logistic_loss(y_pred, positive) + self._penalty(users, items[:, None])
        else:
            losses = ops.where(positive, self._pairwise(users, items), 0.0)
        if sample_weight is not None:
            losses = losses * ops.reshape(ops.cast(sample_weight, losses.dtype), (-1,))
        total, mean = ops.sum(losses), ops.mean(losses)
        return mean + (total - mean) - ops.stop_gradient(total - mean)

    def _pairwise(self, users, items):
        """BPR, WARP or k-OS WARP for positive interactions `(batch,)`."""
        user = self.users(users)
        if self.criterion == "warp-kos":
            items = self._kth_positive(users, user)
        drawn = self._draw(ops.shape(users)[0])
        allowed = ops.ones_like(drawn, "bool") if self.positives is None else ops.logical_not(self.positives.contains(users, drawn))
        positive = _score(user, self.items(items))
        if self.criterion == "bpr":
            index, tries = ops.argmax(allowed, axis=1), ops.any(allowed, axis=1)
        else:
            draws = ops.stop_gradient(_score_many(user, self.items(drawn)))
            index, tries = ranking.first_violation(ops.stop_gradient(positive), draws, allowed)
        chosen = ops.take_along_axis(drawn, ops.cast(index, "int32")[:, None], axis=1)[:, 0]
        negative = _score(user, self.items(chosen))
        if self.criterion == "bpr":
            losses = ops.where(tries, ranking.bpr_loss(positive, negative), 0.0)
        else:
            losses = ranking.warp_loss(positive, negative, tries, self.num_items)
        return losses + self._penalty(users, ops.stack([items, chosen], axis=1))

    def _draw(self, batch_size):
        """Candidates for negatives, `(batch, max_sampled)`: uniform for WARP, by popularity for BPR."""
        shape = (batch_size, self.max_sampled)
        if self.criterion == "bpr" and self.positives:
            return self.positives.draw_popular(shape, self.seed_generator)
        return keras.random.randint(shape, 0, self.num_items, seed=self.seed_generator)

    def _kth_positive(self, users, user):
        """The k-th best of `n` positives drawn for each user (k-OS)."""
        drawn = self.positives.draw(users, self.n, self.seed_generator)
        scores = ops.stop_gradient(_score_many(user, self.items(drawn)))
        index = ranking.kth_positive(scores, ops.minimum(self.positives.counts(users), self.n), self.k)
        return ops.take_along_axis(drawn, index[:, None], axis=1)[:, 0]

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

    def scores(self, users):
        """Scores of all items, what the metrics of `zoo.metrics` take.

        Args:
            users: ids `(n,)`.

        Returns:
            Array `(n, num_items)`.
        """
        return _in_chunks(self._scores, CHUNK // self.num_items, self._ids(users, 0))[0]

    def recommend(self, users, k=None, exclude=None):
        """The best items of each user.

        Args:
            users: ids `(n,)`.
            k: length of the lists, at most `num_items`; `num_recommendations` by default.
            exclude: scipy sparse `(num_users, num_items)` of items not to recommend, such as the training interactions.

        Returns:
            Item ids `(n, k)` and their scores `(n, k)`, best first; the score is -inf where fewer than `k` items are left.
        """
        users, k = self._ids(users, 0), self.num_recommendations if k is None else k
        if exclude is None:
            return self._run(self._score_all, k, users)
        if exclude.shape != (self.num_users, self.num_items):
            raise ValueError(f"`exclude` must have shape ({self.num_users}, {self.num_items}). Received: {exclude.shape}")
        rows = exclude.tocsr()[users]
        excluded, _ = _padded(rows, _power_of_two(np.diff(rows.indptr).max(initial=1)), fill=self.num_items)
        return self._run(self._score_all, k, users, excluded)

    def similar_items(self, items, k=None):
        """The items whose embeddings have the largest cosine with those of `items`, never the item itself.

        Args:
            items: ids `(n,)`.
            k: length of the lists; `num_recommendations` by default.

        Returns:
            Item ids `(n, k)` and cosines `(n, k)`, best first.
        """
        return self._run(self._cosines, self.num_recommendations if k is None else k, self._ids(items, 1))

    def user_representations(self, features=None):
        """Biases `(n,)` and embeddings `(n, dim)` of all users, or of rows of a sparse feature matrix `(n, num_user_features)`."""
        return self.users.representations(features)

    def item_representations(self, features=None):
        """Biases `(n,)` and embeddings `(n, dim)` of all items, or of rows of a sparse feature matrix `(n, num_item_features)`."""
        return self.items.representations(features)

    def add_items(self, features):
        """A copy of this model with new items after the old ones, known by their features alone (cold start).

        Args:
            features: scipy sparse `(new items, num_item_features)`.

        Returns:
            A compiled `LightFM` with more items; this model stays as it is.
        """
        return self._extended("item", features)

    def add_users(self, features):
        """A copy of this model with new users after the old ones; see `add_items`."""
        return self._extended("user", features)

    def signatures(self):
        """`serve` scores pairs; `recommend` gives the `num_recommendations` best items of users."""

        def recommend(users):
            item, score = _best(self._score_all(users), self.num_recommendations)
            return {"item": item, "score": score}

        return {**super().signatures(), "recommend": (recommend, self.input_fields()[:1])}

    def _extended(self, name, features):
        """A copy with more rows on one side."""
        sides = {"user": self.users, "item": self.items}
        matrices = {key: side.features() for key, side in sides.items()}
        old = sides[name].features(identity=True)
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
        ids = np.atleast_1d(ids)
        self.input_fields()[field].check(ids)
        return ids.astype("int32")

    def _score_all(self, users, excluded=None):
        """Scores `(batch, num_items)`; items `excluded` `(batch, any)` score -inf."""
        scores = _score_many(self.users(users), self.items(ops.arange(self.num_items)))
        return scores if excluded is None else _without(scores, excluded)

    def _cosines(self, items):
        embeddings = ops.normalize(self.items(ops.arange(self.num_items))[:, :-1], axis=-1)
        return _without(ops.matmul(ops.take(embeddings, items, axis=0), ops.transpose(embeddings)), items[:, None])

    def _run(self, function, k, ids, *tables):
        """The best `k` of the compiled `function`, for `ids` in chunks."""
        if not 1 <= k <= self.num_items:
            raise ValueError(f"`k` must be in 1..{self.num_items}. Received: {k}")
        key = function.__name__, k
        if key not in self._verbs:
            self._verbs[key] = autodiff.compiled(lambda *arrays: _best(function(*arrays), k), self)
        return _in_chunks(self._verbs[key], CHUNK // self.num_items, ids, *tables)

    @cached_property
    def _scores(self):
        return autodiff.compiled(lambda users: [self._score_all(users)], self)


class FeatureSum(keras.layers.Layer):
    """Users or items as weighted sums of their features' embeddings, each with its bias in the last column.

    Args:
        size: number of users or items.
        num_features: number of features; `None` means that each row is its own feature.
        max_features: most features of a row.
        dim: length of the embeddings.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, size, num_features, max_features, dim, **kwargs):
        super().__init__(**kwargs)
        self.size, self.num_features = size, num_features

        def initial(shape, dtype):
            embeddings = keras.random.uniform((shape[0], dim), -0.5 / dim, 0.5 / dim, dtype=dtype)
            return ops.pad(embeddings, [[0, 0], [0, 1]])

        # float32 under any policy: sums of many small updates
        self.table = self.add_weight((num_features or size, dim + 1), initial, name="table", autocast=False)
        if num_features is not None:
            shape = (size, max_features)
            self.indices = self.add_weight(shape, "zeros", "int32", trainable=False, name="indices")
            self.weights_of = self.add_weight(shape, "zeros", trainable=False, autocast=False, name="weights")
            # until `set_features`: the features in turn
            self.indices.assign(np.arange(size * max_features).reshape(shape) % num_features)
            self.weights_of.assign(np.ones(shape))
        self.built = True

    def call(self, ids):
        """Representations `(..., dim + 1)` of ids `(...)`."""
        if self.num_features is None:
            return ops.take(self.table, ids, axis=0)
        rows = ops.take(self.table, ops.take(self.indices, ids, axis=0), axis=0)
        return ops.sum(rows * ops.take(self.weights_of, ids, axis=0)[..., None], axis=-2)

    def half_square(self, ids):
        """Half the squared length of all embeddings and biases behind ids `(...)`, for L2."""
        if self.num_features is None:
            return ops.sum(ops.square(ops.take(self.table, ids, axis=0)), axis=-1) / 2
        rows = ops.take(self.table, ops.take(self.indices, ids, axis=0), axis=0)
        used = ops.not_equal(ops.take(self.weights_of, ids, axis=0), 0.0)
        return ops.sum(ops.square(rows) * ops.cast(used, rows.dtype)[..., None], axis=(-2, -1)) / 2

    def set_features(self, features, name):
        """Take the rows of a sparse matrix."""
        if self.num_features is None or features.shape != (self.size, self.num_features):
            expected = "None (no `num_features`)" if self.num_features is None else (self.size, self.num_features)
            raise ValueError(f"`{name}_features` must have shape {expected}. Received: {features.shape}")
        features, width = features.tocsr(), self.indices.shape[1]
        most = np.diff(features.indptr).max()
        if most > width:
            raise ValueError(f"`{name}_features` must have at most `max_features_per_{name}` ({width}) entries a row. Received: {most}")
        indices, weights = _padded(features, width)
        self.indices.assign(indices)
        self.weights_of.assign(weights)

    def features(self, identity=False):
        """The feature matrix in CSR; `None` where each row is its own feature, unless `identity` asks for it."""
        if self.num_features is None:
            return sparse.identity(self.size, dtype="float32", format="csr") if identity else None
        indices, weights = ops.convert_to_numpy(self.indices), ops.convert_to_numpy(self.weights_of)
        rows = np.repeat(np.arange(self.size), indices.shape[1])
        matrix = sparse.csr_matrix((weights.ravel(), (rows, indices.ravel())), (self.size, self.num_features))
        matrix.eliminate_zeros()
        return matrix

    def representations(self, features=None):
        """Biases and embeddings of all rows, or of rows given by their features."""
        features = self.features(identity=True) if features is None else features
        table = ops.convert_to_numpy(self.table)
        if features.shape[1] != len(table):
            raise ValueError(f"`features` must have {len(table)} columns. Received: shape {features.shape}")
        sums = features @ table
        return sums[:, -1], sums[:, :-1]


def _score(user, item):
    """Scores of representations `(..., dim + 1)`."""
    return ops.sum(user[..., :-1] * item[..., :-1], axis=-1) + user[..., -1] + item[..., -1]


def _score_many(user, items):
    """Scores `(batch, n)` of users `(batch, dim + 1)` with items `(batch, n, dim + 1)`, or `(n, dim + 1)` for all, as a product of matrices."""
    # a one meets the item's bias
    factors = ops.concatenate([user[:, :-1], ops.ones_like(user[:, -1:])], axis=1)
    return ops.einsum("bd,nd->bn" if len(items.shape) == 2 else "bd,bnd->bn", factors, items) + user[:, -1:]


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


def _padded(matrix, width, fill=0):
    """Column ids and values of each row of a CSR matrix, in `(rows, width)`."""
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(matrix.nnz) - matrix.indptr[rows]
    indices, values = np.full((len(counts), width), fill, "int32"), np.zeros((len(counts), width), "float32")
    indices[rows, places], values[rows, places] = matrix.indices, matrix.data
    return indices, values


def _power_of_two(n):
    return 1 << (int(n) - 1).bit_length()


def _in_chunks(function, size, *arrays):
    """`function` on chunks of equal length, a power of two so that few lengths are compiled; results are joined."""
    n = len(arrays[0])
    size = _power_of_two(min(n, max(1, size)))
    parts = []
    for start in range(0, n, size):
        chunk = [array[start : start + size] for array in arrays]
        chunk = [np.concatenate([part, np.repeat(part[:1], size - len(part), axis=0)]) for part in chunk]
        parts.append([ops.convert_to_numpy(result) for result in function(*chunk)])
    return tuple(np.concatenate(results)[:n] for results in zip(*parts))
