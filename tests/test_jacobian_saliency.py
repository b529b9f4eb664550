"""The Jacobian saliency attack against a search over all pairs in NumPy, and against the Adversarial Robustness Toolbox."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import attacks, autodiff

RNG = np.random.default_rng(0)
X = RNG.uniform(0.0, 1.0, (10, 11)).astype("float32")
X[:, 3] = 1.0
TARGET = RNG.integers(0, 4, 10).astype("int32")


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((11,)), layers.Dense(9, "tanh", kernel_initializer="orthogonal"), layers.Dense(4)])


def by_hand(model, x, target, theta, gamma, pairs=True):
    """Algorithms 1 to 3 for one sample: every pair, or every feature, one after another."""
    w, b, v, c = (np.asarray(a, "float64") for a in model.get_weights())
    x = x.astype("float64").copy()
    limit = 1.0 if theta > 0 else 0.0
    domain = [i for i in range(len(x)) if x[i] != limit]
    for _ in range(int(len(x) * gamma // (2 if pairs else 1))):
        hidden = np.tanh(x @ w + b)
        if np.argmax(hidden @ v + c) == target:
            break
        jacobian = (w * (1 - hidden**2)) @ v
        best, pair = 0.0, None
        for chosen in itertools.combinations(domain, 2 if pairs else 1):
            alpha = sum(jacobian[f, target] for f in chosen)
            beta = sum(jacobian[f, j] for f in chosen for j in range(4) if j != target)
            if np.sign(theta) * alpha > 0 > np.sign(theta) * beta and -alpha * beta > best:
                best, pair = -alpha * beta, chosen
        if pair is None:
            break
        for f in pair:
            x[f] = np.clip(x[f] + theta, 0, 1)
        domain = [f for f in domain if x[f] != limit]
    return x


@pytest.mark.parametrize("theta", [1.0, -1.0, 0.3, -0.3])
@pytest.mark.parametrize(("pairs", "chunk"), [(True, 4), (True, 64), (False, 64)])
def test_every_pair_was_looked_at(theta, pairs, chunk):
    model = network()
    expected = np.array([by_hand(model, x, t, theta, 0.8, pairs) for x, t in zip(X, TARGET)])

    def attack(x, target):
        return attacks.jacobian_saliency(model, x, target, theta, 0.8, pairs=pairs, chunk=chunk)

    found = autodiff.compiled(attack, model)(X, TARGET)
    np.testing.assert_allclose(found.samples, expected, atol=1e-5)
    assert np.any(expected != X)
    arrived = ops.convert_to_numpy(model(expected.astype("float32"))).argmax(1) == TARGET
    np.testing.assert_array_equal(found.success, arrived)
    np.testing.assert_array_equal(found.changed, np.sum(ops.convert_to_numpy(found.samples) != X, 1))


@pytest.mark.parametrize("scale", [1.0, 1e-30])
@pytest.mark.parametrize("increase", [True, False])
@pytest.mark.parametrize("agreement", [-0.9, 0.0, 0.9, 1.0])
def test_the_best_pair_of_all(agreement, increase, scale):
    """However alpha and beta hang together, which decides how many features are looked at; and where products are 0 in float32."""
    alpha = RNG.normal(size=(6, 90))
    beta = agreement * alpha + np.sqrt(1 - agreement**2) * RNG.normal(size=alpha.shape)
    alpha, beta = (scale * (slopes if increase else -slopes) for slopes in (alpha, -beta))
    domain = RNG.uniform(size=alpha.shape) < 0.7
    domain[0, 1:] = False
    a, b = (np.asarray(slopes[:, :, None] + slopes[:, None, :]) / scale for slopes in (alpha, beta))
    legal = domain[:, :, None] & domain[:, None, :] & ~np.eye(90, dtype=bool) & ((a > 0) & (b < 0) if increase else (a < 0) & (b > 0))
    score = np.where(legal, -a * b, -1.0)
    best = attacks.best_pairs(alpha.astype("float32"), beta.astype("float32"), domain, increase, chunk=4)
    p, q, found = (ops.convert_to_numpy(part) for part in best)
    np.testing.assert_array_equal(found, score.max((1, 2)) > 0)
    assert not found[0] and np.all(found[1:])
    np.testing.assert_allclose(score[np.arange(6), p, q][1:], score.max((1, 2))[1:], rtol=1e-4)


def test_the_share_of_changed_features_is_limited():
    model = network()
    for gamma in (0.0, 0.2, 0.4):
        changed = ops.convert_to_numpy(attacks.jacobian_saliency(model, X, TARGET, gamma=gamma).changed)
        assert changed.max() <= gamma * 11


@pytest.mark.parametrize("pairs", [True, False])
def test_the_budget_is_not_rounded_down(pairs):
    """Shares in hundredths, by whole numbers."""
    for features in (7, 100, 200, 784, 3072, 150_528):
        for percent in range(101):
            assert attacks.budget(features, percent / 100, pairs) == features * percent // (200 if pairs else 100)
        for changed in range(0, features + 1, 37):
            assert attacks.budget(features, changed / features, pairs) == changed // (2 if pairs else 1)


@pytest.mark.parametrize(("features", "gamma", "pairs", "expected"), [(200, 0.29, True, 58), (100, 0.58, True, 58), (100, 0.29, False, 29)])
def test_an_attack_uses_its_whole_budget(features, gamma, pairs, expected):
    """A target that every feature helps to, and that is too far away."""

    def logits(x):
        return ops.stack([ops.sum(x, axis=-1) - 1e6, -ops.sum(x, axis=-1)], axis=-1)

    x = np.zeros((1, features), "float32")
    found = attacks.jacobian_saliency(logits, x, np.zeros(1, "int32"), gamma=gamma, pairs=pairs)
    assert int(found.changed[0]) == expected and not bool(found.success[0])


def test_pairs_do_at_least_as_well_as_the_peers_two_best_features():
    """The peer takes the two features with the largest derivative of the target alone; the paper weighs pairs by all classes."""
    classifiers = pytest.importorskip("art.estimators.classification")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the peer differentiates by TensorFlow")
    from art.attacks.evasion import SaliencyMapMethod

    model = network()
    peer = classifiers.TensorFlowV2Classifier(model, 4, (11,), keras.losses.SparseCategoricalCrossentropy(True), clip_values=(0.0, 1.0))
    theirs = SaliencyMapMethod(peer, theta=1.0, gamma=0.8, verbose=False).generate(X, np.eye(4)[TARGET])
    ours = attacks.jacobian_saliency(model, X, TARGET, 1.0, 0.8)
    reached = ops.convert_to_numpy(model(theirs)).argmax(1) == TARGET
    success = ops.convert_to_numpy(ours.success)
    assert success.mean() >= reached.mean() and np.any(success)
    both = success & reached
    assert np.sum(ops.convert_to_numpy(ours.samples) != X, 1)[both].mean() <= np.sum(theirs != X, 1)[both].mean() + 1
