"""Seven ways to learn a softmax over many words, in a fixed time: which is best for 10,000 words, and which for 80,000 words?

    python applications/large_vocabulary_lm/train.py

Sentences of film reviews. All arms have the same network, the same start and the same seconds of processor time; settings of each were
chosen in half of it. What counts is the nats of a held-out word by exact probabilities, over all words and by bands of frequency.
"""

import multiprocessing
import re
import sys
import time
from functools import cache, partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from zoo import datasets, evidence, text
from zoo.applications import LargeVocabularyLM
from zoo.applications.large_vocabulary_lm import STRATEGIES
from zoo.evidence import Choice, Claim
from zoo.layers.word_softmax import log_shares
from zoo.plots.figure import new_figure

# words, and the seconds of an arm: the softmax makes some hundred updates in either
FEW, MANY = "10,000 words", "80,000 words"
SIZES, SECONDS = {FEW: 10000, MANY: 80000}, {FEW: 40, MANY: 60}
LONGEST, HELD_OUT, STEP = 30, 300, 10
# rates that are tried first, see `zoo.evidence.best_rate`
RATES = (0.05, 0.1)
# what is tried beside the default, at the best rate; the softmax, which has no settings, has another rate
OTHER = {
    "softmax": "between",
    "hierarchical": {"classes": "vectors"},
    "differentiated": {"bands": ((0.05, 0.75), (0.95, 0.25))},
    "importance_sampling": {"samples": 300},
    "target_sampling": {"samples": 300},
    "nce": {"samples": 300},
    "infrequent_normalization": {"strength": 0.1},
}
BANDS = {"the 100 most frequent": (0, 100), "the next 900": (100, 1000), "rarer ones": (1000, None)}
UNKNOWN = "unknown ones"
COST_WORDS, COST_TEXTS, COST_STEPS = 800000, 4, 5
DATA = f"""Sentences of at most {LONGEST} words of the Large Movie Review Dataset (Maas et al. 2011): to learn from, training reviews and
those without class; test reviews. {MANY} are nearly all that come twice or more."""
NOTES = f"""The class as it is by default but for the strategy, what was chosen for it, and AdaGrad's rate, in batches of about one length.
Each arm learns for {SECONDS[FEW]} or {SECONDS[MANY]} seconds of processor time on one core, compilation aside; {HELD_OUT} held-out
sentences. Unknown words have a band of their own, and perplexities of two vocabularies cannot be compared, as the smaller one has more of
them. The paper trains for a week, on a billion words at most. The shipped model, which the list of differences is of, is a small one of
2,000 words."""


def sentences(texts):
    """Sentences as lists of words, of 4 words at least; longer ones are cut."""
    found = []
    for words in text.tokenize([line.replace("<br />", " ") for line in texts]):
        ends = [i for i, word in enumerate(words) if word in ".!?"]
        for start, end in zip([-1, *ends], ends):
            if end - start > 3:
                found.append([sys.intern(word) for word in words[start + 1 : end + 1][:LONGEST]])
    return found


def read(quick):
    """Sentences to learn from, to choose by and to test on."""
    (train, _), (test, _), more = datasets.imdb_reviews()
    rng, found = np.random.default_rng(0), {}
    parts = {
        "train": (train[:100] if quick else train + more, None),
        "validation": (test[:2000], HELD_OUT),
        "test": (test[2000:6000], HELD_OUT),
    }
    for name, (texts, count) in parts.items():
        lines = sentences(texts[:100] if quick else texts)
        found[name] = [lines[i] for i in rng.permutation(len(lines))[: 20 if quick and count else count]]
    return found


def encoded(lines, vocabulary):
    """What the model's `encode` gives, in a tenth of the time, as the words are there already."""
    ids, found = {word: i + 2 for i, word in enumerate(vocabulary)}, np.zeros((len(lines), LONGEST), "int32")
    for row, line in zip(found, lines):
        row[: len(line)] = [ids.get(word, text.UNKNOWN) for word in line]
    return found


class Budget(keras.callbacks.Callback):
    """Stops training after so many seconds of processor time, and counts steps and words."""

    def __init__(self, batches, seconds):
        super().__init__()
        self.batches, self.seconds, self.start, self.spent, self.steps, self.words = batches, seconds, None, 0.0, 0, 0

    def on_train_batch_begin(self, batch, logs=None):
        """The clock starts with the first step."""
        self.start = self.start or time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        """Look at the clock; each text has an end beside its words."""
        ids = self.batches[batch][0]
        self.steps, self.words = self.steps + 1, self.words + np.count_nonzero(ids) + len(ids)
        self.spent = time.process_time() - self.start
        self.model.stop_training = self.spent > self.seconds


