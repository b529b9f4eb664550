"""Ranking losses and metrics, sums of features and optimizers by rows, each against a definition written out or a peer."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import sparse, stats
from sklearn.metrics import log_loss, ndcg_score, precision_score, roc_auc_score

from zoo import losses, metrics
from zoo.layers import FeatureSum
from zoo.optimizers import RowAdadelta, RowAdagrad, rows

RNG = np.random.default_rng(0)


def numpy(x):
    return ops.convert_to_numpy(x)


# --- metrics ---

SCORES = RNG.integers(0, 12, (30, 25)).astype("float32")  # with many ties
SEEN = RNG.random(SCORES.shape)
TEST, TRAIN = (SEEN < 0.2).astype(float), (SEEN > 0.7).astype(float)
TEST[4], TRAIN[5], TEST[6] = 0, 1 - TEST[5], 1 - TRAIN[6]


def table(users):
    return SCORES[users]


def rank(user, item, train):
    """Items that score at least as much, of those that are not in training."""
    return sum(SCORES[user, other] >= SCORES[user, item] for other in range(25) if other != item and not train[user, other])


@pytest.mark.parametrize("train", [np.zeros_like(TRAIN), TRAIN], ids=["all items", "without training"])
def test_ranks_and_metrics_by_definition(train, monkeypatch):
    monkeypatch.setattr(metrics.ranking, "CHUNK", 100)  # four users at a time
    test, given = sparse.coo_matrix(TEST), sparse.csr_matrix(train) if train.any() else None
    ranks = metrics.predicted_ranks(table, test, given).toarray()
    expected = {(u, i): rank(u, i, train) for u, i in np.argwhere(TEST)}
    assert all(ranks[pair] == value for pair, value in expected.items())
    for user in range(30):
        mine = sorted(value for (u, _), value in expected.items() if u == user)
        hits, negatives = sum(r < 3 for r in mine), 25 - len(mine) - train[user].sum()
        one_class = not mine or negatives == 0
        auc = 0.5 if one_class else np.mean([1 - max(r - place, 0) / negatives for place, r in enumerate(mine)])
        found = [
            metric(table, test, given, preserve_rows=True, **options)[user]
            for metric, options in (
                (metrics.precision_at_k, {"k": 3}),
                (metrics.recall_at_k, {"k": 3}),
                (metrics.reciprocal_rank, {}),
                (metrics.auc_score, {}),
            )
        ]
        np.testing.assert_allclose(found, [hits / 3, hits / max(len(mine), 1), 1 / (mine[0] + 1) if mine else 0, auc], rtol=1e-6)
    assert len(metrics.precision_at_k(table, test, given)) == (TEST.sum(1) > 0).sum()


def test_metrics_without_ties_are_those_of_scikit_learn():
    scores = np.argsort(np.argsort(RNG.normal(size=(20, 40)), axis=1), axis=1).astype("float32")
    liked = (RNG.random(scores.shape) < 0.2).astype(int)
    liked[:, 0], liked[:, 1] = 1, 0
    by_user = lambda users: scores[users]  # noqa: E731
    np.testing.assert_allclose(metrics.auc_score(by_user, sparse.csr_matrix(liked)), [roc_auc_score(y, s) for y, s in zip(liked, scores)])
    first = (np.argsort(np.argsort(-scores, axis=1), axis=1) < 5).astype(int)
    expected = [precision_score(y, f) for y, f in zip(liked, first)]
    np.testing.assert_allclose(metrics.precision_at_k(by_user, sparse.csr_matrix(liked), k=5), expected)
    best = np.where(liked, scores, -1).argmax(axis=1)
    alone = np.eye(40)[best]  # with one positive, DCG is 1 / log2(1 + rank)
    expected = [2 ** (1 / ndcg_score([y], [s])) - 1 for y, s in zip(alone, scores)]
    np.testing.assert_allclose(1 / metrics.reciprocal_rank(by_user, sparse.csr_matrix(liked)), expected, rtol=1e-6)


def test_scores_are_compared_in_the_precision_that_they_come_in():
    """Item 0 is liked and better than item 1 by less than float32 can tell."""
    liked = sparse.csr_matrix([[1, 0]])
    for exact in (np.array([[1 + 1e-9, 1.0]]), np.array([[2**24 + 1, 2**24]]), np.array([[1, 0]], "uint8"), [[1 + 1e-9, 1.0]]):
        assert metrics.precision_at_k(lambda users, exact=exact: exact, liked, k=1) == [1.0]
        assert metrics.auc_score(lambda users, exact=exact: exact, liked) == [1.0]
    np.testing.assert_array_equal(metrics.top_k_recall(np.array([[1, 0]]), np.array([[1 + 1e-9, 1.0]]), k=1), [1.0])
    tie = ops.convert_to_tensor(np.array([[1 + 1e-9, 1.0]], "float32"))
    assert metrics.precision_at_k(lambda users: tie, liked, k=1) == [0.0]
    half = np.array([[1.0, 0.5]], "float16")
    assert metrics.reciprocal_rank(lambda users: half, liked) == [1.0]


def test_metrics_refuse():
    with pytest.raises(ValueError, match="`train` must have the shape"):
        metrics.auc_score(table, sparse.csr_matrix(TEST), sparse.csr_matrix(TRAIN[:3]))
    both = sparse.csr_matrix(np.eye(30, 25))
    with pytest.raises(ValueError, match="no interaction in common. Received: 25 in both"):
        metrics.auc_score(table, both, both)


# --- losses ---


def test_logistic_and_bpr_losses():
    scores, other = RNG.normal(size=50) * 3, RNG.normal(size=50) * 3
    liked = RNG.choice([-1.0, 0.0, 1.0, 5.0], 50)
    found = numpy(losses.logistic_loss(scores, liked))
    expected = [log_loss([y > 0], [p], labels=[False, True]) for y, p in zip(liked, 1 / (1 + np.exp(-scores)))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(numpy(losses.logistic_loss(scores, liked > 0)), found)
    np.testing.assert_allclose(numpy(losses.bpr_loss(scores, other)), -np.log(1 / (1 + np.exp(other - scores))), rtol=1e-5)
    assert np.isfinite(numpy(losses.bpr_loss(np.array([-900.0]), np.array([900.0])))).all()


def test_warp():
    tries = np.array([1, 2, 3, 99, 100, 101, 1000])
    np.testing.assert_allclose(numpy(losses.warp_weight(tries, 100)), np.log(np.maximum(99 // tries, 1)), rtol=1e-6)
    assert numpy(losses.warp_weight(np.array([1]), 10**6)) == 10
    found = numpy(losses.warp_loss(np.array([0.5, 2.0, 0.5]), np.array([0.0, 0.0, 0.0]), np.array([4, 1, 0]), 100))
    np.testing.assert_allclose(found, [np.log(24) * 0.5, 0, 0], rtol=1e-6)


def test_first_violation_and_kth_positive():
    positive, negatives = RNG.normal(size=200), RNG.normal(size=(200, 6)) - 1
    allowed = RNG.random((200, 6)) < 0.6
    index, tries = map(numpy, losses.first_violation(positive, negatives, allowed))
    for row in range(200):
        found = [j for j in range(6) if allowed[row, j] and negatives[row, j] > positive[row] - 1]
        assert tries[row] == (found[0] + 1 if found else 0) and (not found or index[row] == found[0])
        assert 0 <= index[row] < 6
    assert 20 < (tries == 0).sum() < 180
    counts = RNG.integers(1, 7, 200)
    places = numpy(losses.kth_positive(negatives, counts, 3))
    for row, (place, n) in enumerate(zip(places, counts)):
        assert negatives[row, place] == np.sort(negatives[row, :n])[::-1][min(3, n) - 1]


@pytest.mark.parametrize(
    ("shape", "density", "bits"),
    [((40, 70), 0.3, True), ((3000, 5000), 0.0005, False), ((5, 3), 1.0, True), ((2, 64), 0.6, True), ((7, 33), 0.0, True)],
)
def test_known_positives(shape, density, bits):
    """Both tables answer exactly, for present and for absent pairs; entries that are not positive are unknown."""
    matrix = sparse.random(*shape, density, format="csr", random_state=0)
    negative = sparse.random(*shape, density / 2, format="csr", random_state=1)
    matrix = matrix - 3 * negative
    positives = losses.Positives(matrix)
    assert positives.bits == bits and len(positives) == (matrix > 0).nnz
    users = RNG.integers(0, shape[0], 4000).astype("int32")
    items = RNG.integers(0, shape[1], (4000, 3)).astype("int32")
    if len(positives):
        users[:2000], items[:2000, 0] = (index[RNG.integers(0, len(positives), 2000)] for index in (matrix > 0).nonzero())
    np.testing.assert_array_equal(numpy(positives.contains(users, items)), np.asarray((matrix > 0)[users[:, None], items].todense()))
    np.testing.assert_array_equal(numpy(positives.counts(np.arange(shape[0]))), (matrix > 0).sum(axis=1).A1)


def test_draws_are_distributed_as_they_should():
    liked = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1]])
    positives, seed = losses.Positives(sparse.csr_matrix(liked)), keras.random.SeedGenerator(1)
    drawn = numpy(positives.draw(np.array([0, 1, 2]), 3000, seed))
    for row, expected in zip(drawn, liked):
        counts = np.bincount(row, minlength=4)
        assert not counts[expected == 0].any() and np.abs(counts[expected == 1] - 3000 / expected.sum()).max() < 5 * 3000**0.5 / 2
    counts = np.bincount(numpy(positives.draw_popular((100, 40), seed)).ravel(), minlength=4)
    assert stats.chisquare(counts, 4000 * liked.sum(0) / liked.sum()).pvalue > 1e-3


# --- sums of features ---


def test_feature_sum_equals_dense():
    layer = FeatureSum(9, 6, max_features=4, dim=3)
    matrix = np.where(RNG.random((9, 6)) < 0.4, RNG.normal(size=(9, 6)), 0)
    matrix[0], matrix[1] = 0, [1, 0, 2, 0, 3, 4]
    matrix[2:, 5] = 0
    layer.set_features(sparse.coo_matrix(matrix))
    values = RNG.normal(size=(6, 4)).astype("float32")
    layer.table.assign(values)
    ids = np.array([[1, 1], [0, 8]], "int32")
    for call in (layer, layer.lookup(uses=3), layer.lookup(uses=1000)):
        np.testing.assert_allclose(numpy(call(ids)), (matrix @ values)[ids], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.features().toarray(), matrix, rtol=1e-6)
    np.testing.assert_allclose(numpy(layer.half_square(ids)), (((matrix != 0) @ values**2).sum(1) / 2)[ids], rtol=1e-5)
    copy = FeatureSum.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    table = numpy(FeatureSum(2000, dim=4).table)
    assert np.abs(table[:, :4]).max() <= 0.125 and table[:, :4].std() == pytest.approx(0.25 / 12**0.5, rel=0.03) and not table[:, 4].any()


def test_feature_sum_refuses():
    for arguments, name in (((0,), "size"), ((3, 0), "num_features"), ((3, 2, 0), "max_features"), ((3, 2, 1, 1.5), "dim")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            FeatureSum(*arguments)
    layer = FeatureSum(3, 2, 1)
    with pytest.raises(ValueError, match="`features` must have at most 1 entries"):
        layer.set_features(sparse.csr_matrix(np.ones((3, 2))))
    with pytest.raises(ValueError, match=r"`features` must have shape \(3, 2\)"):
        layer.set_features(sparse.identity(3))


# --- optimizers by rows ---


def written_out(kind, table, gradients):
    """AdaGrad, or AdaDelta whose averages stand still for rows without a gradient, on whole arrays."""
    table, first, second = table.astype("float64"), np.full(table.shape, 1.0 if kind is RowAdagrad else 0.0), np.zeros(table.shape)
    for gradient in gradients:
        used = (gradient != 0).any(axis=1)[:, None]
        if kind is RowAdagrad:
            first = first + gradient**2
            table = table - 0.1 * gradient / np.sqrt(first)
            continue
        first = np.where(used, 0.9 * first + 0.1 * gradient**2, first)
        step = np.sqrt(second + 1e-6) / np.sqrt(first + 1e-6) * gradient
        second = np.where(used, 0.9 * second + 0.1 * step**2, second)
        table = table - 0.5 * step
    return table


@pytest.mark.parametrize("small", [True, False], ids=["short table", "long table"])
@pytest.mark.parametrize("kind", [RowAdagrad, RowAdadelta])
def test_rows_used_several_times_are_added_first(kind, small, monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 100 if small else 5)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((), dtype="int32"), FeatureSum(20, dim=3)])
    layer, ids = model.layers[-1], [np.array(batch, "int32") for batch in ([3, 7, 3, 3, 19], [7, 7, 0, 1, 2], [3, 3, 19, 4, 4])]
    targets = RNG.normal(size=(3, 5, 4)).astype("float32")
    options = {"initial_accumulator_value": 1.0, "epsilon": 0.0} if kind is RowAdagrad else {"rho": 0.9, "epsilon": 1e-6}
    model.compile(kind(0.1 if kind is RowAdagrad else 0.5, **options), lambda y, p: ops.sum(y * p))
    table, gradients = numpy(layer.table), []
    for batch, target in zip(ids, targets):
        gradients.append(np.zeros(table.shape))
        # Keras divides the summed loss by the batch no further
        np.add.at(gradients[-1], batch, target)
        model.train_on_batch(batch, target)
    expected = written_out(kind, table, gradients)
    np.testing.assert_allclose(numpy(layer.table), expected, rtol=1e-5, atol=1e-6)
    assert np.any(expected != table)
    config = model.optimizer.get_config()
    assert type(model.optimizer).from_config(config).get_config() == config
