"""Paragraph vectors against gensim's Doc2Vec: words per second, and quality after as many epochs, on passages of the Brown corpus.

Both use all cores, the same vocabulary, sub-sampling and learning rates; a whole `fit` of two epochs is timed. `quality` in the results is
the triplet accuracy after ten epochs: passages of one document against passages of another. The last case is no peer: it holds a step of a
million words against one with ten thousand, which should cost the same.
"""

import os

import gensim
import keras
import numpy as np
from gensim.models.doc2vec import Doc2Vec, TaggedDocument
from harness import Benchmark
from keras import ops

from zoo import datasets, metrics, text
from zoo.applications import ParagraphVectors

DIM, WINDOW, EPOCHS, MINIMUM, QUALITY_EPOCHS = 100, 5, 2, 5, 10
NEGATIVE = {"prediction": "negative_sampling"}
# title -> arguments of zoo, of gensim, runs of a batch
CASES = {
    "PV-DBOW, negative sampling, shared draws": ({"train_words": False, "shared_negatives": 256, **NEGATIVE}, {"dm": 0}, 256),
    "PV-DBOW, negative sampling": ({"train_words": False, **NEGATIVE}, {"dm": 0}, 256),
    "PV-DBOW, hierarchical softmax": ({"train_words": False}, {"dm": 0, "hs": 1, "negative": 0}, 256),
    "PV-DBOW with words, negative sampling": (NEGATIVE, {"dm": 0, "dbow_words": 1}, 64),
    "PV-DM, mean, negative sampling, shared draws": ({"form": "dm", "shared_negatives": 64, **NEGATIVE}, {"dm": 1}, 256),
}


def main():
    """Quality once, then speed in turns."""
    passages, owners, _ = datasets.brown_passages(datasets.brown()[::2])
    documents = [TaggedDocument(words, [i]) for i, words in enumerate(passages)]
    words = sum(map(len, passages))
    rng = np.random.default_rng(0)
    anchor, near, far = rng.integers(0, len(owners), (3, 400_000))
    chosen = (owners[anchor] == owners[near]) & (anchor != near) & (owners[far] != owners[anchor])

    def quality(vectors):
        return metrics.triplet_accuracy(*(vectors[index[chosen]] for index in (anchor, near, far)))

    benchmark = Benchmark("paragraph_vectors", peer=f"gensim {gensim.__version__}")
    for title, (arguments, options, batch_size) in CASES.items():
        keras.utils.set_random_seed(0)
        ours = ParagraphVectors.from_texts(passages, min_count=MINIMUM, dim=DIM, window=WINDOW, steps=5, **arguments)
        ours.compile(steps_per_execution=8)
        chunks = ours.chunks(passages, batch_size)
        peer = Doc2Vec(vector_size=DIM, window=WINDOW, min_count=MINIMUM, workers=os.cpu_count(), seed=0, **options)
        peer.build_vocab(documents)

        def train(epochs=EPOCHS, ours=ours, chunks=chunks):
            ours.fit(chunks, epochs=epochs, verbose=0)

        def train_peer(epochs=EPOCHS, peer=peer):
            peer.train(documents, total_examples=len(documents), epochs=epochs)

        train(QUALITY_EPOCHS), train_peer(QUALITY_EPOCHS)
        found = {"ours": quality(ops.convert_to_numpy(ours.documents)), "peer": quality(peer.dv.vectors)}
        print(f"{title}: triplet accuracy {found['ours']:.3f}, {found['peer']:.3f}")
        benchmark.case(title, train, train_peer, EPOCHS * words, "words", repeats=3)
        benchmark.cases[-1]["quality"] = found
    long, short = (step(size) for size in (1_000_000, 10_000))
    benchmark.case(
        "a step of 4096 words: 1,000,000 words in the vocabulary (zoo) against 10,000 (peer)", long, short, 20, "steps", repeats=3
    )
    benchmark.report()


def step(size):
    """Twenty training steps with a vocabulary and a collection of `size`."""
    rng = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(size)]
    counts = (1 + size / np.arange(1, size + 1)).astype(int).tolist()
    model = ParagraphVectors(vocabulary, counts, size, dim=DIM, train_words=False, shared_negatives=256, **NEGATIVE)
    model.compile(steps_per_execution=4)
    ids = np.minimum(rng.zipf(1.2, 20 * 4096), size) + 1
    chunks = text.Chunks(np.maximum(ids, 2), np.full(20 * 4096 // 256, 256), model.run, batch_size=256)
    return lambda: model.fit(chunks, verbose=0)


if __name__ == "__main__":
    main()
