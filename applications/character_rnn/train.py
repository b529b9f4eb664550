"""Character RNNs that know words, or choose their output by the last character: bits of a character in three languages.

    KERAS_BACKEND=jax python applications/character_rnn/train.py

English and German descriptions of pictures (Multi30k), Turkish sentences (treebanks). Each structure is put around a small network of
characters, as in the paper, and beside it stands a plain network with as many parameters as it has. They are compared after the same
number of updates, and, since they differ in cost, after the same processor time.
"""

import textwrap
import time
from functools import partial

import keras
import numpy as np

from zoo import datasets, evidence, text
from zoo.applications import CharacterRNN
from zoo.evidence import Choice, Claim
from zoo.plots.figure import new_figure

LENGTH, UPDATES, SECONDS = 80, 2000, 20
WORDS, CONTEXTS, HELD_OUT = 1000, 15, 300
# of the network of characters, and of that of words
UNITS = 64
# runs of characters that the model without a network looks at
ORDERS = (4, 5, 6)
# rates of Adam that are tried first for each structure and cell, see `zoo.evidence.best_rate`
RATES = (3e-3, 1e-2)
AS_LARGE = "plain, as large as "
COMPARED = ("plain", "words", AS_LARGE + "words", "context", AS_LARGE + "context")
STRUCTURES = (*COMPARED, "words, own loss", "words, learned before", "both")
# passes of the network of words that learns before the characters do
BEFORE = 3
# what is compared of each language and cell
ARMS = {
    ("English", "lstm"): STRUCTURES,
    ("English", "rnn"): COMPARED,
    ("German", "lstm"): COMPARED,
    ("Turkish", "lstm"): COMPARED,
}
QUICK = {("English", "lstm"): ("plain", "both")}
DATA = "Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0), English and German; sentences of Turkish treebanks (web and wiki, Apache-2.0)."
NOTES = f"""A network of {UNITS} units reads characters, alone or with a structure; "as large as" is a plain one with more units and
as many parameters as a structure has. Texts of more than {LENGTH} characters are cut into several, between words; {HELD_OUT} texts
are held out. Rates are chosen on English. Words are the {WORDS} most frequent, read by {UNITS} units; with context the last character
chooses among matrices of its own for the {CONTEXTS} most frequent characters. "Own loss" adds the cross-entropy of the next word.
"Learned before": the network of words has learned by that loss alone in {BEFORE} passes, whose time is not counted, and stays as it is.
Processor seconds are those of one core, after a step that compiles. The paper reads a million characters and more, on and on, in eight
languages; it compares networks of the same number of units. Parameters count the vectors of all words, of which a step reads
one, and all matrices of the output, of which a place needs one."""


def lines_of(language):
    """Texts in lower case, to learn from, to choose by and to test on."""
    if language == "Turkish":
        lines = [" ".join(sentence.words) for source in ("web", "wiki") for sentence in datasets.turkish_treebank(source)]
        lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]
        parts = {"test": lines[:HELD_OUT], "validation": lines[HELD_OUT : 2 * HELD_OUT], "train": lines[2 * HELD_OUT :]}
    else:
        side = ("English", "German").index(language)
        names = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
        parts = {part: datasets.multi30k(name)[side][: None if part == "train" else HELD_OUT] for part, name in names.items()}
    wrap = partial(textwrap.wrap, width=LENGTH, break_on_hyphens=False, drop_whitespace=True)
    return {part: [piece for line in found for piece in wrap(line.strip().lower())] for part, found in parts.items()}


def structure(name, lines, cell):
    """Constructor's arguments of a structure."""
    if name.startswith(AS_LARGE):
        most, plain = parameters(structure(name.removeprefix(AS_LARGE), lines, cell)), structure("plain", lines, cell)
        return {**plain, "units": max(units for units in range(UNITS, 1000) if parameters({**plain, "units": units}) <= most)}
    alphabet = text.learn_vocabulary([list(line) for line in lines], min_count=5)
    own = {"contexts": list(alphabet[:CONTEXTS])} if name in ("context", "both") else {"context_size": 0}
    if name == "both" or name.startswith("words"):
        known = set(alphabet)
        words = [word for word in text.learn_vocabulary([line.split() for line in lines], 2 * WORDS) if set(word) <= known]
        own.update(vocabulary=words[:WORDS], word_units=UNITS, word_loss=float(name == "words, own loss"))
        own["joint"] = name != "words, learned before"
    return {"alphabet": alphabet, "length": LENGTH, "cell": cell, "units": UNITS, **own}


