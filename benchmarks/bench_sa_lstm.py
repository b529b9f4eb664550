"""SA-LSTM against the same classifier of Keras's own layers: embedding with a mask, LSTM, dense layers."""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

from zoo.applications import SALSTM

WORDS, LENGTH, BATCH, TEXTS = 5000, 40, 64, 640


def main():
    """Time training and prediction."""
    rng = np.random.default_rng(0)
    ids = rng.integers(2, WORDS + 2, (TEXTS, LENGTH)).astype("int32")
    # texts have 5 to 40 words
    ids[np.arange(LENGTH) >= rng.integers(5, LENGTH + 1, (TEXTS, 1))] = 0
    labels = rng.integers(0, 2, TEXTS).astype("int32")
    ours = SALSTM([f"w{i}" for i in range(WORDS)], length=LENGTH, embedding_size=64, units=96, hidden=48, cell_clip=None)
    peer = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(WORDS + 3, 64, mask_zero=True),
            layers.LSTM(96),
            layers.Dense(48, "relu"),
            layers.Dropout(0.5),
            layers.Dense(2, "softmax"),
        ]
    )
    peer.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    benchmark = Benchmark("sa_lstm", peer=f"Keras {keras.__version__} layers")

    def train(model):
        return lambda: model.fit(ids, labels, batch_size=BATCH, verbose=0)

    def predict(model):
        return lambda: model.predict(ids, batch_size=BATCH, verbose=0)

    benchmark.case("training, 40 words, 96 cells", train(ours), train(peer), work=TEXTS, unit="texts")
    benchmark.case("prediction, 40 words, 96 cells", predict(ours), predict(peer), work=TEXTS, unit="texts")
    benchmark.report()


if __name__ == "__main__":
    main()
