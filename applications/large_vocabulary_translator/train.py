"""Very large target vocabulary, English to German: what it costs, what it brings against a shortlist and against the full softmax.

    python applications/large_vocabulary_translator/train.py

Cost: processor time of an update and of a written word, and memory, from 10,000 to 800,000 target words, on random texts with Zipf's
frequencies, in a process for each size. Quality: descriptions of pictures of Multi30k, with all words that come twice, against a shortlist
and against the full softmax, after as many updates and after as much processor time. BLEU counts words in lower case.
"""

import resource
import time
from functools import partial
from multiprocessing import get_context

import keras
import numpy as np

from zoo import datasets, evidence, text
from zoo.applications import LargeVocabularyTranslator
from zoo.evidence import Choice, Claim
from zoo.metrics import bleu
from zoo.optimizers import RowAdam
from zoo.plots.figure import new_figure

LONGEST, SUBSET, SHORTLIST, BATCH, EPOCHS = 12, 1500, 1000, 40, 8
# of Adam: those that are tried first for each arm, see `zoo.evidence.best_rate`
RATES = (2e-3, 4e-3)
# arms: partitions made anew before each epoch, and in the order of the corpus
LARGE, IN_ORDER, SHORT, FULL = "large", "large, in order of the corpus", "shortlist", "full"
SIZES = {"embedding_size": 64, "units": 128, "source_length": LONGEST, "target_length": LONGEST}
PARTS = {"train": ("train",), "validation": ("val",), "test": ("test_2016_flickr", "test_2017_flickr")}
# target words, and those of the full softmax, of which the scores of a batch alone would fill gigabytes with the last number
WORDS, FULL_WORDS = (10_000, 100_000, 800_000), (10_000, 100_000)
ROUNDS, UPDATES, SOURCE_WORDS, FEW = 5, 4, 5000, 5000
DATA = f"""Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0), pairs of descriptions of at most {LONGEST} words in both languages."""


# --- cost ---


def cost(task, rounds=ROUNDS):
    """Processor seconds of an update and of a written word, by round, and the largest memory of the process in GB."""
    words, full = task
    rng = np.random.default_rng(0)
    sources, targets = [f"s{i}" for i in range(SOURCE_WORDS)], [f"t{i}" for i in range(words)]
    dictionary = {word: [targets[i] for i in rng.integers(0, words, 10)] for word in sources}
    subset = words + 3 if full else FEW
    model = LargeVocabularyTranslator(sources, targets, dictionary, subset=subset, frequent=FEW, **SIZES)
    shares = 1 / np.arange(1, words + 1)
    target = rng.choice(words, (BATCH * UPDATES, LONGEST), p=shares / shares.sum()) + 2
    source = rng.integers(2, SOURCE_WORDS + 2, (BATCH * UPDATES, LONGEST))
    x = {"source": source.astype("int32"), "target": target.astype("int32")}
    data = {"x": x, "batch_size": BATCH} if full else {"x": text.Partitions(x, FEW, (text.UNKNOWN, model.end), BATCH)}
    # all translations are as long as may be
    lines, bias = [" ".join(f"s{i}" for i in row) for row in source[:32] - 2], np.array(model.word_softmax.bias)
    bias[model.end] = -50.0
    calls = {
        "update": (lambda: model.fit(**data, verbose=0), UPDATES),
        "word": (lambda: model.translate(lines, candidates=not full, replace=False), len(lines) * (LONGEST + 1)),
    }
    found = {name: [] for name in calls}
    for name, (call, number) in calls.items():
        if name == "word":
            model.word_softmax.bias.assign(bias)
        call()
        for _ in range(rounds):
            start = time.process_time()
            call()
            found[name].append((time.process_time() - start) / number)
    return {**found, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "weights": 4e-9 * model.count_params()}


