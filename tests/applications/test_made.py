"""MADE: the autoregressive property by derivatives, sums to one by brute force, samples and imputation against enumeration."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from zoo import autodiff
from zoo.applications import MADE
from zoo.layers import MaskedDense, degree_mask, draw_degrees

RNG = np.random.default_rng(0)
D = 7
ALL = np.array(list(itertools.product([0, 1], repeat=D)))
CONFIGS = {
    "default": {"units": (11,)},
    "deep": {"units": (12, 9, 6), "conditioning": True, "activation": "tanh"},
    "shared": {"ordering": "random", "units": (10, 8)},
    "order": {"connectivity": "fixed", "direct": False, "conditioning": True},
    "natural": {"ordering": "natural", "units": (9,), "activation": "softplus"},
    "fresh": {"masks": None, "ensemble": 3, "units": (8, 8)},
}


def made(**config):
    """A small model with weights large enough to matter."""
    keras.utils.set_random_seed(0)
    model = MADE(**{"dimensions": D, "masks": 3, "units": (8,), **config})
    for v in model.trainable_variables:
        v.assign(ops.convert_to_numpy(v) + 0.8 * np.random.default_rng(1).normal(size=v.shape))
    return model


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return made(**CONFIGS[request.param])


def sigmoid_forward(model, x, mask):
    """Conditionals of one mask, in NumPy from the paper's equations."""
    act = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "softplus": lambda a: np.log1p(np.exp(a))}[model.activation]
    masks = [m.astype(float) for m in model.weight_masks(mask)]
    h = x.astype(float)
    for layer, m in zip([*model.hidden, model.logits], masks):
        a = h @ (ops.convert_to_numpy(layer.kernel) * m) + ops.convert_to_numpy(layer.bias)
        if model.conditioning:
            a = a + np.ones_like(h) @ (ops.convert_to_numpy(layer.conditioning_kernel) * m)
        h = act(a)
    if model.direct:
        a = a + x @ (ops.convert_to_numpy(model.shortcut.kernel) * masks[-1])
    return special.expit(a)


def log_bernoulli(x, p):
    return stats.bernoulli.logpmf(x, p).sum(1)


# --- masks ---


def test_no_output_depends_on_its_own_or_a_later_input(model):
    x = ops.convert_to_tensor(RNG.uniform(0, 1, (4, D)).astype("float32"))
    for mask, places in enumerate(model.orderings):
        assert sorted(places) == list(range(1, D + 1))
        jacobian = autodiff.jacobian(lambda x, mask=mask: model._logits(x[0], model._degrees(mask)), [x], D)[0]
        found = np.abs(ops.convert_to_numpy(jacobian)).max(0)
        # output d and input e
        assert (found[places[:, None] <= places[None, :]] == 0).all()
        if model.direct:
            assert (found[places[:, None] > places[None, :]] > 0).all()


def test_masks_are_those_of_the_paper(model):
    for mask, places in enumerate(model.orderings):
        degrees = [ops.convert_to_numpy(d) for d in model._degrees(mask)]
        assert degrees[0].tolist() == places.tolist()
        for before, after in zip(degrees, degrees[1:]):
            assert before.min() <= after.min() and after.max() <= D - 1
        found = model.weight_masks(mask)
        for k, j in itertools.product(range(D), range(len(degrees[1]))):
            assert found[0][k, j] == (degrees[1][j] >= places[k])
        for k, d in itertools.product(range(len(degrees[-1])), range(D)):
            assert found[len(degrees) - 1][k, d] == (places[d] > degrees[-1][k])


