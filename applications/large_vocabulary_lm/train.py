"""Seven ways to learn a softmax over many words, in a fixed time: which is best for 10,000 words, and which for 100,000?

    python applications/large_vocabulary_lm/train.py

Sentences of film reviews. All arms have the same network and the same seconds of processor time, compilation aside; settings of each were
chosen in a shorter time. What counts is the nats of a held-out word by exact probabilities, over all words and by bands of frequency.
"""

import time
from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import LargeVocabularyLM
from zoo.evidence import Choice, Claim
from zoo.plots.figure import new_figure

SIZES = {"10,000 words": 10000, "100,000 words": 100000}
SECONDS, CHOOSING, LONGEST, TRAIN, HELD_OUT = 90, 20, 40, 150000, 300
# four settings of each strategy
TRIED = {
    "softmax": [{"learning_rate": rate} for rate in (0.03, 0.1, 0.2, 0.4)],
    "hierarchical": [{"classes": kind, "learning_rate": 0.1} for kind in ("frequency", "random", "vectors", "huffman")],
    "differentiated": [
        {"bands": bands, "learning_rate": rate}
        for bands in (((0.1, 0.6), (0.2, 0.25), (0.7, 0.15)), ((0.05, 0.75), (0.95, 0.25)))
        for rate in (0.1, 0.2)
    ],
    "target_sampling": [{"samples": samples, "learning_rate": rate} for samples in (500, 2000) for rate in (0.1, 0.2)],
    "nce": [{"samples": samples, "learning_rate": rate} for samples in (500, 2000) for rate in (0.03, 0.1)],
    "infrequent_normalization": [
        {"share": share, "strength": strength, "learning_rate": 0.1} for share in (0.02, 0.1) for strength in (0.1, 1.0)
    ],
}
BANDS = {"the 100 most frequent": (0, 100), "the next 900": (100, 1000), "rarer ones": (1000, None)}
DATA = "Sentences of at most 40 words of the Large Movie Review Dataset (Maas et al. 2011): training reviews to learn from, test reviews."
NOTES = f"""The class as it is by default but for the strategy, what was chosen for it, and AdaGrad's rate. Each arm learns for {SECONDS}
seconds of processor time on one core, after a step that compiles; {HELD_OUT} held-out sentences. The paper trains for a week, on a billion
words at most. The shipped model, which the list of differences is of, is a small one of 2,000 words."""


def sentences(texts):
    """Sentences as texts of words, of 4 words at least; longer ones are cut."""
    found = []
    for words in text.tokenize([line.replace("<br />", " ") for line in texts]):
        ends = [i for i, word in enumerate(words) if word in ".!?"]
        for start, end in zip([-1, *ends], ends):
            if end - start > 3:
                found.append(words[start + 1 : end + 1][:LONGEST])
    return found


def read(quick):
    """Sentences to learn from, to choose by and to test on."""
    (train, _), (test, _), more = datasets.imdb_reviews()
    rng, found = np.random.default_rng(0), {}
    for name, texts, count in (
        ("train", train if quick else train + more[:10000], TRAIN),
        ("validation", test[:2000], HELD_OUT),
        ("test", test[2000:6000], HELD_OUT),
    ):
        lines = sentences(texts[:200] if quick else texts)
        found[name] = [lines[i] for i in rng.permutation(len(lines))[:count]]
    return found


