"""SentenceVAE against the sequence-to-sequence network of Keras's own example (`lstm_seq2seq.py`) as an autoencoder of words, same sizes.

The peer's decoder starts from the state of its encoder, without a code in between, and writes with one `predict` a symbol, as the example
does. Both train with Adam in batches of 64, compiled by Keras's default, and write greedily.
"""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

import zoo

WORDS, LENGTH, SIZE, UNITS, SENTENCES, WRITTEN = 1500, 12, 64, 96, 1280, 64


def peer_models():
    """The network that is trained, its encoder, and the decoder of one step."""
    embedding = layers.Embedding(WORDS + 3, SIZE, mask_zero=True)
    reader = layers.LSTM(UNITS, return_state=True)
    writer = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    logits = layers.Dense(WORDS + 3)
    words, before = keras.Input((LENGTH,), dtype="int32"), keras.Input((LENGTH + 1,), dtype="int32")
    _, *state = reader(embedding(words))
    model = keras.Model([words, before], logits(writer(embedding(before), initial_state=state)[0]))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0))
    symbol, h, c = keras.Input((1,), dtype="int32"), keras.Input((UNITS,)), keras.Input((UNITS,))
    x, *after = writer(embedding(symbol), initial_state=[h, c])
    return model, keras.Model(words, state), keras.Model([symbol, h, c], [logits(x), *after])


def main():
    """Time an epoch of training, and the writing of sentences from their codes."""
    rng = np.random.default_rng(0)
    ids = rng.integers(2, WORDS + 2, (SENTENCES, LENGTH)).astype("int32")
    ids[np.arange(LENGTH) >= rng.integers(4, LENGTH + 1, SENTENCES)[:, None]] = 0
    vocabulary = [f"w{i}" for i in range(WORDS)]
    ours = zoo.applications.SentenceVAE(vocabulary, LENGTH, SIZE, UNITS, latent_dim=16)
    peer, encoder, decoder = peer_models()
    end = WORDS + 2
    before = np.concatenate([np.full((SENTENCES, 1), end, "int32"), ids], axis=1)
    after = np.concatenate([ids, np.zeros((SENTENCES, 1), "int32")], axis=1)
    after[np.arange(SENTENCES), (ids > 0).sum(1)] = end
    texts = [" ".join(vocabulary[i - 2] for i in row if i) for row in ids[:WRITTEN]]

    def write():
        state = encoder.predict(ids[:WRITTEN], verbose=0)
        symbol = np.full((WRITTEN, 1), end, "int32")
        for _ in range(LENGTH + 1):
            logits, *state = decoder.predict([symbol, *state], verbose=0)
            symbol = logits.argmax(-1).astype("int32")

    benchmark = Benchmark("sentence_vae", peer=f"Keras {keras.__version__} example lstm_seq2seq, on words")
    benchmark.case(
        "epoch of training, batches of 64",
        ours=lambda: ours.fit(ids, batch_size=64, verbose=0),
        peer=lambda: peer.fit([ids, before], after, batch_size=64, verbose=0),
        work=SENTENCES,
        unit="sentences",
        repeats=5,
    )
    benchmark.case(
        "sentences written back from their codes",
        ours=lambda: ours.reconstruct(texts),
        peer=write,
        work=WRITTEN,
        unit="sentences",
        repeats=5,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