def test_what_masks_share():
    tables = {name: [ops.convert_to_numpy(t) for t in made(**CONFIGS[name]).tables] for name in CONFIGS}

    def same(name):
        return [bool((table == table[0]).all()) for table in tables[name]]

    assert same("default") == [False, False] and same("shared") == [True, False, False]
    assert same("order") == [False, True] and same("natural") == [True, False]
    assert tables["natural"][0][0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_degrees_are_uniform_and_orderings_random():
    drawn = [draw_degrees(ops.convert_to_tensor(row), 6, (40, 5)) for row in RNG.random((300, 51)).astype("float32")]
    places, first, second = (np.stack([ops.convert_to_numpy(layer[i]) for layer in drawn]) for i in range(3))
    assert stats.chisquare(np.bincount(first.ravel(), minlength=6)[1:]).pvalue > 1e-3
    assert stats.chisquare(np.bincount(places[:, 2], minlength=7)[1:]).pvalue > 1e-3
    assert (second >= first.min(1, keepdims=True)).all() and second.max() == 5
    # a single unit that may see the first four inputs leaves no degrees below its own
    noise = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.7, *RNG.random(8)], "float32")
    *_, after = draw_degrees(ops.convert_to_tensor(noise), 6, (1, 8))
    assert ops.convert_to_numpy(after).min() >= 4


def test_masked_dense():
    layer = MaskedDense(3, "relu", conditioning=True)
    x, mask = RNG.normal(size=(5, 4)).astype("float32"), RNG.integers(0, 2, (4, 3))
    found = ops.convert_to_numpy(layer(x, mask.astype("float32")))
    kernel, bias, signal = (ops.convert_to_numpy(v) for v in (layer.kernel, layer.bias, layer.conditioning_kernel))
    np.testing.assert_allclose(found, np.maximum(x @ (kernel * mask) + (signal * mask).sum(0) + bias, 0), atol=1e-5)
    assert layer.compute_output_shape((None, 4)) == (None, 3)
    assert MaskedDense.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="`units`"):
        MaskedDense(0)
    plain = MaskedDense(3, use_bias=False)
    everything = np.ones((4, 3), "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(plain(x, everything)), x @ ops.convert_to_numpy(plain.kernel), atol=1e-5)
    before, after = ops.convert_to_tensor([1, 2, 3]), ops.convert_to_tensor([2, 3])
    assert ops.convert_to_numpy(degree_mask(before, after, strict=True)).tolist() == [[True, True], [False, True], [False, False]]


# --- likelihoods ---


def test_conditionals_and_combinations_against_numpy(model):
    x = RNG.integers(0, 2, (9, D))
    p = [sigmoid_forward(model, x, mask) for mask in range(model.mask_count)]
    for mask in range(model.mask_count):
        np.testing.assert_allclose(model.conditionals(x, mask), p[mask], atol=1e-5)
    logs = np.array([log_bernoulli(x, q) for q in p])
    np.testing.assert_allclose(model.log_likelihood(x, batch_size=4), special.logsumexp(logs, axis=0) - np.log(len(p)), rtol=1e-4)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_likelihood(x), rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(x, masks=2), special.logsumexp(logs[:2], axis=0) - np.log(2), rtol=1e-4)
    np.testing.assert_allclose(model.log_likelihood(x, combine="geometric"), logs.mean(0), rtol=1e-4)
    if model.ordering != "agnostic":
        one, zero = (np.prod(q, axis=0) ** (2 / len(p)) for q in (np.array(p), 1 - np.array(p)))
        expected = log_bernoulli(x, one / (one + zero))
        np.testing.assert_allclose(model.log_likelihood(x, combine="product", power=2.0), expected, rtol=1e-4)


def test_probabilities_sum_to_one(model):
    assert np.exp(model.log_likelihood(ALL, masks=1)).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(model.log_likelihood(ALL)).sum() == pytest.approx(1, abs=1e-5)
    if model.ordering != "agnostic":
        for power in (1.0, 3.0):
            assert np.exp(model.log_likelihood(ALL, combine="product", power=power)).sum() == pytest.approx(1, abs=1e-5)


def test_the_geometric_score_is_a_lower_bound_on_its_normalised_self_and_on_the_mixture(model):
    score, mixture = model.log_likelihood(ALL, combine="geometric"), model.log_likelihood(ALL)
    log_partition = special.logsumexp(score.astype("float64"))
    assert log_partition < -1e-3 and (score < score - log_partition).all() and (score < mixture + 1e-5).all()


