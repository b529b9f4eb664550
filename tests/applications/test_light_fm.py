"""LightFM against the author's package (golden file), and each criterion against a sequential search written out in NumPy."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from zoo import metrics
from zoo.applications import LightFM, light_fm

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "light_fm.npz")
SIDES = [sparse.csr_matrix(GOLDEN[name]) for name in ("user_features", "item_features")]
TRAIN = sparse.csr_matrix(GOLDEN["train"].astype("float32"))
POSITIVE = sparse.csr_matrix((TRAIN > 0).astype("float32"))
TEST = sparse.csr_matrix(GOLDEN["test"].astype("float32"))


def packages_model():
    """A model with the features and the weights of the package's."""
    model = LightFM.from_features(*SIDES, dim=6)
    for side in ("user", "item"):
        layer = getattr(model, f"{side}s")
        layer.table.assign(np.column_stack([GOLDEN[f"{side}_embeddings"], GOLDEN[f"{side}_biases"]]))
    return model


@pytest.fixture(scope="module")
def trained():
    return packages_model()


# --- scores and verbs ---


def test_scores_are_the_packages(trained):
    users, items = (index.ravel().astype("int32") for index in np.indices(GOLDEN["scores"].shape))
    found = trained.predict({"user": users, "item": items}, batch_size=5000, verbose=0).reshape(GOLDEN["scores"].shape)
    np.testing.assert_allclose(found, GOLDEN["scores"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(trained.scores(np.arange(len(found))), GOLDEN["scores"], rtol=1e-5, atol=1e-5)


def test_scores_in_chunks(trained, monkeypatch):
    monkeypatch.setattr(light_fm, "CHUNK", 4 * trained.num_items)
    np.testing.assert_allclose(trained.scores([7, 1, 1, 9, 8, 0]), GOLDEN["scores"][[7, 1, 1, 9, 8, 0]], rtol=1e-5, atol=1e-5)


def test_representations_are_sums_of_features(trained):
    for side, found in (("user", trained.user_representations()), ("item", trained.item_representations())):
        features = GOLDEN[f"{side}_features"]
        np.testing.assert_allclose(found[0], features @ GOLDEN[f"{side}_biases"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1], features @ GOLDEN[f"{side}_embeddings"], rtol=1e-5, atol=1e-6)
    new = sparse.csr_matrix(np.eye(GOLDEN["item_features"].shape[1])[:2])
    np.testing.assert_allclose(trained.item_representations(new)[1], GOLDEN["item_embeddings"][:2], rtol=1e-6)
    with pytest.raises(ValueError, match="`features` must have 15 columns"):
        trained.item_representations(new[:, :3])


def test_recommend_is_the_order_of_the_scores(trained):
    users = np.array([5, 0, 99])
    items, scores = trained.recommend(users, k=7)
    expected = -np.sort(-GOLDEN["scores"][users], axis=1)[:, :7]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(GOLDEN["scores"][users], items, axis=1), expected, rtol=1e-5, atol=1e-5)
    assert trained.recommend(3)[0].shape == (1, 10)


def test_recommend_leaves_out_what_is_excluded(trained, monkeypatch):
    monkeypatch.setattr(light_fm, "CHUNK", 16 * trained.num_items)
    everyone = np.arange(trained.num_users)
    items, scores = trained.recommend(everyone, k=5, exclude=POSITIVE)
    left = np.where(POSITIVE.toarray() > 0, -np.inf, GOLDEN["scores"])
    np.testing.assert_allclose(scores, -np.sort(-left, axis=1)[:, :5], rtol=1e-5, atol=1e-5)
    assert not POSITIVE.toarray()[everyone[:, None], items].any()
    most = np.zeros(POSITIVE.shape)
    most[4, 2:] = 1
    items, scores = trained.recommend([4], k=3, exclude=sparse.csr_matrix(most))
    assert set(items[0, :2]) == {0, 1} and scores[0, 2] == -np.inf
    with pytest.raises(ValueError, match="`exclude` must have shape"):
        trained.recommend([0], exclude=POSITIVE[:, :4])


def test_similar_items_by_cosine(trained):
    cosines = cosine_similarity(GOLDEN["item_features"] @ GOLDEN["item_embeddings"])
    np.fill_diagonal(cosines, -2)
    items, found = trained.similar_items([0, 119, 118], k=4)
    np.testing.assert_allclose(found, -np.sort(-cosines[[0, 119, 118]], axis=1)[:, :4], atol=1e-5)
    assert 0 not in items[0] and 118 in items[1] and 119 in items[2]  # these two have the same features
    every = trained.similar_items([3], k=trained.num_items - 1)[0][0]
    assert sorted([*every, 3]) == list(range(trained.num_items))


def test_verbs_refuse(trained):
    for call, name in (
        (lambda: trained.recommend([0], k=121), "k"),
        (lambda: trained.recommend([0], k=0), "k"),
        (lambda: trained.similar_items([0], k=120), "k"),
        (lambda: trained.recommend([100]), "users"),
        (lambda: trained.recommend([]), "users"),
        (lambda: trained.similar_items([-1]), "items"),
        (lambda: trained.scores([[0]]), "users"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            call()


def test_metrics_of_the_model_are_the_packages(trained):
    """Ties included: the last two items and users have equal features."""
    scores = lambda users: GOLDEN["scores"][users]  # noqa: E731
    calls = {
        "precision": lambda *a, **o: metrics.precision_at_k(*a, k=5, **o),
        "recall": lambda *a, **o: metrics.recall_at_k(*a, k=5, **o),
        "auc": metrics.auc_score,
        "reciprocal_rank": metrics.reciprocal_rank,
    }
    for name, call in calls.items():
        expected = GOLDEN[name] if name != "recall" else np.nan_to_num(GOLDEN[name])  # the package divides by no test interactions
        np.testing.assert_allclose(call(scores, TEST, POSITIVE, preserve_rows=True), expected, atol=1e-6)
        np.testing.assert_allclose(call(scores, TEST), GOLDEN[f"{name}_alone"], atol=1e-6)
    np.testing.assert_allclose(metrics.auc_score(trained.scores, TEST, POSITIVE, preserve_rows=True), GOLDEN["auc"], atol=2e-3)


# --- learning, one step written out ---


def one_at_a_time(criterion, users, items, drawn, known, tables, features, weights, kos=None):
    """Gradient of the summed losses and the mean loss, from a sequential search and from the derivatives of the package's updates."""
    gradients, losses = [np.zeros_like(table, "float64") for table in tables], []
    represent = [matrix @ table for matrix, table in zip(features, tables)]
    score = lambda u, i: represent[0][u, :-1] @ represent[1][i, :-1] + represent[0][u, -1] + represent[1][i, -1]  # noqa: E731

    def move(u, i, slope):
        gradients[0] += slope * np.outer(features[0][u], [*represent[1][i, :-1], criterion == "logistic"])
        gradients[1] += slope * np.outer(features[1][i], [*represent[0][u, :-1], 1])

    for row, (u, i, weight) in enumerate(zip(users, items, weights)):
        if criterion == "logistic":
            sign = 1 if known[u, i] else -1
            losses.append(weight * np.log1p(np.exp(-sign * score(u, i))))
            move(u, i, -sign * weight / (1 + np.exp(sign * score(u, i))))
            continue
        if criterion == "warp-kos":
            candidates, k = kos[row][: min(len(kos[row]), known[u].sum())], 2
            i = sorted(candidates, key=lambda c: -score(u, c))[min(k, len(candidates)) - 1]
        losses.append(0.0)
        for tries, j in enumerate(drawn[row], start=1):
            if known[u, j] or (criterion != "bpr" and score(u, j) <= score(u, i) - 1):
                continue
            margin = score(u, i) - score(u, j)
            rank = max(np.floor((len(features[1]) - 1) / tries), 1)
            slope = 1 / (1 + np.exp(margin)) if criterion == "bpr" else min(np.log(rank), 10)
            losses[-1] = weight * (np.log1p(np.exp(-margin)) if criterion == "bpr" else slope * (1 - margin))
            move(u, i, -weight * slope)
            move(u, j, weight * slope)
            break
    return gradients, np.mean(losses)


@pytest.mark.parametrize("whole", [True, False], ids=["few items", "many items"])
@pytest.mark.parametrize("criterion", ["logistic", "bpr", "warp", "warp-kos"])
def test_one_step_equals_one_at_a_time(criterion, whole, monkeypatch):
    """Loss and gradient, with features, weights, and draws that are positives or violate nothing."""
    if not whole:  # as if there were too many items to sum all of them
        monkeypatch.setattr(light_fm, "BATCH_SIZE", 1)
    rng = np.random.default_rng(3)
    features = [np.where(rng.random(shape) < 0.5, rng.uniform(0.5, 2, shape), 0) for shape in ((5, 4), (9, 6))]
    known = rng.random((5, 9)) < 0.5
    known[0], known[1] = False, np.arange(9) == 4
    users, items = (np.concatenate([index, index]) for index in np.nonzero(known))
    if criterion == "logistic":
        users, items = rng.integers(0, 5, 40), rng.integers(0, 9, 40)
    drawn, weights = rng.integers(0, 9, (len(users), 3)).astype("int32"), rng.uniform(0.2, 2, len(users)).astype("float32")
    model = LightFM.from_features(*map(sparse.csr_matrix, features), dim=4, criterion=criterion, max_sampled=3, k=2, n=3)
    tables = [rng.normal(size=layer.table.shape).astype("float32") for layer in (model.users, model.items)]
    for layer, table in zip((model.users, model.items), tables):
        layer.table.assign(table)
    kos = np.stack([rng.choice(np.flatnonzero(known[u]), 3) for u in users]).astype("int32") if criterion == "warp-kos" else None
    model.set_interactions(sparse.csr_matrix(known.astype("float32")))
    monkeypatch.setattr(model, "_draw", lambda batch_size: ops.convert_to_tensor(drawn))
    monkeypatch.setattr(model.positives, "draw", lambda users, n, seed: ops.convert_to_tensor(kos))
    model.compile(keras.optimizers.SGD(1.0))
    x, y = {"user": users.astype("int32"), "item": items.astype("int32")}, np.where(known[users, items], 1.0, -1.0)
    history = model.fit(x, y, sample_weight=weights, batch_size=len(users), shuffle=False, verbose=0)
    gradients, loss = one_at_a_time(criterion, users, items, drawn, known, tables, features, weights, kos)
    np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-5)
    for layer, table, gradient in zip((model.users, model.items), tables, gradients):
        assert np.abs(gradient).max() > 0.1
        np.testing.assert_allclose(table - ops.convert_to_numpy(layer.table), gradient, rtol=1e-4, atol=1e-4)


def test_adagrad_divides_by_the_batchs_sum():
    """Two interactions of one pair: the sum of their gradients is squared, and no other row moves."""
    model = LightFM(3, 4, dim=2, criterion="logistic")
    before = [ops.convert_to_numpy(layer.table) for layer in (model.users, model.items)]
    model.fit({"user": np.array([1, 1]), "item": np.array([2, 2])}, np.array([1.0, -1.0]), verbose=0)
    user, item = before[0][1].astype("float64"), before[1][2].astype("float64")
    probability = 1 / (1 + np.exp(-(user[:2] @ item[:2])))
    slope = (probability - 1) + probability
    for old, layer, row, other in ((before[0], model.users, 1, item), (before[1], model.items, 2, user)):
        gradient = slope * np.array([*other[:2], 1.0])
        new = ops.convert_to_numpy(layer.table)
        np.testing.assert_allclose(new[row], old[row] - 0.05 * gradient / np.sqrt(1 + gradient**2), atol=1e-6)
        np.testing.assert_array_equal(np.delete(new, row, 0), np.delete(old, row, 0))


def test_penalty_touches_the_features_in_use():
    model = LightFM.from_features(
        None, sparse.csr_matrix(np.eye(3, 5)), num_users=2, dim=2, criterion="logistic", user_alpha=0.5, item_alpha=0.25
    )
    tables = [np.arange(1.0, 1 + np.prod(layer.table.shape)).reshape(layer.table.shape) for layer in (model.users, model.items)]
    for layer, table in zip((model.users, model.items), tables):
        layer.table.assign(table)
    x, y = {"user": np.array([1]), "item": np.array([2])}, np.array([-1.0])
    score = tables[0][1, :2] @ tables[1][2, :2] + tables[0][1, 2] + tables[1][2, 2]
    expected = np.log1p(np.exp(score)) + 0.5 / 2 * np.sum(tables[0][1] ** 2) + 0.25 / 2 * np.sum(tables[1][2] ** 2)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("criterion", "schedule"),
    [("logistic", "adagrad"), ("bpr", "adagrad"), ("warp", "adagrad"), ("warp-kos", "adagrad"), ("warp", "adadelta")],
)
def test_learns_as_well_as_the_package(criterion, schedule):
    """AUC on held-out pairs after as many epochs; the package's three seeds lie within 0.03 of each other."""
    keras.utils.set_random_seed(0)
    model = LightFM(*TRAIN.shape, dim=8, criterion=criterion, learning_schedule=schedule)
    model.fit(TRAIN if criterion == "logistic" else POSITIVE, epochs=30, batch_size=128, verbose=0)
    assert abs(metrics.auc_score(model.scores, TEST, POSITIVE).mean() - GOLDEN[f"{criterion} {schedule}"].mean()) < 0.04


# --- interactions ---


def fitted(x, y=None, seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = LightFM(6, 8, dim=3, criterion="warp", max_sampled=4)
    model.compile(run_eagerly=True)
    model.fit(x, y, shuffle=False, batch_size=8, verbose=0, **options)
    return ops.convert_to_numpy(model.users.table)


def test_a_matrix_is_the_same_as_arrays():
    matrix = sparse.random(6, 8, 0.4, format="coo", random_state=0)
    matrix.data = np.where(np.arange(matrix.nnz) % 3, 4.0, -2.0)  # ratings: only the sign counts
    weights = sparse.coo_matrix((np.linspace(0.1, 2, matrix.nnz), (matrix.row, matrix.col)), matrix.shape)
    x = {"user": matrix.row, "item": matrix.col}
    expected = fitted(x, np.sign(matrix.data), sample_weight=weights.data)
    np.testing.assert_array_equal(fitted(matrix, sample_weight=weights), expected)
    only = matrix.data > 0
    np.testing.assert_array_equal(
        fitted({key: ids[only] for key, ids in x.items()}), fitted({key: ids[only] for key, ids in x.items()}, np.ones(only.sum()))
    )


def test_known_positives_are_never_drawn_and_add_up():
    model = LightFM(2, 3, dim=2, criterion="bpr")
    model.compile(run_eagerly=True)
    before = ops.convert_to_numpy(model.items.table)
    # user 0 likes everything, so that there is no negative and nothing to learn
    model.fit({"user": np.zeros(3, int), "item": np.arange(3)}, verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.items.table), before)
    model.fit({"user": np.array([1]), "item": np.array([1])}, verbose=0)
    assert model.positives.matrix.toarray().astype(int).tolist() == [[1, 1, 1], [0, 1, 0]]
    assert np.any(ops.convert_to_numpy(model.items.table) != before)


def test_fit_refuses_and_warns():
    model = LightFM(4, 5, criterion="warp-kos")
    x = {"user": np.array([0, 1]), "item": np.array([2, 3])}
    with pytest.raises(ValueError, match="`x` must have shape"):
        model.fit(sparse.identity(4), verbose=0)
    with pytest.raises(ValueError, match="`interaction` must be at most 1"):
        model.fit(x, np.array([5.0, 3.0]), verbose=0)
    with pytest.raises(ValueError, match="set_interactions"):
        model.fit(x, np.array([-1.0, -1.0]), verbose=0)
    with pytest.raises(ValueError, match="`matrix` must have shape"):
        model.set_interactions(sparse.identity(4))
    explicit = LightFM(4, 5, criterion="logistic")
    explicit.compile(run_eagerly=True)
    with pytest.warns(UserWarning, match="All interactions are positive"):
        explicit.fit(x, verbose=0)
    explicit.compile(loss="mse", run_eagerly=True)
    explicit.fit(x, np.array([5.0, 3.0]), verbose=0)  # ratings, with another loss


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"criterion": "hinge"}, "criterion"),
        ({"learning_schedule": "adam"}, "learning_schedule"),
        ({"k": 11}, "k"),
        ({"max_sampled": 0}, "max_sampled"),
        ({"item_alpha": -0.1}, "item_alpha"),
        ({"num_users": 0}, "num_users"),
        ({"num_recommendations": 0}, "num_recommendations"),
        ({"dim": 0}, "dim"),
    ],
)
def test_constructor_refuses(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        LightFM(**{"num_users": 3, "num_items": 4, **arguments})


# --- features ---


def test_features_refuse():
    model = LightFM.from_features(*SIDES, dim=2)
    with pytest.raises(ValueError, match=r"`user_features` must have shape \(100, 20\)"):
        model.set_features(SIDES[0][:50])
    with pytest.raises(ValueError, match="`item_features` must have at most 3 entries"):
        model.set_features(item_features=sparse.csr_matrix(np.ones((120, 15))))
    with pytest.raises(ValueError, match="`user_features` must have shape None"):
        LightFM(100, 120).set_features(SIDES[0])


def test_cold_start(trained):
    """New items and users score by their features alone, the old ones as before; a copy keeps learning."""
    features = sparse.csr_matrix(np.eye(15)[[2, 7]] + np.eye(15)[[3, 3]])
    more = trained.add_items(features)
    assert (more.num_items, trained.num_items) == (122, 120)
    everyone = np.arange(trained.num_users)
    scores = more.scores(everyone)
    np.testing.assert_allclose(scores[:, :120], GOLDEN["scores"], rtol=1e-5, atol=1e-5)
    biases, embeddings = trained.user_representations()
    expected = embeddings @ (GOLDEN["item_embeddings"][7] + GOLDEN["item_embeddings"][3]) + biases
    np.testing.assert_allclose(scores[:, 121], expected + GOLDEN["item_biases"][[7, 3]].sum(), rtol=1e-4, atol=1e-5)
    new_user = trained.add_users(SIDES[0][[8]])
    np.testing.assert_allclose(new_user.scores([100]), GOLDEN["scores"][[8]], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="`features` must have 15 columns"):
        trained.add_items(SIDES[0])
    plain = LightFM(3, 4, dim=2, criterion="warp")
    plain.fit(sparse.csr_matrix(np.eye(3, 4)), verbose=0)
    both = plain.add_items(sparse.csr_matrix([[0.5, 0, 0.5, 0]]))  # a mixture of two items
    np.testing.assert_allclose(both.scores([1])[:, 4], plain.scores([1])[:, [0, 2]].mean(axis=1), rtol=1e-5)
    assert both.positives.matrix.shape == (3, 5)
    both.fit(sparse.csr_matrix(np.eye(3, 5)), verbose=0)


def test_features_are_saved(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for found, expected in zip(loaded.recommend([0, 9], exclude=POSITIVE), trained.recommend([0, 9], exclude=POSITIVE)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(loaded.items.features().toarray(), GOLDEN["item_features"])
    new = loaded.add_items(SIDES[1][[5]])
    np.testing.assert_allclose(new.scores([4])[0, 120], GOLDEN["scores"][4, 5], rtol=1e-5)


# --- size ---


def test_a_large_catalogue_fits():
    """300,000 users and 200,000 items: an array of all pairs would need 240 GB."""
    users, items = 300_000, 200_000
    model = LightFM(users, items, dim=2, criterion="warp")
    x = {"user": np.array([5, users - 1]), "item": np.array([items - 1, 7])}
    history = model.fit(x, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    found, _ = model.recommend([5, users - 1], k=3)
    assert found.shape == (2, 3) and model.positives.contains(np.array([5], "int32"), np.array([[items - 1, 7]], "int32")).shape == (1, 2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX's gradients have the size of the table")
@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
def test_a_step_computes_nothing_of_the_catalogues_size(schedule):
    """No tensor of the compiled step is as long as the tables, but for the tables themselves, so its cost does not grow with them."""
    import tensorflow as tf

    users, items, features = 30_011, 40_009, 20_011
    model = LightFM(users, items, None, features, 1, 2, dim=3, criterion="warp", learning_schedule=schedule)
    model.set_interactions(sparse.csr_matrix(([1.0], ([3], [4])), (users, items)))
    ids = {"user": tf.constant([3, 3, 9]), "item": tf.constant([4, 8, 9])}
    model.optimizer.build(model.trainable_variables)
    graph = tf.function(model.train_step).get_concrete_function((ids,)).graph
    long = {
        (op.type, output.shape[0])
        for op in graph.get_operations()
        for output in op.outputs
        if output.shape.rank and output.shape[0] in (users, items, features)
    }
    # the features of the items and the table of the users' positives, which are read in place
    assert long == {("ReadVariableOp", items), ("Placeholder", users)}, long
