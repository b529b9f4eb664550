"""Target-dependent LSTMs on film reviews: what does a text of two opinions say about each of two things?

    python applications/td_lstm/train.py

Two sentences of different film reviews make a text, and each has a target ("the acting", "the plot"), whose class is that of its own
sentence. Networks that read up to the target are compared with one that does not know it, with bags of words, with word vectors from
plain text and without. The preset is the TC-LSTM of the first seed.
"""

import keras
import numpy as np
from rich.progress import track
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from zoo import datasets, evidence, plots, text
from zoo.applications import TDLSTM
from zoo.evidence import Claim

SIZE, LENGTH, EPOCHS, BATCH, RATE = 50, 40, 3, 32, 1e-3
# constructor arguments, and whether word vectors from plain text are loaded
ARMS = {
    "TC-LSTM": ({"variant": "tc-lstm"}, True),
    "TD-LSTM": ({"variant": "td-lstm"}, True),
    "LSTM": ({"variant": "lstm"}, True),
    "TD-LSTM, attention": ({"variant": "td-lstm", "attention": True}, True),
    "TD-LSTM, random vectors": ({"variant": "td-lstm"}, False),
}
DATA = """Sentences of film reviews (Pang, Lee 2005) with mean human valence (Hutto, Gilbert 2014, MIT), joined in pairs: each speaks of
another of 29 things (film, story, cast, ...), and the class of such a target is the sign of its own sentence's valence. About 10,000
targets for training, in three rounds of pairs, and 800 held out, split by sentences and anew for each seed. The texts are made by
joining: no text of one writer weighs two things. Word vectors come from these training sentences and the Brown corpus."""
NOTES = f"""Vectors of {SIZE} numbers and LSTMs of {SIZE} cells, {EPOCHS} epochs of Adam at {RATE}, weights from Keras's own start: with the
paper's gradient descent at 0.01 from U(-0.003, 0.003) no network left chance within six epochs of such data. Two classes in place of
three. Word vectors are singular vectors of the information of near words in 1.3 million words, where the paper has GloVe's from billions.
Rate, epochs and sizes were chosen on training sentences of another split. Means over the seeds, accuracy in percent:"""


def learnt(name, vocabulary, vectors, seed, epochs, train, test):
    """A network after training, and its history."""
    arguments, given = ARMS[name]
    keras.utils.set_random_seed(seed)
    model = TDLSTM(vocabulary, 2, ["negative", "positive"], length=LENGTH, embedding_size=SIZE, units=SIZE, initial_range=None, **arguments)
    if given:
        model.load_word_vectors(*vectors, seed=seed)
    model.compile(keras.optimizers.Adam(RATE))
    held_out = (model.encode(*test[:2]), test[2])
    history = model.fit(model.encode(*train[:2]), train[2], batch_size=BATCH, epochs=epochs, validation_data=held_out, verbose=0).history
    return model, history


def bags(train, test, near=None):
    """Accuracy of logistic regression on words and pairs of words of the text, or also of the `near` words on each side of the target."""

    def parts(texts, targets):
        sides = [text.split_at(*pair) for pair in zip(texts, targets)]
        whole = [texts]
        if near:
            whole += [[" ".join(left.split()[-near:]) for left, _, _ in sides], [" ".join(right.split()[:near]) for _, _, right in sides]]
        return whole

    columns = [[], []]
    for learn, held_out in zip(parts(*train[:2]), parts(*test[:2])):
        weights = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(learn)
        for side, texts in zip(columns, (learn, held_out)):
            side.append(weights.transform(texts))
    x, x_test = (sparse.hstack(side).tocsr() for side in columns)
    return 100 * GridSearchCV(LogisticRegression(max_iter=200), {"C": [1, 10]}, cv=3).fit(x, train[2]).score(x_test, test[2])


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "td_lstm_movies")
    epochs = 1 if args.quick else EPOCHS
    plain = [] if args.quick else [[word.lower() for word in sentence] for document in datasets.brown() for sentence in document.sentences]
    results, histories, shipped = {}, {}, None
    for seed in track(args.seeds, "seeds"):
        train, test = datasets.movie_targets(rounds=1 if args.quick else 3, seed=seed)
        vocabulary = text.learn_vocabulary(train[0], min_count=3)
        lines = plain + text.tokenize(datasets.movie_snippets(seed=seed)[0][0])
        vectors = text.cooccurrence_vectors(lines, vocabulary, SIZE)
        for name in ARMS:
            model, history = learnt(name, vocabulary, vectors, seed, epochs, train, test)
            shipped = shipped or model
            results.setdefault(name, []).append(100 * history["val_accuracy"][-1])
            histories.setdefault(name, []).append((np.arange(1, epochs + 1), 100 * (1 - np.array(history["val_accuracy"]))))
            print(f"seed {seed}, {name}: {results[name][-1]:.1f}", flush=True)
        results.setdefault("bag of words", []).append(bags(train, test))
        results.setdefault("bags near the target", []).append(bags(train, test, near=10))
        print(f"seed {seed}, bags: {results['bag of words'][-1]:.1f}, {results['bags near the target'][-1]:.1f}", flush=True)
    figure = plots.learning_curves([histories], ["held-out targets"], "epochs", "wrong, %", log=[False])
    table = " " + "; ".join(f"{name} {np.mean(values):.1f}" for name, values in results.items()) + "."
    evidence.publish(shipped, args, claims(results, args.seeds), DATA, NOTES + table, figure)


def claims(results, seeds):
    """What the paper says, and what came out."""

    def claim(text, paper, ours, theirs):
        return Claim(text, paper, "held-out targets", "accuracy in percent", True, theirs, results[theirs], results[ours], seeds)

    return [
        claim(
            "An LSTM that reads up to the target from both sides is better than one that reads the text alone", "better", "TD-LSTM", "LSTM"
        ),
        claim("Seeing the target at each word is better still", "better", "TC-LSTM", "TD-LSTM"),
        claim("Word vectors from plain text make it better", "a large part of the gain", "TD-LSTM", "TD-LSTM, random vectors"),
        claim(
            "Attention does not help: the last states are at least as good",
            "attention was tried without success",
            "TD-LSTM",
            "TD-LSTM, attention",
        ),
        claim(
            "TC-LSTM is better than logistic regression on words of the text and near the target",
            "better",
            "TC-LSTM",
            "bags near the target",
        ),
    ]


if __name__ == "__main__":
    main()