def parameters(options):
    """Of what predicts characters: without the softmax over words, which only the loss of words needs."""
    units, symbols, gates = options["units"], len(options["alphabet"]) + 3, 4 if options["cell"] == "lstm" else 1
    heard = options["word_units"] if options.get("vocabulary") else 0
    network = 32 * symbols + gates * units * (32 + heard + units + 1)
    matrices = len(options.get("contexts") or ()) + 1
    words = 32 * (len(options["vocabulary"]) + 2) + gates * heard * (32 + heard + 1) if heard else 0
    return network + matrices * symbols * (units + 1) + words


class Clock(keras.callbacks.Callback):
    """Stops training after so many updates, and after so many seconds of processor time, which begin after the first update."""

    def __init__(self, **limits):
        super().__init__()
        self.limits, self.updates, self.seconds, self.last = limits, 0, 0.0, 0.0

    def on_train_begin(self, logs=None):
        """Start the clock."""
        self.last = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        """Read it."""
        now, self.updates = time.process_time(), self.updates + 1
        self.seconds += now - self.last if self.updates > 1 else 0.0
        self.last, self.model.stop_training = now, any(getattr(self, name) >= most for name, most in self.limits.items())

    def passed(self):
        """Names of limits that were reached since this was asked."""
        found = [name for name, most in self.limits.items() if getattr(self, name) >= most]
        self.limits = {name: most for name, most in self.limits.items() if name not in found}
        return found


