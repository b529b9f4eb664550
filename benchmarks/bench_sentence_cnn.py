"""The sentence CNN against the same network of Keras's layers as it is usually written: padding takes part in the pooling."""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

from zoo.applications import SentenceCNN

RNG = np.random.default_rng(0)
WORDS, LENGTH, SIZE = [f"w{i}" for i in range(5000)], 40, 50


def peer():
    """Embedding, Conv1D and GlobalMaxPooling1D."""
    ids = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(len(WORDS) + 2, SIZE)(ids)
    x = layers.Concatenate()([layers.GlobalMaxPooling1D()(layers.Conv1D(100, size, activation="relu")(x)) for size in (3, 4, 5)])
    output = layers.Dense(2, "softmax", kernel_constraint=keras.constraints.MaxNorm(3.0))(layers.Dropout(0.5)(x))
    model = keras.Model(ids, output)
    model.compile(keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-6), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    """Training, prediction from ids, and from strings."""
    benchmark = Benchmark("sentence_cnn", peer="Keras layers without masks")
    ours, theirs = SentenceCNN(WORDS, length=LENGTH, embedding_size=SIZE), peer()
    n = 1000
    x, y = RNG.integers(1, len(WORDS) + 2, (n, LENGTH)), RNG.integers(0, 2, n)
    x[np.arange(LENGTH) >= RNG.integers(5, LENGTH, n)[:, None]] = 0
    fit = {"batch_size": 50, "verbose": 0}
    benchmark.case("training, 100 maps of each region", lambda: ours.fit(x, y, **fit), lambda: theirs.fit(x, y, **fit), n, "sentences")
    ask = {"batch_size": 250, "verbose": 0}
    benchmark.case("prediction from ids", lambda: ours.predict(x, **ask), lambda: theirs.predict(x, **ask), n, "sentences")
    texts = [" ".join(WORDS[i - 2] for i in row if i > 1) for row in x]
    encode = ours.vectorization
    benchmark.case("prediction from strings", lambda: ours.classify(texts), lambda: theirs.predict(encode(texts), **ask), n, "sentences")
    benchmark.report()


if __name__ == "__main__":
    main()