class Budget(keras.callbacks.Callback):
    """Stops training after so many seconds of processor time, which begin after the first step."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.start, self.steps = seconds, None, 0

    def on_train_batch_end(self, batch, logs=None):
        """Look at the clock."""
        self.steps += 1
        if self.start is None:
            self.start = time.process_time()
        self.model.stop_training = time.process_time() - self.start > self.seconds


def vectors(data, vocabulary):
    """Classes of words from whom they stand beside."""
    found = text.cooccurrence_vectors(data["train"][:20000], vocabulary[:5000], 32)[1]
    # words that are too rare for a vector have one of noise
    rest = np.random.default_rng(0).normal(size=(len(vocabulary) - len(found), 32)) * found.std()
    return text.vector_classes(np.concatenate([found, rest])).tolist()


def learned(data, vocabulary, ids, strategy, setting, seed, seconds):
    """A model after so many seconds; and the words that it has seen."""
    keras.utils.set_random_seed(seed)
    setting = dict(setting)
    rate = setting.pop("learning_rate")
    if setting.get("classes") == "vectors":
        setting["classes"] = vectors(data, vocabulary)
    model = LargeVocabularyLM(vocabulary, strategy, **setting)
    optimizer = model.default_optimizer()
    optimizer.learning_rate = rate
    model.compile(optimizer=optimizer)
    budget = Budget(seconds)
    # a passing of the data is more than anybody can do in the time, but for the fastest
    while not model.stop_training:
        model.fit(ids, callbacks=[budget], verbose=0)
    return model, budget.steps * model.default_batch_size


def measured(model, lines):
    """Nats of a word, the end included, over all words and by bands; and how often the model was right about each band."""
    nats = model.word_nats([" ".join(line) for line in lines])
    ranks = {word: i for i, word in enumerate(model.vocabulary)}
    by_band = {name: [] for name in BANDS}
    for row, line in zip(nats, lines):
        for value, word in zip(row, line):
            rank = ranks.get(word, len(ranks))
            name = next(name for name, (low, high) in BANDS.items() if rank >= low and (high is None or rank < high))
            by_band[name].append(value)
    return {"all": float(np.concatenate(nats).mean()), **{name: float(np.mean(values)) for name, values in by_band.items()}}


def compared(data, seeds, quick):
    """For each size of the vocabulary: what was chosen, nats by strategy, and words a second."""
    found, chosen, speeds = {}, {}, {}
    for title, size in SIZES.items():
        vocabulary = text.learn_vocabulary(data["train"], 500 if quick else size)
        ids = text.trimmed(LargeVocabularyLM(vocabulary).encode([" ".join(line) for line in data["train"]]))
        learn = partial(learned, data, vocabulary, ids)
        found[title], chosen[title], speeds[title] = {name: [] for name in TRIED}, {}, {}
        for name, tries in TRIED.items():
            scores = [measured(learn(name, setting, 1000, 1 if quick else CHOOSING)[0], data["validation"])["all"] for setting in tries]
            chosen[title][name] = tries[int(np.argmin(scores))]
            print(title, name, [round(score, 3) for score in scores], chosen[title][name], flush=True)
        for seed in track(seeds, title):
            for name, setting in chosen[title].items():
                model, texts = learn(name, setting, seed, 1 if quick else SECONDS)
                found[title][name].append(measured(model, data["test"]))
                speeds[title][name] = texts * np.count_nonzero(ids) / len(ids) / (1 if quick else SECONDS)
                print(f"{title}, seed {seed}, {name}: {found[title][name][-1]}, {speeds[title][name]:,.0f} words/s", flush=True)
    return found, chosen, speeds


def claims(found, seeds):
    """What the paper says, and what came out."""
    result = []
    few, many = SIZES

    def claim(sentence, paper, where, ours, theirs, band="all"):
        values, baseline = ([row[band] for row in found[where][name]] for name in (ours, theirs))
        words = f"nats of a word, {'all words' if band == 'all' else 'words that are ' + band}, after {SECONDS} s"
        data = f"{HELD_OUT} held-out sentences, {where}"
        result.append(Claim(sentence, paper, data, words, False, theirs, baseline, values, seeds, matters=0.02))

    for other in ("hierarchical", "target_sampling", "nce", "infrequent_normalization"):
        claim(f"With 10,000 words the softmax is better than {other}", "table 2, Penn Treebank", few, "softmax", other)
    claim(
        "With 10,000 words the differentiated softmax is better than the softmax",
        "table 2, Penn Treebank",
        few,
        "differentiated",
        "softmax",
    )
    for ours in ("hierarchical", "differentiated", "target_sampling", "nce", "infrequent_normalization"):
        claim(f"With 100,000 words {ours} is better than the softmax", "tables 2 and 3: the more words, the more", many, ours, "softmax")
    claim("With 100,000 words the hierarchical softmax is better than sampling", "billionW", many, "hierarchical", "target_sampling")
    rare = "The differentiated softmax is worse than the hierarchical one for rare words"
    claim(rare, "section 5.2: rare words have few features", many, "hierarchical", "differentiated", "rarer ones")
    return result


def summary(found, chosen, speeds):
    """All mean figures."""
    lines = [""]
    for title, table in found.items():
        lines += [
            "",
            f"| {title} | " + " | ".join(("perplexity", *BANDS, "words/s", "settings")) + " |",
            "|---|" + "---|" * (len(BANDS) + 3),
        ]
        for name, rows in table.items():
            values = [np.exp(np.mean([row[band] for row in rows])) for band in ("all", *BANDS)]
            setting = ", ".join(f"{key} {value}" for key, value in chosen[title][name].items())
            lines.append(f"| {name} | " + " | ".join(f"{value:.0f}" for value in values) + f" | {speeds[title][name]:,.0f} | {setting} |")
    return "\n".join(lines)


def figure(found):
    """Perplexity of each strategy, by size of the vocabulary."""
    drawn = new_figure(8, 3.6)
    axes = drawn.subplots(1, len(found))
    for axis, (title, table) in zip(axes, found.items()):
        means = [np.exp(np.mean([row["all"] for row in rows])) for rows in table.values()]
        axis.barh(range(len(means)), means)
        axis.set_yticks(range(len(means)), [name.replace("_", " ") for name in table], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"perplexity, {title}", fontsize=9)
    return drawn


def shipped(data, quick):
    """A small model of 2,000 words."""
    keras.utils.set_random_seed(0)
    model = LargeVocabularyLM(text.learn_vocabulary(data["train"], 2000), "hierarchical", embedding_size=32, units=64, length=LONGEST)
    model.fit(model.encode([" ".join(line) for line in data["train"][: 300 if quick else 60000]]), epochs=1 if quick else 2, verbose=0)
    print("shipped: perplexity", np.exp(measured(model, data["validation"])["all"]), model.complete(["this film is"], seed=0), flush=True)
    return model


def main():
    """Choose settings, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "large_vocabulary_lm_imdb")
    data = read(args.quick)
    found, chosen, speeds = compared(data, args.seeds, args.quick)
    words = "; ".join(f"{title}: {settings}" for title, settings in chosen.items())
    choice = Choice(
        f"{HELD_OUT} validation sentences, {CHOOSING} s, another seed", words, {name: len(tries) for name, tries in TRIED.items()}
    )
    evidence.publish(
        shipped(data, args.quick),
        args,
        claims(found, args.seeds),
        DATA,
        NOTES + summary(found, chosen, speeds),
        figure(found),
        choices=[choice],
    )


if __name__ == "__main__":
    main()
