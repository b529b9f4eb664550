"""Adversarial evaluation of generated text (Bowman et al. 2015, arXiv 1511.06349, section 4.2)."""

import keras
import numpy as np

CLASSIFIERS = ("unigram", "lstm")


def adversarial_error(real, fake, classifier="unigram", seed=0, epochs=8, units=32):
    """How far above 1/2 the accuracy lies with which a classifier tells generated texts from real ones; 0 is the best that text can do.

    A random half of the pairs trains the classifier, the other half is told apart.

    Args:
        real: word ids `(texts, length)`, 0 for padding on the right.
        fake: word ids of the same shape; row i is what was made in place of row i of `real`, and shares its side of the split.
        classifier: `"unigram"`: logistic regression on counts of words. `"lstm"`: logistic regression on the last state of an LSTM.
        seed: of the split and of the LSTM.
        epochs: of the LSTM.
        units: of the LSTM and of its word vectors.

    Returns:
        Accuracy minus 1/2, a float; negative where the classifier does worse than guessing.

    Raises:
        ValueError: if the arrays have different shapes or fewer than 4 rows, or the classifier is unknown.
    """
    real, fake = np.asarray(real), np.asarray(fake)
    if real.shape != fake.shape or real.ndim != 2 or len(real) < 4:
        raise ValueError(
            f"`real` and `fake` must be ids (texts, length) of one shape, 4 texts or more. Received: {real.shape}, {fake.shape}"
        )
    if classifier not in CLASSIFIERS:
        raise ValueError(f"`classifier` must be one of {CLASSIFIERS}. Received: {classifier!r}")
    order = np.random.default_rng(seed).permutation(len(real))
    train, test = np.split(order, [len(order) // 2])
    symbols = int(max(real.max(), fake.max())) + 1
    learn = _unigram if classifier == "unigram" else _lstm
    predict = learn(np.concatenate([real[train], fake[train]]), np.repeat([1, 0], len(train)), symbols, seed, epochs, units)
    guesses = predict(np.concatenate([real[test], fake[test]]))
    return float(np.mean(guesses == np.repeat([1, 0], len(test)))) - 0.5


def _unigram(ids, labels, symbols, seed, epochs, units):
    from sklearn.linear_model import LogisticRegression

    def counts(ids):
        table = np.zeros((len(ids), symbols), "float32")
        np.add.at(table, (np.arange(len(ids))[:, None], ids), 1.0)
        return table[:, 1:]

    model = LogisticRegression(max_iter=300).fit(counts(ids), labels)
    return lambda ids: model.predict(counts(ids))


def _lstm(ids, labels, symbols, seed, epochs, units):
    initializers = [keras.initializers.RandomUniform(-0.05, 0.05, seed=seed), *(keras.initializers.GlorotUniform(seed + i) for i in (1, 2))]
    model = keras.Sequential(
        [
            keras.Input((ids.shape[1],), dtype="int32"),
            keras.layers.Embedding(symbols, units, initializers[0], mask_zero=True),
            keras.layers.LSTM(units, kernel_initializer=initializers[1]),
            keras.layers.Dense(1, "sigmoid", kernel_initializer=initializers[2], dtype="float32"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy")
    order = np.random.default_rng(seed).permutation(len(ids))
    model.fit(ids[order], labels[order], batch_size=64, epochs=epochs, shuffle=False, verbose=0)
    return lambda ids: model.predict(ids, batch_size=256, verbose=0)[:, 0] > 0.5