# --- samples ---


def total_variation(samples, log_probability):
    counts = np.bincount(samples.astype(int) @ (1 << np.arange(D)[::-1]), minlength=len(ALL))
    return 0.5 * np.abs(counts / len(samples) - np.exp(log_probability)).sum()


def test_samples_are_of_the_mixture(model):
    samples = model.sample(12000, seed=3)
    assert samples.shape == (12000, D) and set(np.unique(samples)) <= {0, 1}
    log_probability = model.log_likelihood(ALL)
    p = np.exp(log_probability.astype("float64"))
    true = ALL[RNG.choice(len(ALL), 12000, p=p / p.sum())]
    assert total_variation(samples, log_probability) < 1.5 * total_variation(true, log_probability)
    np.testing.assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert (model.sample(20) != model.sample(20)).any()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 751, 1000])
def test_masks_draw_equally_many_samples(monkeypatch, n):
    """In place of samples come the numbers of the masks that would draw them."""
    model = made(masks=3)
    monkeypatch.setattr(model, "_graph", lambda *_: lambda x, given, noise, masks: np.ones_like(x) * masks[:, None, None])
    counts = np.bincount(model.sample(n, seed=2)[:, 0].astype(int), minlength=3)
    assert counts.sum() == n and counts.max() - counts.min() <= 1


def test_samples_of_one_mask_are_those_of_a_pass_for_each_variable(model):
    mask, noise = 1, RNG.random((6, D)).astype("float32")
    nothing = np.zeros_like(noise)
    found = ops.convert_to_numpy(model._walk(*map(ops.convert_to_tensor, (nothing, nothing, noise)), mask)[0])
    x = np.zeros((6, D))
    for d in np.argsort(model.orderings[mask]):
        x[:, d] = noise[:, d] < sigmoid_forward(model, x, mask)[:, d]
    np.testing.assert_array_equal(found, x)


def test_the_walk_gives_the_likelihood_of_the_parallel_pass(model):
    everything = np.ones(D, bool)
    expected = np.array([log_bernoulli(ALL, sigmoid_forward(model, ALL, mask)) for mask in range(model.mask_count)])
    found = model.conditional_log_likelihood(ALL, everything, observed_first=False, batch_size=50)
    np.testing.assert_allclose(found, special.logsumexp(expected, axis=0) - np.log(len(expected)), rtol=1e-4)
    np.testing.assert_allclose(model.conditional_log_likelihood(ALL, ~everything), 0, atol=1e-6)


# --- missing values ---


