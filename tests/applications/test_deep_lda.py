"""What is special to deep LDA: the paper's network, and a classifier that equals scikit-learn's on the same features."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from zoo import datasets
from zoo.applications import DeepLDA

RNG = np.random.default_rng(0)


class Covariance(BaseEstimator):
    """The covariance that scikit-learn should use: divided by n - 1, lambda on the diagonal."""

    def fit(self, x):
        self.covariance_ = np.cov(x.T) + 1e-3 * np.eye(x.shape[1])
        return self


@pytest.fixture(scope="module")
def trained():
    """A small network after a few steps on digits enlarged to 24 x 24, and the digits."""
    (x, y), test = datasets.digits_8x8()
    grow = lambda images: np.repeat(np.repeat(images, 3, 1), 3, 2)  # noqa: E731
    keras.utils.set_random_seed(0)
    model = DeepLDA(input_shape=(24, 24, 1), width=0.125, dropout=0.1)
    data = grow(x[:600]), y[:600]
    test = grow(test[0]), test[1]
    history = model.fit(*data, batch_size=200, epochs=6, validation_data=test, verbose=0)
    return model, data, test, history.history


def test_the_papers_network():
    model = DeepLDA()
    convolutions = [(9, 1, 64), (9, 64, 64), (9, 64, 96), (9, 96, 96), (9, 96, 256), (1, 256, 256), (1, 256, 10)]
    assert model.count_params() == sum(k * i * o + 4 * o for k, i, o in convolutions) + 10 * 9 + 9 + 100 + 10
    assert model.network.get_layer("last_relu").output.shape[1:] == (4, 4, 10)
    kinds = [type(layer).__name__ for layer in DeepLDA(architecture="cifar", width=0.05).network.layers]
    assert [kinds.count(k) for k in ("Conv2D", "BatchNormalization", "MaxPooling2D", "Dropout")] == [11, 11, 3, 5]
    optimizer = model.optimizer
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True) and np.isclose(float(optimizer.learning_rate), 0.1)
    assert len(model.network.losses) == 3 * len(convolutions)  # weight decay on all trainable parameters


def test_classifier_is_scikit_learns(trained):
    """With equal priors, and on classes of unequal size."""
    model, (x, y), (held_out, _), _ = trained
    features = model.predict(x, verbose=0)["features"].astype("float64")
    oracle = LinearDiscriminantAnalysis("eigen", priors=np.full(10, 0.1), covariance_estimator=Covariance()).fit(features, y)
    found = model.predict(held_out, verbose=0)
    unseen = found["features"]
    np.testing.assert_allclose(found["probabilities"], oracle.predict_proba(unseen), atol=1e-3)
    assert np.mean(model.classify(held_out) == oracle.predict(unseen)) > 0.995
    components, theirs = model.transform(held_out), oracle.transform(unseen)
    signs = np.sign(np.sum(components * theirs, axis=0))
    np.testing.assert_allclose(components, signs * theirs, atol=5e-3 * np.abs(theirs).max())
    ratio = ops.convert_to_numpy(model.eigenvalues)
    expected = oracle.explained_variance_ratio_
    np.testing.assert_allclose(ratio / ratio[0], expected / expected[0], atol=1e-3)


def test_metrics_are_those_of_the_fitted_classifier(trained):
    model, (x, y), (held_out, labels), history = trained
    accuracy = np.mean(model.classify(held_out) == labels)
    assert np.isclose(model.evaluate(held_out, labels, batch_size=500, verbose=0)[1], accuracy)
    assert np.isclose(history["val_accuracy"][-1], accuracy)
    assert accuracy > 0.6 and history["accuracy"][-1] > history["accuracy"][0]


def test_verbs_do_not_depend_on_the_pieces(trained):
    model, (x, _), _, _ = trained
    np.testing.assert_allclose(model.transform(x[:7], batch_size=3), model.transform(x[:7]), atol=1e-4)
    assert model.transform(x[:1]).shape == (1, 9) and model.classify(x[:5]).dtype == "int32"
    for verb in (model.transform, model.classify):
        with pytest.raises(ValueError, match="image"):
            verb(x[0])


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DeepLDA(**{"num_classes": 3, "input_shape": (18, 18, 1), "width": 0.05, **arguments})


def test_fit_lda_from_arrays_batches_and_datasets():
    x, y = RNG.normal(size=(40, 18, 18, 1)).astype("float32"), RNG.integers(0, 3, 40).astype("int32")

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return x[10 * i : 10 * i + 10], y[10 * i : 10 * i + 10]

    model, results = small(), []
    endless = itertools.cycle((x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10))
    for arguments in ((x, y), (Batches(),), (endless, None, 4), (x, y, None, 7)):
        model.coefficients.assign(ops.zeros_like(model.coefficients))
        model.fit_lda(*arguments)
        results.append(ops.convert_to_numpy(model.coefficients))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-3, atol=1e-3)
    assert np.abs(results[0]).max() > 0
    with pytest.raises(ValueError, match="two classes"):
        model.fit_lda(x, np.zeros(40, "int32"))
    with pytest.raises(ValueError, match="label"):
        model.fit_lda(x, y + 3)


def test_what_fit_gives_to_the_classifier_and_to_the_optimizer():
    """Not the part that Keras holds out; before each validation and at the end; the rate is halved every ten epochs."""
    x, y = RNG.normal(size=(40, 18, 18, 1)).astype("float32"), RNG.integers(0, 3, 40).astype("int32")
    model, seen = small(), []
    model.compile(optimizer=keras.optimizers.SGD(1e-4))
    model.fit_lda = lambda *data: seen.append(data)
    model.fit(x, y, batch_size=30, epochs=21, validation_split=0.25, verbose=0)
    assert len(seen) == 22 and all(steps is None for _, _, steps in seen)
    for images, labels, _ in seen:
        np.testing.assert_array_equal(images, x[:30])
        np.testing.assert_array_equal(labels, y[:30])
    assert np.isclose(float(model.optimizer.learning_rate), 1e-4 / 4)
    with pytest.warns(UserWarning, match="fit_lda"):
        model.fit((pair for pair in [(x[:30], y[:30])]), steps_per_epoch=1, verbose=0)
    assert len(seen) == 22
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.fit(x[:30], y[:30], epochs=11, initial_epoch=10, verbose=0)  # a schedule of its own stays
    assert len(seen) == 23


def test_absent_class_is_never_chosen():
    x, y = RNG.normal(size=(40, 18, 18, 1)).astype("float32"), RNG.integers(0, 2, 40).astype("int32")
    model = small()
    model.fit_lda(x, 2 * y)
    assert set(model.classify(x)) == {0, 2}


def test_another_loss_learns_from_the_features():
    """Cross-entropy of the features as logits, the paper's baseline."""
    x, y = RNG.normal(size=(20, 18, 18, 1)).astype("float32"), RNG.integers(0, 3, 20).astype("int32")
    model = small()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    features = model.predict(x, verbose=0)["features"]
    probabilities = np.exp(features) / np.exp(features).sum(-1, keepdims=True)
    crossentropy = -np.log(probabilities[np.arange(20), y]).mean()
    decay = sum(float(loss) for loss in model.network.losses)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0)[0], crossentropy + decay, rtol=1e-4)


def test_refusals():
    for arguments, name in (
        ({"architecture": "stl"}, "architecture"),
        ({"num_classes": 1}, "num_classes"),
        ({"width": 0}, "width"),
        ({"dropout": 1.0}, "dropout"),
        ({"regularization": 0}, "regularization"),
        ({"epsilon": -1}, "epsilon"),
        ({"input_shape": (17, 28, 1)}, "input_shape"),
        ({"input_shape": (28, 28)}, "input_shape"),
    ):
        with pytest.raises(ValueError, match=name):
            DeepLDA(**arguments)
    for architecture, side in (("mnist", 18), ("cifar", 24)):
        DeepLDA(architecture=architecture, input_shape=(side, side, 1), width=0.02)


def test_a_share_for_validation_is_not_seen_by_the_classifier(trained, monkeypatch):
    model, (x, y), *_ = trained
    seen, weights = [], model.get_weights()
    monkeypatch.setattr(DeepLDA, "fit_lda", lambda self, x, *rest, **others: seen.append(len(x)))
    model.fit(x, y, 300, 1, 0, None, 0.5)
    model.fit(x, y, batch_size=300, verbose=0, validation_split=0.25)
    model.set_weights(weights)
    # before validation and after training
    assert seen == [300, 300, 450, 450]
