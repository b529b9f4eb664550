"""MemN2N against the memory network with an LSTM of Keras's own bAbI example (`babi_memnn.py`), same words, same embedding size.

The peer attends once to single words and reads the result with an LSTM; ours makes three hops over sentences. Both train with SGD in
batches of 32 and answer in batches of 256, compiled by Keras's default.
"""

import keras
from harness import Benchmark
from keras import layers

import zoo
from zoo.datasets import babi

QUESTIONS, SENTENCES, WORDS, SIZE = 1024, 10, 7, 20


def peer_model(vocabulary):
    """The network of the Keras example, on the words of the whole story."""
    story, question = keras.Input((SENTENCES * WORDS,), dtype="int32"), keras.Input((WORDS,), dtype="int32")
    memory = layers.Embedding(vocabulary + 1, SIZE)(story)
    output = layers.Embedding(vocabulary + 1, WORDS)(story)
    query = layers.Embedding(vocabulary + 1, SIZE)(question)
    match = layers.Softmax()(layers.Dot((2, 2))([memory, query]))
    response = layers.Permute((2, 1))(layers.Add()([match, output]))
    state = layers.LSTM(32)(layers.Concatenate()([response, query]))
    model = keras.Model([story, question], layers.Dense(vocabulary + 1, activation="softmax")(state))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    """Time an epoch of training and the answers to all questions."""
    examples = babi.examples(babi.simulate(1, QUESTIONS))
    words = babi.vocabulary(examples)
    x, y = babi.vectorise(examples, words, SENTENCES, WORDS)
    flat = [x["story"].reshape(QUESTIONS, -1), x["question"]]
    ours = zoo.applications.MemN2N(words, embedding_size=SIZE, memory_size=SENTENCES, sentence_length=WORDS)
    peer = peer_model(len(words))

    benchmark = Benchmark("mem_n2n", peer=f"Keras {keras.__version__} example babi_memnn (1 hop, LSTM)")
    benchmark.case(
        "epoch of training, batches of 32",
        ours=lambda: ours.fit(x, y, batch_size=32, verbose=0),
        peer=lambda: peer.fit(flat, y, batch_size=32, verbose=0),
        work=QUESTIONS,
        unit="questions",
    )
    benchmark.case(
        "answers, batches of 256",
        ours=lambda: ours.predict(x, batch_size=256, verbose=0),
        peer=lambda: peer.predict(flat, batch_size=256, verbose=0),
        work=QUESTIONS,
        unit="questions",
    )
    benchmark.report()


if __name__ == "__main__":
    main()