def warm(model, ids):
    """Compile a step for each length of texts, and forget what was learned."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [ops.convert_to_numpy(variable) for variable in variables]
    lengths, size = -(-np.count_nonzero(ids[:5000], axis=1) // STEP), model.default_batch_size
    rows = np.concatenate([np.flatnonzero(lengths == length)[:size] for length in np.unique(lengths)])
    model.fit(text.LengthBuckets(ids[rows], batch_size=size, step=STEP), epochs=2, verbose=0)
    for variable, value in zip(variables, before):
        variable.assign(value)


def learned(vocabulary, ids, strategy, setting, seed, seconds):
    """A model after so many seconds, and its clock."""
    keras.utils.set_random_seed(seed)
    setting = dict(setting)
    rate = setting.pop("learning_rate")
    model = LargeVocabularyLM(vocabulary, strategy, **setting)
    optimizer = model.default_optimizer()
    optimizer.learning_rate = rate
    model.compile(optimizer=optimizer)
    model.word_softmax.start_from(ids)
    warm(model, ids)
    batches = text.LengthBuckets(ids, batch_size=model.default_batch_size, step=STEP, seed=seed)
    budget = Budget(batches, seconds)
    while not model.stop_training:
        model.fit(batches, callbacks=[budget], shuffle=False, verbose=0)
    return model, budget


def banded(nats, lines, vocabulary):
    """Mean nats of a word, the end included, over all words and by bands; a band without words is left out."""
    ranks, found = {word: i for i, word in enumerate(vocabulary)}, {name: [] for name in (*BANDS, UNKNOWN)}
    for row, line in zip(nats, lines):
        for value, word in zip(row, line):
            rank = ranks.get(word)
            inside = (name for name, (low, high) in BANDS.items() if rank is not None and low <= rank and (high is None or rank < high))
            found[next(inside, UNKNOWN)].append(value)
    means = {name: float(np.mean(values)) for name, values in found.items() if values}
    return {"all": float(np.concatenate(nats).mean()), **means}


def measured(model, lines):
    """`banded` of a model."""
    return banded(model.word_nats([" ".join(line) for line in lines], batch_size=16), lines, model.vocabulary)


def unigram(ids, lines, vocabulary):
    """`banded` of the words' shares in what is learned from."""
    shares = log_shares(ids, len(vocabulary) + 3)
    rows = [np.append(row[row > 0], len(vocabulary) + 2) for row in encoded(lines, vocabulary)]
    return banded([-shares[row] for row in rows], lines, vocabulary)


def vectors(lines, vocabulary):
    """Classes of words from whom they stand beside."""
    found = text.cooccurrence_vectors(lines[:20000], vocabulary[:5000], 32)[1]
    # words that are too rare for a vector have one of noise
    rest = np.random.default_rng(0).normal(size=(len(vocabulary) - len(found), 32)) * found.std()
    return text.vector_classes(np.concatenate([found, rest]))


def chosen_setting(args, title, name, run):
    """The best rate of a strategy, then its other setting at that rate; and how many were tried."""

    def loss(setting, what):
        jobs = {"half of the time": partial(run, name, setting, 1000, SECONDS[title] / 2, "validation")}
        return evidence.finished(args, f"{title}, {name}, {what}", jobs)["half of the time"]["all"]

    if args.quick:
        return {"learning_rate": RATES[0]}, 1
    rate, tried = evidence.best_rate(RATES, lambda rate: loss({"learning_rate": rate}, f"rate {rate:g}"))
    setting = {"learning_rate": rate}
    other = {"learning_rate": rate * 2**0.5} if OTHER[name] == "between" else {**setting, **OTHER[name]}
    return (other if loss(other, "other setting") < tried[rate] else setting), len(tried) + 1


def compared(args, data):
    """For each size of the vocabulary, by strategy: what was measured, what was chosen; and how many settings were tried in all."""
    found, chosen, tries = {}, {}, {}
    for title, size in list(SIZES.items())[: 1 if args.quick else None]:
        vocabulary = text.learn_vocabulary(data["train"], 500 if args.quick else size, min_count=2)
        assert args.quick or len(vocabulary) == size, len(vocabulary)
        ids = encoded(data["train"], vocabulary)
        groups = cache(partial(vectors, data["train"], vocabulary))

        def run(name, setting, seed, seconds, part, vocabulary=vocabulary, ids=ids, groups=groups, quick=args.quick):
            setting = {**setting, **({"classes": groups()} if setting.get("classes") == "vectors" else {})}
            model, clock = learned(vocabulary, ids, name, setting, seed, 0.2 if quick else seconds)
            return {**measured(model, data[part]), "words/s": clock.words / clock.spent, "updates": clock.steps}

        found[title], chosen[title] = {}, {}
        for name in STRATEGIES:
            setting, count = chosen_setting(args, title, name, run)
            chosen[title][name], tries[name] = setting, tries.get(name, 0) + count
            jobs = {str(seed): partial(run, name, setting, seed, SECONDS[title], "test") for seed in args.seeds}
            found[title][name] = list(evidence.finished(args, f"{title}, {name}", jobs).values())
        found[title]["unigram"] = [unigram(ids, data["test"], vocabulary)] * len(args.seeds)
    return found, chosen, tries