def alone(task, rounds):
    """`cost` in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(cost, (task, rounds))


def costs(args):
    """`cost` by number of target words and whether all of them are in the softmax."""
    tasks = [(size, False) for size in WORDS[: 2 if args.quick else None]] + [
        (size, True) for size in FULL_WORDS[: 0 if args.quick else None]
    ]
    jobs = {str(task): partial(alone, task, 1 if args.quick else ROUNDS) for task in tasks}
    return dict(zip(tasks, evidence.finished(args, "cost", jobs).values()))


# --- quality ---


def pairs(parts):
    """English and German descriptions, as words, of those that are short enough."""
    found = []
    for part in parts:
        english, german = datasets.multi30k(part)
        found += [(e, g) for e, g in zip(text.tokenize(english), text.tokenize(german)) if max(len(e), len(g)) <= LONGEST and e and g]
    return [" ".join(e) for e, _ in found], [" ".join(g) for _, g in found]


def read(quick):
    """Pairs by part, vocabularies of words that come twice, and the dictionary of aligned words, all of the training pairs."""
    data = {name: tuple(side[: 200 if quick else None] for side in pairs(parts)) for name, parts in PARTS.items()}
    words = [text.learn_vocabulary([line.split() for line in side], min_count=2) for side in data["train"]]
    links = text.align(*data["train"], symmetry="intersection")
    return {**data, "words": words, "dictionary": text.learn_dictionary(*data["train"], links, n_best=10)}


class Clock(keras.callbacks.Callback):
    """Stops after so many more updates, or so many processor seconds in all; the first update, which compiles, has no time."""

    def __init__(self, updates=None, seconds=None):
        super().__init__()
        self.updates, self.seconds, self.done, self.spent, self.last = updates, seconds, 0, 0.0, None

    def on_train_batch_end(self, batch, logs=None):
        """Count, and stop where the limit is reached."""
        now = time.process_time()
        if self.last is not None:
            self.spent += now - self.last
        self.last, self.done = now, self.done + 1
        if (self.updates and self.done >= self.updates) or (self.seconds and self.spent >= self.seconds):
            self.model.stop_training = True


class Arm:
    """A translator in training, and what it has cost so far.

    Args:
        data: of `read`.
        kind: `LARGE`, `IN_ORDER`, `SHORT` or `FULL`.
        rate: of Adam.
        seed: of weights and the order of pairs.
        **sizes: of the network.
    """

    def __init__(self, data, kind, rate, seed, **sizes):
        keras.utils.set_random_seed(seed)
        self.data, (english, german) = data, data["words"]
        german = german[: SHORTLIST if kind == SHORT else None]
        in_parts = kind in (LARGE, IN_ORDER)
        sizes = {**SIZES, **sizes, "subset": SUBSET if in_parts else len(german) + 3, "frequent": SHORTLIST}
        self.model = LargeVocabularyTranslator(english, german, data["dictionary"], **sizes)
        self.model.compile(RowAdam(rate, global_clipnorm=1.0))
        if in_parts:
            self.pairs = {"x": self.model.partitions(*data["train"], BATCH, "corpus" if kind == IN_ORDER else "epochs")}
        else:
            self.pairs = {"x": self.model.encode(*data["train"]), "batch_size": BATCH}
        self.updates, self.seconds = 0, 0.0

    def learn(self, updates=None, seconds=None):
        """Go on until so many updates, or processor seconds, of all the training."""
        clock = Clock(updates and updates - self.updates, seconds and seconds - self.seconds)
        if (updates or 0) > self.updates or (seconds or 0) > self.seconds:
            self.model.fit(**self.pairs, epochs=1000, callbacks=[clock], verbose=0)
        self.updates, self.seconds = self.updates + clock.done, self.seconds + clock.spent
        return self

    def score(self, **options):
        """BLEU of test translations."""
        return bleu(self.model.translate(self.data["test"][0], **options), self.data["test"][1], tokenize="none")

    def nats(self):
        """Minus the log-probability of a validation pair."""
        return -float(self.model.log_likelihood(*self.data["validation"], batch_size=BATCH).mean())


def one(data, kind, rate, seed, updates, limit=None):
    """BLEU of an arm by what was done, and the seconds of an update; after as many updates and, where a limit is given, as much time."""
    arm, found = Arm(data, kind, rate, seed), {}

    def note(after, **limits):
        arm.learn(**limits)
        name = kind if kind == LARGE else f"{kind}, {after}"
        found[name] = arm.score()
        if kind in (LARGE, SHORT):
            found[f"{name}, not replaced"] = arm.score(replace=False)

    # the full softmax has spent the time before it has made the updates
    steps = {"as many updates": {"updates": updates}, **({"as much time": {"seconds": limit}} if limit else {})}
    for after, limits in sorted(steps.items(), reverse=kind == FULL):
        note(after, **limits)
        if after == "as many updates":
            update, seconds = arm.seconds / arm.updates, arm.seconds
    if kind == LARGE:
        found["large, all words searched"] = arm.score(candidates=False)
    return {"bleu": found, "update": update, "seconds": seconds}


def measured(args, data, updates):
    """BLEU on test pairs by arm, seconds of an update by kind, and the rates of kinds with how many were tried."""
    found, spent, rates = {}, {}, {}
    for kind in (LARGE, SHORT, FULL):

        def loss(rate, kind=kind):
            jobs = {"half of the updates": lambda: Arm(data, kind, rate, 1000).learn(updates // 2).nats()}
            return evidence.finished(args, f"{kind}, rate {rate:g}", jobs)["half of the updates"]

        rates[kind] = (RATES[0], {RATES[0]: 0}) if args.quick else evidence.best_rate(RATES, loss)
    rates[IN_ORDER] = rates[LARGE]
    limits = {}
    for kind in (LARGE, IN_ORDER, SHORT, FULL):
        jobs = {str(seed): partial(one, data, kind, rates[kind][0], seed, updates, limits.get(seed)) for seed in args.seeds}
        rows = evidence.finished(args, f"{kind}, all updates", jobs)
        if kind == LARGE:
            limits = {seed: rows[str(seed)]["seconds"] for seed in args.seeds}
        spent[kind] = [row["update"] for row in rows.values()]
        found.update({name: [row["bleu"][name] for row in rows.values()] for name in rows["0"]["bleu"]})
    return found, spent, {kind: (rate, len(tried)) for kind, (rate, tried) in rates.items()}


# --- what came out ---


def claims(found, table, seeds):
    """What the paper says, and what came out."""
    few, many = (ends([row for (_, full), row in table.items() if not full]) for ends in (lambda rows: rows[0], lambda rows: rows[-1]))
    result, rounds = [], list(range(len(few["update"])))
    for name, what in (("update", "An update"), ("word", "A written word")):
        result.append(
            Claim(
                f"{what} costs the same with 800,000 target words as with 10,000",
                "sections 3.1 and 3.3: the cost does not depend on the number of target words",
                "random texts",
                f"processor time of {what.lower()}, with 10,000 words 1",
                False,
                "10,000 words",
                [1.0] * len(rounds),
                list(np.array(many[name]) / np.mean(few[name])),
                rounds,
                margin=0.2,
            )
        )
    test = partial(Claim, dataset="test descriptions", metric="BLEU", higher_is_better=True, seeds=seeds)
    table3, plain = "tables 2 and 3: +0.5 to +2", lambda *names: [f"{name}, not replaced" for name in names]
    for sentence, paper, ours, theirs, limits in (
        ("All words are better than a shortlist, after as many updates", table3, *plain("large", "shortlist, as many updates"), {}),
        ("All words are better than a shortlist, after as much time", table3, *plain("large", "shortlist, as much time"), {}),
        ("All words are better than a shortlist where unknown words are replaced", table3, "large", "shortlist, as much time", {}),
        ("Replacing unknown words helps a shortlist", "+2 to +4", "shortlist, as much time", *plain("shortlist, as much time"), {}),
        ("Replacing unknown words helps all words", "+1 to +2", "large", *plain("large"), {}),
        ("Partitions are as good as the full softmax, after as many updates", "3.2", "large", "full, as many updates", {"margin": 0.5}),
        ("Partitions are better than the full softmax, after as much time", "3", "large", "full, as much time", {}),
        (
            "New partitions before each epoch help, after as much time",
            "4.2: up to +0.6",
            "large",
            "large, in order of the corpus, as much time",
            {},
        ),
        ("A search of candidates is as good as one of all words", "4.3", "large", "large, all words searched", {"margin": 0.3}),
    ):
        limits = limits or {"matters": 0.3}
        result.append(test(sentence, paper, baseline=theirs, baseline_values=found[theirs], values=found[ours], **limits))
    return result


def summary(found, spent, table, sizes):
    """All mean figures."""
    lines = ["", "", "| BLEU of test descriptions | |", "|---|---|"]
    lines += [f"| {name} | {np.mean(values):.2f} |" for name, values in found.items()]
    lines += ["", "| target words | softmax | update, ms | word, ms | memory, GB | weights, GB |", "|---|---|---|---|---|---|"]
    for (words, full), row in table.items():
        name, (update, word) = "all words" if full else "partition, candidates", (1000 * np.mean(row[key]) for key in ("update", "word"))
        lines.append(f"| {words:,} | {name} | {update:.0f} | {word:.2f} | {row['memory']:.1f} | {row['weights']:.2f} |")
    seconds = ", ".join(f"{name} {1000 * np.mean(values):.0f} ms" for name, values in spent.items())
    return "\n".join([*lines, "", f"{sizes} Processor time of an update on Multi30k: {seconds}."])


def figure(table):
    """Cost by number of target words."""
    drawn = new_figure(8, 3.4)
    for axis, name, unit in zip(drawn.subplots(1, 3), ("update", "word", "memory"), ("update, ms", "written word, ms", "memory, GB")):
        for full, label in ((False, "partition and candidates"), (True, "full softmax")):
            points = [
                (words, np.mean(row[name]) * (1 if name == "memory" else 1000)) for (words, other), row in table.items() if other == full
            ]
            axis.plot(*zip(*points), marker="o", label=label)
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("target words")
        axis.set_title(unit, fontsize=9)
    drawn.axes[0].legend(fontsize=7)
    return drawn


def main():
    """Measure cost and quality, compare, publish."""
    args = evidence.arguments(__doc__, "large_vocabulary_translator_multi30k", seeds=3)
    table = costs(args)
    data = read(args.quick)
    updates = 4 if args.quick else EPOCHS * -(-len(data["train"][0]) // BATCH)
    found, spent, rates = measured(args, data, updates)
    shipped = Arm(data, LARGE, rates[LARGE][0], 0, embedding_size=32, units=64).learn(updates)
    english, german = (len(words) for words in data["words"])
    sizes = f"""{len(data["train"][0])} pairs of {english} English and {german} German words; {len(data["test"][0])} test pairs; the subset
has {SUBSET} words, the shortlist {SHORTLIST}; {updates} updates of {BATCH} pairs, {len(shipped.pairs["x"].partitions)} partitions."""
    notes = f"""A small network ({SIZES["embedding_size"]} and {SIZES["units"]} numbers) that learns for minutes, by Adam, which learns
faster than AdaDelta in so few updates. "All words" are those that come twice in the training pairs; others are unknown. "As much
time" is the processor time that partitions made anew need for all updates, preparing them included. Cost is measured with subset and
candidates of {FEW} words, in {ROUNDS} rounds of one process a size, which stand for seeds; every translation is as long as may be. The
shipped model, which the list of differences is of, is smaller still."""
    words = ", ".join(f"{kind} {rate:g}" for kind, (rate, _) in rates.items())
    tries = {kind: number for kind, (_, number) in rates.items()}
    choice = Choice("validation pairs, by probability after half of the updates, another seed", words, tries, evidence.UNTIL_INSIDE)
    notes += summary(found, spent, table, sizes)
    evidence.publish(shipped.model, args, claims(found, table, args.seeds), DATA, notes, figure(table), choices=[choice])


if __name__ == "__main__":
    main()
