"""Paragraph vectors of passages from the Brown corpus: are passages that belong together nearer to each other than to others?

    python applications/paragraph_vectors/train.py

Every eighth document is cut into passages of about 200 words, each with a vector of its own. Triplets, as in the paper: an anchor, a
passage that belongs to it, and one that does not; by document, or by genre and then from another document. They are counted on the training
passages, as the paper does, and on passages of other documents, whose vectors are inferred.
"""

import keras
import numpy as np
from keras import ops
from rich.progress import track
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.manifold import TSNE

from zoo import datasets, evidence, metrics, plots
from zoo.applications import ParagraphVectors
from zoo.evidence import Claim

SETTINGS = {"dim": 100, "window": 5, "length": 256, "steps": 5}
ARMS = {"with words": True, "alone": False}
SETS = {"known": "Brown passages of the training set", "held out": "Brown passages of held-out documents, inferred"}
KINDS = ("document", "genre")
SHOWN = ("government", "religion", "romance", "hobbies", "learned")


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "paragraph_vectors_brown")
    corpus = datasets.brown()
    known, held_out = (datasets.brown_passages(corpus[i :: 40 if args.quick else 8]) for i in (0, 4))
    epochs = 2 if args.quick else 12
    # (set, method) -> accuracies, one a seed
    results, models = {}, {}
    for seed in track(args.seeds, "Training"):
        keras.utils.set_random_seed(seed)

        def count(method, *vectors, seed=seed):
            for name, table in zip(SETS, vectors):
                for kind in KINDS:
                    rows = triplets(*(known, held_out)[name == "held out"][1:], kind, seed)
                    results.setdefault((name, kind, method), []).append(metrics.triplet_accuracy(*(table[r] for r in rows)))

        for arm, words in ARMS.items():
            model = ParagraphVectors.from_texts(known[0], min_count=5, train_words=words, **SETTINGS)
            model.compile(steps_per_execution=8)
            model.fit(known[0], epochs=epochs, batch_size=64, verbose=0)
            count(arm, ops.convert_to_numpy(model.documents), model.infer(held_out[0]))
            models[arm, seed] = model
        count("mean", *(word_means(models["with words", seed], passages[0]) for passages in (known, held_out)))
        bags = [model.bags(passages[0]) for passages in (known, held_out)]
        tf_idf = TfidfTransformer(sublinear_tf=True).fit(bags[0])
        count("tf-idf", *(tf_idf.transform(bag) for bag in bags))
        lda = LatentDirichletAllocation(SETTINGS["dim"], max_iter=2 if args.quick else 20, random_state=seed).fit(bags[0])
        topics = [lda.transform(bag) for bag in bags]
        count("LDA", *topics)
        print(
            f"seed {seed}: " + ", ".join(f"{method} ({name}, {kind}) {values[-1]:.3f}" for (name, kind, method), values in results.items())
        )
    evidence.publish(
        models["with words", 0],
        args,
        claims(results, args.seeds),
        data=(
            "The Brown corpus (Francis and Kucera 1964; redistribution permitted): every eighth document in passages of about 200 words "
            "for training; every eighth from the fifth on is held out."
        ),
        notes=(
            f"{len(known[0])} training passages, {len(held_out[0])} held out, {len(model.vocabulary)} words that occur five times or more. "
            f"PV-DBOW with a hierarchical softmax, {SETTINGS['dim']} dimensions, {epochs} epochs, the learning rate falling from 0.025 to "
            "0.0001. LDA has as many topics; the mean is over the word vectors of the same model; tf-idf has one dimension for each word. "
            "Inference takes five passes, chosen on training passages: more tell documents apart less well. "
            "The paper measures on Wikipedia and arXiv, with many more documents. The triplets differ from seed to seed."
        ),
        figure=figure(models["with words", 0], known, topics[0]),
    )


def triplets(owners, genres, kind, seed, n=400_000):
    """Passages (anchor, one that belongs to it, one that does not), three arrays: by document, or by genre and of another document."""
    anchor, near, far = np.random.default_rng(seed).integers(0, len(owners), (3, n))
    if kind == "document":
        chosen = (owners[near] == owners[anchor]) & (near != anchor) & (owners[far] != owners[anchor])
    else:
        chosen = (genres[near] == genres[anchor]) & (owners[near] != owners[anchor]) & (genres[far] != genres[anchor])
    return anchor[chosen][:20000], near[chosen][:20000], far[chosen][:20000]


def word_means(model, passages):
    """The mean vector of each passage's words."""
    bags = model.bags(passages)
    return bags @ ops.convert_to_numpy(model.words) / np.maximum(np.asarray(bags.sum(axis=1)).reshape(-1, 1), 1)


def claims(results, seeds):
    """Against each baseline and against vectors of documents alone, on both sets, by document and by genre."""
    baselines = {
        "mean": ("the mean of word vectors", "lower than paragraph vectors"),
        "tf-idf": ("a bag of words (tf-idf)", "does well on Wikipedia and not on arXiv"),
        "LDA": ("LDA of as many dimensions", "93 % against 82 % on hand-built Wikipedia triplets; 85 % each on arXiv (from a review)"),
        "alone": ("PV-DBOW without vectors of words", "training words as well seems to improve the vectors"),
    }
    return [
        Claim(
            f"Passages of one {kind} are told from others better than by {title}",
            paper,
            SETS[name],
            "triplet accuracy",
            True,
            title,
            results[name, kind, method],
            results[name, kind, "with words"],
            seeds,
        )
        for kind in KINDS
        for name in SETS
        for method, (title, paper) in baselines.items()
    ]


def figure(model, known, topics):
    """Training passages of some genres in the plane (t-SNE of cosines)."""
    chosen = np.flatnonzero(np.isin(known[2], [datasets.BROWN_GENRES.index(genre) for genre in SHOWN]))
    panels = {}
    for title, table in (("paragraph vectors", ops.convert_to_numpy(model.documents)), ("LDA", topics)):
        points = TSNE(metric="cosine", init="random", random_state=0, perplexity=min(30, len(chosen) // 4)).fit_transform(table[chosen])
        panels[title] = (points, known[2][chosen])
    return plots.embedding(panels, dict(enumerate(datasets.BROWN_GENRES)))


if __name__ == "__main__":
    main()