def learned(data, options, seed, rate, part, quick, timed=True):
    """Bits of held-out characters after the same updates, and after the same time, and the model."""
    keras.utils.set_random_seed(seed)
    model = CharacterRNN(**options)
    model.optimizer.learning_rate = rate
    lines = data["train"][: 64 if quick else None]
    if not options.get("joint", True):
        model.fit_words(lines, epochs=1 if quick else BEFORE, verbose=0)
    # whole batches: those of another size would be compiled anew
    x, found = model.encode(lines[: len(lines) // model.default_batch_size * model.default_batch_size]), {}
    clock = Clock(updates=2 if quick else UPDATES, **({"seconds": 0.1 if quick else SECONDS} if timed else {}))
    while clock.limits:
        model.fit(x, callbacks=[clock], verbose=0)
        for name in clock.passed():
            found[name] = {"bits": model.bits_per_character(data[part]), "after": clock.updates}
    return found, model


def compared(args, languages):
    """Bits by language, cell and structure, as many parameters, and rates by cell and structure."""
    found, sizes, chosen = {}, {}, {}
    for (language, cell), names in (QUICK if args.quick else ARMS).items():
        for name in names:
            data, title = languages[language], f"{language}, {cell}, {name}"
            options = structure(name, data["train"], cell)
            sizes[language, cell, name] = parameters(options)

            def run(seed, rate, part, timed=True, data=data, options=options):
                return learned(data, options, seed, rate, part, args.quick, timed)[0]

            def loss(rate, title=title, run=run):
                jobs = {f"{rate:g}": partial(run, 1000, rate, "validation", timed=False)}
                return evidence.finished(args, f"rates of {title}", jobs)[f"{rate:g}"]["updates"]["bits"]

            if args.quick:
                chosen[cell, name] = RATES[0], RATES[:1]
            elif language == "English":
                chosen[cell, name] = evidence.best_rate(RATES, loss, factor=3.0)
            jobs = {str(seed): partial(run, seed, chosen[cell, name][0], "test") for seed in args.seeds}
            found[language, cell, name] = list(evidence.finished(args, title, jobs).values())
    return found, sizes, chosen


def ngram_bits(data):
    """Bits of a held-out character under an interpolated model of characters (Witten, Bell 1991), by NLTK; its order is chosen."""
    from nltk.lm import WittenBellInterpolated
    from nltk.util import everygrams

    known = set(text.learn_vocabulary([list(line) for line in data["train"]], min_count=5))

    def padded(line):
        # what the networks do not know is one character for all
        return ["<s>"] * (ORDERS[-1] - 1) + [character if character in known else "<other>" for character in line] + ["</s>"]

    lines = [padded(line) for line in [*data["train"], "\0"]]
    model = WittenBellInterpolated(ORDERS[-1])
    # the start of a text is no character
    grams = ([gram for gram in everygrams(line, max_len=ORDERS[-1]) if gram[-1] != "<s>"] for line in lines)
    model.fit(grams, [*known, "<other>", "</s>"])

    def bits(part, order):
        rows = [padded(line) for line in data[part]]
        scores = [model.logscore(row[i], row[i - order + 1 : i]) for row in rows for i in range(ORDERS[-1] - 1, len(row))]
        return -float(np.mean(scores))

    tried = {order: bits("validation", order) for order in ORDERS}
    order = min(tried, key=tried.get)
    return {"order": order, "bits": bits("test", order)}


def claims(found, seeds):
    """What the paper says, and what came out."""
    result = []

    def claim(sentence, paper, language, cell, ours, theirs, when):
        values, baseline = ([row[when]["bits"] for row in found[language, cell, name]] for name in (ours, theirs))
        after = f"{UPDATES} updates" if when == "updates" else f"{SECONDS} s of processor time"
        where = f"{HELD_OUT} held-out texts, {language}"
        metric = f"bits of a character after {after}"
        result.append(Claim(sentence, paper, where, metric, False, f"{theirs}, {cell}", baseline, values, seeds, matters=0.01))

    for language, cell in dict.fromkeys((language, cell) for language, cell, name in found if name == "words"):
        for name, helper in (("words", "the state of words"), ("context", "an output that the last character chooses")):
            large = AS_LARGE + name
            sides = (("units", "plain", "updates"), ("parameters", large, "updates"), ("parameters and time", large, "seconds"))
            for equal, plain, when in sides:
                claim(f"At equal {equal}, {helper} helps ({language}, {cell})", "tables 1 and 2", language, cell, name, plain, when)
    if ("English", "lstm", "words") not in found:
        return result
    claim("Both are better than words alone", "not in the paper", "English", "lstm", "both", "words", "updates")
    claim("A loss for words helps", "joint training", "English", "lstm", "words, own loss", "words", "updates")
    before = "Words that learn from characters help more than words that were learned before"
    claim(before, "asked by its review", "English", "lstm", "words", "words, learned before", "updates")
    return result


def summary(found, sizes, chosen, ngrams):
    """All mean figures."""
    after = (f"bits after {UPDATES} updates", f"after {SECONDS} s", "updates in that time")
    names = ("language", "cell", "structure", "parameters", *after, "rate")
    lines = ["", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for (language, cell, name), rows in found.items():
        bits, timed = (np.mean([row[key]["bits"] for row in rows]) for key in ("updates", "seconds"))
        steps, size = np.mean([row["seconds"]["after"] for row in rows]), sizes[language, cell, name]
        lines.append(f"| {language} | {cell} | {name} | {size:,} | {bits:.3f} | {timed:.3f} | {steps:.0f} | {chosen[cell, name][0]:g} |")
    known = ", ".join(f"{language} {row['bits']:.3f} ({row['order']} characters)" for language, row in ngrams.items())
    return "\n".join([*lines, "", f"Bits of an interpolated model of runs of characters, of the same texts: {known}."])


def figure(found):
    """Bits by structure."""
    arms = list(dict.fromkeys((language, cell) for language, cell, _ in found))
    drawn = new_figure(9, 3.4)
    for axis, arm in zip(np.atleast_1d(drawn.subplots(1, len(arms), sharey=True)), arms):
        means = [np.mean([row["updates"]["bits"] for row in found[(*arm, name)]]) if (*arm, name) in found else 0.0 for name in STRUCTURES]
        axis.barh(range(len(STRUCTURES)), means)
        axis.set_yticks(range(len(STRUCTURES)), STRUCTURES, fontsize=8)
        axis.set_title(", ".join(arm), fontsize=9)
    drawn.supxlabel("bits of a character", fontsize=9)
    return drawn


def main():
    """Choose rates, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "character_rnn_multi30k", seeds=3)
    languages = {name: lines_of(name) for name in (("English",) if args.quick else ("English", "German", "Turkish"))}
    found, sizes, chosen = compared(args, languages)
    ngrams = {} if args.quick else evidence.finished(args, "runs", {name: partial(ngram_bits, data) for name, data in languages.items()})
    options = structure("both", languages["English"]["train"], "lstm")
    _, shipped = learned(languages["English"], options, 0, chosen["lstm", "both"][0], "validation", args.quick)
    print("shipped:", shipped.complete(["two men are "], words=40, seed=0), flush=True)
    rates = ", ".join(f"{cell} {name} {rate:g}" for (cell, name), (rate, _) in chosen.items())
    tries = {f"{cell} {name}": len(tried) for (cell, name), (_, tried) in chosen.items()}
    choices = [Choice(f"{HELD_OUT} English validation texts, another seed", rates, tries, evidence.UNTIL_INSIDE)]
    notes = NOTES + summary(found, sizes, chosen, ngrams)
    evidence.publish(shipped, args, claims(found, args.seeds), DATA, notes, figure(found), choices=choices)


if __name__ == "__main__":
    main()