def test_observed_variables_first_is_a_conditional_of_that_ordering():
    """The joint of the ordering, enumerated through a model whose table has it, divided by its sum over the missing values."""
    model = made(**CONFIGS["deep"])
    missing = np.array([1, 0, 0, 1, 0, 1, 0], bool)
    found = model.conditional_log_likelihood(ALL, missing, observed_first=True)
    logs = []
    for mask, places in enumerate(model.orderings):
        table = ops.convert_to_numpy(model.tables[0]).copy()
        other = made(**CONFIGS["deep"])
        table[mask] = np.argsort(np.argsort(places + D * missing)) + 1
        other.tables[0].assign(table)
        joint = log_bernoulli(ALL, sigmoid_forward(other, ALL, mask))
        key = ALL[:, ~missing] @ (1 << np.arange(4))
        logs.append(joint - np.array([special.logsumexp(joint[key == k]) for k in key]))
    np.testing.assert_allclose(found, special.logsumexp(logs, axis=0) - np.log(3), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("first", [True, False])
def test_imputed_values_are_draws_of_the_scored_distribution(model, first):
    x = np.repeat(ALL[[37]], 8000, axis=0)
    missing = np.array([0, 1, 0, 0, 1, 1, 0], bool)
    found = model.impute(x, missing, observed_first=first, seed=5)
    np.testing.assert_array_equal(found[:, ~missing], x[:, ~missing])
    possible = np.repeat(ALL[[37]], 8, axis=0)
    possible[:, missing] = list(itertools.product([0, 1], repeat=3))
    expected = np.exp(model.conditional_log_likelihood(possible, missing, observed_first=first))
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    counts = np.bincount(found[:, missing].astype(int) @ [4, 2, 1], minlength=8)
    np.testing.assert_allclose(counts / 8000, expected, atol=0.025)


def test_a_fixed_ordering_is_exact_where_the_missing_come_last():
    model = made(ordering="natural", masks=1)
    missing = np.arange(D) >= 4
    joint = model.log_likelihood(ALL)
    key = ALL[:, :4] @ [8, 4, 2, 1]
    exact = joint - np.array([special.logsumexp(joint[key == k]) for k in key])
    for first in (None, True, False):
        np.testing.assert_allclose(model.conditional_log_likelihood(ALL, missing, observed_first=first), exact, atol=1e-4)


def test_rows_may_miss_different_values():
    model = made(**CONFIGS["fresh"])
    x, missing = ALL[20:60:3], RNG.integers(0, 2, (14, D)).astype(bool)
    together = model.conditional_log_likelihood(x, missing)
    apart = [model.conditional_log_likelihood(x[i : i + 1], missing[i])[0] for i in range(14)]
    np.testing.assert_allclose(together, apart, atol=1e-5)
    found = model.impute(x, missing, seed=0)
    np.testing.assert_array_equal(found[~missing], x[~missing])


def test_observed_first_by_default_only_where_it_was_trained():
    x, missing = ALL[:30], np.arange(D) % 2 == 0
    for name in ("fresh", "default", "shared"):
        model = made(**CONFIGS[name])
        expected = model.conditional_log_likelihood(x, missing, observed_first=name == "fresh")
        np.testing.assert_array_equal(model.conditional_log_likelihood(x, missing), expected)


# --- training ---


def test_training_takes_masks_in_turn():
    model = made(**CONFIGS["default"])
    x = RNG.integers(0, 2, (4, D))
    logs = [log_bernoulli(x, sigmoid_forward(model, x, mask)).mean() for mask in range(3)]
    model.compile(keras.optimizers.SGD(0.0))
    losses = [model.train_on_batch(x) for _ in range(5)]
    np.testing.assert_allclose(losses, -np.array([*logs, *logs[:2]]), rtol=1e-4)
    assert model.evaluate(x, verbose=0) == pytest.approx(-model.log_likelihood(x).mean(), rel=1e-4)


def test_fresh_masks_differ_from_batch_to_batch_in_one_graph():
    model = made(masks=None, ensemble=2, units=(8,))
    x = RNG.integers(0, 2, (4, D))
    model.compile(keras.optimizers.SGD(0.0))
    losses = [float(model.train_on_batch(x)) for _ in range(6)]
    assert len(set(losses)) == 6
    kept = made(masks=None, ensemble=2, units=(8,), ordering="random", connectivity="agnostic")
    places = [ops.convert_to_numpy(kept._next_degrees()[0]) for _ in range(3)]
    assert all((p == kept.orderings[0]).all() for p in places)


def test_gradients_stay_under_the_mask():
    model = made(masks=1, direct=True)
    before = [ops.convert_to_numpy(layer.kernel) for layer in (*model.hidden, model.logits, model.shortcut)]
    model.compile(keras.optimizers.SGD(1.0))
    model.train_on_batch(ALL)
    after = [ops.convert_to_numpy(layer.kernel) for layer in (*model.hidden, model.logits, model.shortcut)]
    for a, b, mask in zip(before, after, model.weight_masks(0)):
        assert (a[~mask] == b[~mask]).all() and (a[mask] != b[mask]).any()


def test_weights_of_samples():
    model = made()
    x = ALL[:6]
    weighted = model.evaluate(x, sample_weight=np.array([0, 0, 2.0, 0, 0, 0]), verbose=0)
    assert weighted == pytest.approx(-2 * model.log_likelihood(x)[2] / 6, rel=1e-4)


def test_it_learns_a_distribution():
    """Copies of two fair bits: 2 log 2 nats, where independent variables need seven."""
    bits = RNG.integers(0, 2, (2000, 2))
    x = bits[:, [0, 1, 0, 1, 0, 1, 0]]
    keras.utils.set_random_seed(0)
    model = MADE(dimensions=D, units=(32,), masks=4)
    model.compile(keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.0))
    model.fit(x, epochs=15, verbose=0)
    assert -model.log_likelihood(x[:200]).mean() < 2 * np.log(2) + 0.2