def cost(strategy, size):
    """Words a second, and the memory of the process in GB, which is to do nothing else."""
    model = LargeVocabularyLM([f"w{i}" for i in range(size)], strategy)
    ids = (np.random.default_rng(0).zipf(1.1, (COST_TEXTS * COST_STEPS, LONGEST)) - 1) % size + 2
    ids = ids.astype("int32")
    model.fit(ids[: 2 * COST_TEXTS], batch_size=COST_TEXTS, verbose=0)
    start = time.process_time()
    model.fit(ids, batch_size=COST_TEXTS, shuffle=False, verbose=0)
    seconds = time.process_time() - start
    # not `resource.getrusage`, which counts what the process that started this one had
    memory = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {"words/s": ids.size / seconds, "memory": int(memory[1]) / 2**20}


def alone(strategy, size):
    """`cost` in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(cost, (strategy, size))


def costs(args):
    """What each strategy costs with very many words, as a table."""
    size = 2000 if args.quick else COST_WORDS
    names = STRATEGIES[:1] if args.quick else STRATEGIES
    rows = evidence.finished(args, f"cost of {size:,} words", {name: partial(alone, name, size) for name in names})
    lines = ["", "", f"| {size:,} words, {COST_TEXTS} texts of {LONGEST} in a batch | words/s | memory of the process |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {row['words/s']:,.0f} | {row['memory']:.1f} GB |" for name, row in rows.items())])


def claims(found, seeds):
    """What the paper says, and what came out; a quick run has one size for both."""
    result = []
    few, many = FEW, list(found)[-1]

    def claim(sentence, paper, where, ours, theirs, band="all"):
        values, baseline = ([row[band] for row in found[where][name]] for name in (ours, theirs))
        words = f"nats of a word, {'all words' if band == 'all' else 'words that are ' + band}, after {SECONDS[where]} s"
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
        claim(f"With {MANY} {ours} is better than the softmax", "tables 2 and 3: the more words, the more", many, ours, "softmax")
    claim(f"With {MANY} the hierarchical softmax is better than sampling", "billionW", many, "hierarchical", "target_sampling")
    rare = "The differentiated softmax is worse than the hierarchical one for rare words"
    if all("rarer ones" in row for row in found[many]["softmax"]):
        claim(rare, "section 5.2: rare words have few features", many, "hierarchical", "differentiated", "rarer ones")
    return result


def summary(found, chosen):
    """All mean figures."""
    lines, bands = [""], ("all", *BANDS, UNKNOWN)
    for title, table in found.items():
        names = ("perplexity", *bands[1:], "updates", "words/s", "settings")
        lines += ["", f"| {title} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for name, rows in table.items():
            values = [f"{np.exp(np.mean([row[band] for row in rows])):,.0f}" if band in rows[0] else "" for band in bands]
            speed = [f"{np.mean([row[key] for row in rows]):,.0f}" if key in rows[0] else "" for key in ("updates", "words/s")]
            lines.append(f"| {name} | " + " | ".join([*values, *speed, told(chosen[title].get(name, {}))]) + " |")
    return "\n".join(lines)


def told(setting):
    """A setting in words."""
    return ", ".join(f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in setting.items())


def figure(found):
    """Perplexity of each strategy, by size of the vocabulary."""
    drawn = new_figure(8, 3.6)
    axes = drawn.subplots(1, len(found), squeeze=False)[0]
    for axis, (title, table) in zip(axes, found.items()):
        means = [np.exp(np.mean([row["all"] for row in rows])) for rows in table.values()]
        axis.barh(range(len(means)), means)
        axis.set_yticks(range(len(means)), [name.replace("_", " ") for name in table], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"perplexity, {title}", fontsize=9)
    drawn.supxlabel("perplexities of two vocabularies cannot be compared", fontsize=8)
    return drawn


def shipped(data, quick):
    """A small model of 2,000 words."""
    keras.utils.set_random_seed(0)
    model = LargeVocabularyLM(text.learn_vocabulary(data["train"], 2000), "hierarchical", embedding_size=32, units=64)
    ids = encoded(data["train"][: 300 if quick else 60000], model.vocabulary)
    assert np.array_equal(ids[:100], model.encode([" ".join(line) for line in data["train"][:100]]))
    model.fit(ids, epochs=1 if quick else 2, verbose=0)
    print("shipped: perplexity", np.exp(measured(model, data["validation"])["all"]), model.complete(["this film is"], seed=0), flush=True)
    return model


def main():
    """Choose settings, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "large_vocabulary_lm_imdb", seeds=3)
    data = read(args.quick)
    found, chosen, tries = compared(args, data)
    words = "; ".join(f"{title}: " + ", ".join(f"{name} {told(setting)}" for name, setting in row.items()) for title, row in chosen.items())
    choice = Choice(f"{HELD_OUT} validation sentences, half of the seconds, another seed", words, tries, evidence.UNTIL_INSIDE)
    notes = NOTES + summary(found, chosen) + costs(args)
    evidence.publish(shipped(data, args.quick), args, claims(found, args.seeds), DATA, notes, figure(found), choices=[choice])


if __name__ == "__main__":
    main()
