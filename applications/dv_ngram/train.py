"""DV-ngram on the Brown corpus: do document vectors that predict n-grams tell genres better than ones that predict words alone?

    python applications/dv_ngram/train.py

Every second document is cut into passages of about 200 words. As in the paper, vectors are trained on all passages without their genres,
and a logistic regression on the vectors of two thirds of the documents is tested on the passages of the others; here also on passages of
further documents, whose vectors are inferred. Its penalty is chosen on training documents that are set aside.
"""

import keras
import numpy as np
from keras import ops
from rich.progress import track
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import normalize

from zoo import datasets, evidence, plots
from zoo.applications import DVNgram
from zoo.evidence import Claim

SETTINGS = {"dim": 100, "length": 768, "sample": 1e-3, "steps": 5}
ARMS = {"n-grams": 3, "words": 1}
PENALTIES = (1, 10, 100)


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "dv_ngram_brown")
    corpus = datasets.brown()
    (passages, owners, genres), new = (datasets.brown_passages(corpus[i :: 20 if args.quick else 2 + 4 * i]) for i in (0, 1))
    genres, new_genres = datasets.BROWN_GROUPS[genres], datasets.BROWN_GROUPS[new[2]]
    epochs = 2 if args.quick else 10
    results, shipped = {}, None
    for seed in track(args.seeds, "Training"):
        keras.utils.set_random_seed(seed)
        train, test = next(GroupShuffleSplit(1, test_size=1 / 3, random_state=seed).split(passages, groups=owners))
        for arm, ngrams in ARMS.items():
            model = DVNgram.from_texts(passages, min_count=5, ngrams=ngrams, **SETTINGS)
            model.compile(steps_per_execution=8)
            model.fit(passages, epochs=epochs, verbose=0)
            vectors = normalize(ops.convert_to_numpy(model.documents))
            found = classify(vectors, genres, owners, train, [(vectors[test], genres[test]), (normalize(model.infer(new[0])), new_genres)])
            results.setdefault(arm, []).append(found)
            shipped = shipped or model
            # bags of the same tokens
            bags = [model.bags(lines) for lines in (passages, new[0])]
            tf_idf = TfidfTransformer(sublinear_tf=True).fit(bags[0][train])
            bags = [tf_idf.transform(bag) for bag in bags]
            found = classify(bags[0], genres, owners, train, [(bags[0][test], genres[test]), (bags[1], new_genres)])
            results.setdefault(f"bag of {arm}", []).append(found)
        print(f"seed {seed}: " + ", ".join(f"{arm} {found[-1][0]:.3f}, {found[-1][1]:.3f}" for arm, found in results.items()))
    evidence.publish(
        smaller(shipped, 9000),
        args,
        claims(results, args.seeds),
        data="The Brown corpus (Francis and Kucera 1964; redistribution permitted): every second document, in passages of about 200 words.",
        notes=(
            f"{len(passages)} passages of {len(np.unique(owners))} documents in four groups of genres (press, general prose, learned, "
            f"fiction), and {len(new[0])} of others; {epochs} epochs, "
            f"{SETTINGS['dim']} dimensions, tokens that occur five times or more. The bags have the same tokens, weighted by tf-idf. "
            "The preset keeps the 9000 most frequent tokens. "
            "The paper classifies the sentiment of film reviews (IMDB), where the order of words matters more than for genres."
        ),
        figure=figure(results),
    )


def smaller(model, size):
    """The model with its most frequent tokens alone, to be shipped."""
    config = {**model.get_config(), "vocabulary": model.vocabulary[:size], "counts": model.counts[:size]}
    copy = DVNgram.from_config(config)
    copy.documents.assign(model.documents)
    copy.predict_words.table.assign(model.predict_words.table[:size])
    return copy


def classify(vectors, genres, owners, train, tests):
    """Accuracies of a logistic regression on several test sets; the penalty is chosen on documents of the training set."""
    fit, held_out = next(GroupShuffleSplit(1, test_size=0.25, random_state=0).split(train, groups=owners[train]))
    fit, held_out = train[fit], train[held_out]

    def probe(penalty, rows):
        return LogisticRegression(C=penalty, max_iter=300).fit(vectors[rows], genres[rows])

    best = max(PENALTIES, key=lambda penalty: probe(penalty, fit).score(vectors[held_out], genres[held_out]))
    final = probe(best, train)
    return [final.score(x, y) for x, y in tests]


def claims(results, seeds):
    """N-grams against words, and against the bag of n-grams, for trained and for inferred vectors."""
    sets = ("Brown passages of documents without label", "Brown passages of documents not trained on, inferred")
    pairs = (
        ("words", "document vectors that predict words alone (PV-DBOW)", "better accuracy on IMDB"),
        ("bag of n-grams", "a logistic regression on the bag of n-grams", "better accuracy on IMDB"),
    )
    return [
        Claim(
            f"Vectors that predict n-grams tell genres better than {title}",
            paper,
            name,
            "accuracy",
            True,
            title,
            [found[column] for found in results[method]],
            [found[column] for found in results["n-grams"]],
            seeds,
        )
        for column, name in enumerate(sets)
        for method, title, paper in pairs
    ]


def figure(results):
    """Accuracies of the four methods, seed by seed, on both sets."""
    panels = [{arm: [(np.arange(len(found)), [pair[column] for pair in found])] for arm, found in results.items()} for column in (0, 1)]
    return plots.learning_curves(panels, ["trained, unlabelled documents", "inferred, new documents"], "seed", "accuracy")


if __name__ == "__main__":
    main()