# --- bad input ---


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"dimensions": 1}, "dimensions"),
        ({"units": ()}, "units"),
        ({"units": (4, 0)}, "units"),
        ({"masks": 0}, "masks"),
        ({"ensemble": 0}, "ensemble"),
        ({"ordering": "raster"}, "ordering"),
        ({"connectivity": "none"}, "connectivity"),
        ({"ordering": "natural", "connectivity": "fixed", "masks": 4}, "masks"),
        ({"dimensions": 2.5}, "dimensions"),
        ({"units": 4}, "units"),
        ({"units": "4"}, "units"),
        ({"masks": "many"}, "masks"),
        ({"ensemble": None}, "ensemble"),
        ({"direct": "yes"}, "direct"),
        ({"conditioning": 1}, "conditioning"),
        ({"activation": "no such"}, "activation"),
        ({"activation": 3}, "activation"),
        ({"activation": "softmax"}, "activation"),
        ({"activation": "log_softmax"}, "activation"),
        ({"activation": "glu"}, "activation"),
        ({"activation": lambda x: x}, "activation"),
    ],
)
def test_refused_arguments(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        MADE(**{"dimensions": D, "units": (4,), **config})


@keras.saving.register_keras_serializable("test_made")
def bend(x):
    return ops.tanh(2 * x)


@pytest.mark.parametrize("activation", [keras.activations.relu, bend, None])
def test_functions_as_activations_are_kept(tmp_path, activation):
    model = made(activation=activation)
    expected = model.log_likelihood(ALL)
    model.save(tmp_path / "m.keras")
    loaded = [keras.models.load_model(tmp_path / "m.keras")]
    if activation is not bend:
        # presets hold no functions but Keras's
        model.save_pretrained(tmp_path / "preset")
        loaded.append(MADE.from_pretrained(tmp_path / "preset"))
    for again in loaded:
        np.testing.assert_allclose(again.log_likelihood(ALL), expected, rtol=1e-5)
        assert again.hidden[0].activation is keras.activations.get(activation)


def test_numbers_of_numpy_and_whole_floats_are_sizes():
    model = MADE(dimensions=np.int64(3), units=np.array([4, 5]), masks=2.0, ensemble=3.0)
    assert model.sample(2, seed=0).shape == (2, 3)
    assert model.get_config()["dimensions"] == 3 and type(model.masks) is int


@pytest.mark.parametrize(
    ("verb", "call", "name"),
    [
        ("log_likelihood", {"combine": "product"}, "combine"),
        ("log_likelihood", {"power": 2.0}, "power"),
        ("log_likelihood", {"masks": 4}, "masks"),
        ("conditionals", {"mask": 3}, "mask"),
        ("impute", {"missing": np.zeros((2, D))}, "missing"),
        ("impute", {"missing": np.full(D, 0.5)}, "missing"),
        ("impute", {"missing": np.zeros(D), "mask": 3}, "mask"),
        ("conditional_log_likelihood", {"missing": np.zeros(D - 1)}, "missing"),
        ("conditional_log_likelihood", {"missing": np.zeros(D), "masks": 4}, "masks"),
    ],
)
def test_refused_calls(verb, call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        getattr(made(), verb)(ALL[:3], **call)
    with pytest.raises(ValueError, match="`x`"):
        made().log_likelihood(np.full((2, D), 0.5))
    with pytest.raises(ValueError, match="`mask`"):
        made().sample(2, mask=3)
