"""Character RNNs that know words, or choose their output by the last character: bits of a character in three languages.

    KERAS_BACKEND=jax python applications/character_rnn/train.py

English and German descriptions of pictures (Multi30k), Turkish sentences (treebanks). Structures and cells have about the same number of
parameters. They are compared after the same number of updates, and, since they differ in cost, after the same processor time.
"""

import time
from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import CharacterRNN
from zoo.evidence import Choice, Claim
from zoo.plots.figure import new_figure

PARAMETERS, LENGTH, UPDATES, SECONDS = 150_000, 60, 1200, 30
WORDS, CONTEXTS, HELD_OUT = 1000, 15, 300
# rates of Adam that were tried for each structure and cell
RATES = (1e-3, 3e-3, 1e-2)
STRUCTURES = ("plain", "words", "words, own loss", "context", "both")
# what is compared of each language and cell
ARMS = {
    ("English", "lstm"): STRUCTURES,
    ("English", "rnn"): ("plain", "words", "context"),
    ("German", "lstm"): ("plain", "words", "context"),
    ("Turkish", "lstm"): ("plain", "words", "context"),
}
DATA = "Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0), English and German; sentences of Turkish treebanks (web and wiki, Apache-2.0)."
NOTES = f"""Each model has about {PARAMETERS:,} parameters, whatever its structure: a plain one has more units. Texts are cut at {LENGTH}
characters, {HELD_OUT} of them held out. Words are the {WORDS} most frequent; with context the last character chooses among matrices of its
own for the {CONTEXTS} most frequent characters. "Own loss" adds the cross-entropy of the next word, which no other structure has. Processor
seconds are those of one core, after a step that compiles. The paper reads a million characters and more, on and on, in eight languages."""


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
    return {part: [line.strip().lower() for line in found if line.strip()] for part, found in parts.items()}


def structure(name, lines, cell):
    """Constructor's arguments of a structure, with as many units as the parameters allow."""
    alphabet = text.learn_vocabulary([list(line) for line in lines], min_count=5)
    own = {"context_size": 0} if name in ("plain", "words", "words, own loss") else {"contexts": list(alphabet[:CONTEXTS])}
    if name in ("words", "words, own loss", "both"):
        known = set(alphabet)
        words = [word for word in text.learn_vocabulary([line.split() for line in lines], 2 * WORDS) if set(word) <= known]
        own.update(vocabulary=words[:WORDS], word_units=64, word_loss=float(name == "words, own loss"))
    options = {"alphabet": alphabet, "length": LENGTH, "cell": cell, **own}
    sizes = range(16, 400, 4)
    return {**options, "units": max((units for units in sizes if parameters(options, units) <= PARAMETERS), default=16)}


def parameters(options, units):
    """Of what predicts characters: without the softmax over words, which only the loss of words needs."""
    symbols, gates = len(options["alphabet"]) + 3, 4 if options["cell"] == "lstm" else 1
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
    x, found = model.encode(data["train"][:64] if quick else data["train"]), {}
    clock = Clock(updates=2 if quick else UPDATES, **({"seconds": 0.1 if quick else SECONDS} if timed else {}))
    while clock.limits:
        model.fit(x, callbacks=[clock], verbose=0)
        found.update({name: model.bits_per_character(data[part]) for name in clock.passed()})
    return {**found, "steps": clock.updates}, model


def compared(languages, seeds, quick):
    """Bits by language, cell and structure."""
    found, chosen = {}, {}
    for (language, cell), names in ARMS.items():
        for name in names if language in languages else ():
            data = languages[language]
            arm, options = (language, cell, name), structure(name, data["train"], cell)
            if language == "English":
                rates = RATES[:1] if quick else RATES
                scores = [learned(data, options, 1000, rate, "validation", quick, timed=False)[0]["updates"] for rate in rates]
                chosen[cell, name] = rates[int(np.argmin(scores))]
                print(cell, name, options["units"], "units, validation:", dict(zip(rates, np.round(scores, 3))), flush=True)
            run = partial(learned, data, options, rate=chosen[cell, name], part="test", quick=quick)
            found[arm] = [run(seed=seed)[0] for seed in track(seeds, ", ".join(arm))]
            print(arm, found[arm], flush=True)
    return found, chosen


def ngram_bits(data):
    """Bits of a held-out character under an interpolated model of five characters (Witten, Bell 1991), by NLTK."""
    from nltk.lm import WittenBellInterpolated
    from nltk.lm.preprocessing import pad_both_ends, padded_everygram_pipeline

    lines, order = [list(line[:LENGTH]) for line in data["train"]], 5
    model = WittenBellInterpolated(order)
    model.fit(*padded_everygram_pipeline(order, lines))
    total, count = 0.0, 0
    for line in data["test"]:
        padded = list(pad_both_ends(list(line[:LENGTH]), n=order))
        places = range(order - 1, order + len(line[:LENGTH]))
        total += sum(model.logscore(padded[i], padded[i - order + 1 : i]) for i in places)
        count += len(places)
    return -total / count


def claims(found, seeds):
    """What the paper says, and what came out."""
    result = []

    def claim(sentence, paper, language, cell, ours, theirs, when):
        values, baseline = ([row[when] for row in found[language, cell, name]] for name in (ours, theirs))
        after = f"{UPDATES} updates" if when == "updates" else f"{SECONDS} s of processor time"
        where = f"{HELD_OUT} held-out texts, {language}"
        metric = f"bits of a character after {after}"
        result.append(Claim(sentence, paper, where, metric, False, f"{theirs}, {cell}", baseline, values, seeds, matters=0.01))

    for language, cell, _ in dict.fromkeys((language, cell, "") for language, cell, _ in found):
        where = f"{language}, {cell}"
        for when, equal in (("updates", "equal parameters"), ("seconds", "equal time")):
            for name, words in (("words", "the state of words"), ("context", "an output that the last character chooses")):
                claim(f"At {equal}, {words} helps ({where})", "tables 1 and 2", language, cell, name, "plain", when)
    claim("Both are better than words alone", "not in the paper", "English", "lstm", "both", "words", "updates")
    claim("A loss for words helps", "joint training", "English", "lstm", "words, own loss", "words", "updates")
    return result


def summary(found, chosen, ngrams):
    """All mean figures."""
    lines = ["", "", "| language | cell | structure | bits at equal updates | at equal time | updates in that time | rate |"]
    lines.append("|---" * 7 + "|")
    for (language, cell, name), rows in found.items():
        bits, timed, steps = (np.mean([row[key] for row in rows]) for key in ("updates", "seconds", "steps"))
        lines.append(f"| {language} | {cell} | {name} | {bits:.3f} | {timed:.3f} | {steps:.0f} | {chosen[cell, name]:g} |")
    known = ", ".join(f"{language} {bits:.3f}" for language, bits in ngrams.items())
    return "\n".join([*lines, "", f"An interpolated model of five characters, of the same texts, has these bits: {known}."])


def figure(found):
    """Bits by structure."""
    arms = list(dict.fromkeys((language, cell) for language, cell, _ in found))
    drawn = new_figure(9, 3.4)
    for axis, arm in zip(np.atleast_1d(drawn.subplots(1, len(arms), sharey=True)), arms):
        means = [np.mean([row["updates"] for row in found[(*arm, name)]]) if (*arm, name) in found else 0.0 for name in STRUCTURES]
        axis.barh(range(len(STRUCTURES)), means)
        axis.set_yticks(range(len(STRUCTURES)), STRUCTURES, fontsize=8)
        axis.set_title(", ".join(arm), fontsize=9)
    drawn.supxlabel("bits of a character", fontsize=9)
    return drawn


def main():
    """Choose rates, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "character_rnn_multi30k")
    languages = {name: lines_of(name) for name in (("English",) if args.quick else ("English", "German", "Turkish"))}
    found, chosen = compared(languages, args.seeds, args.quick)
    ngrams = {} if args.quick else {name: ngram_bits(data) for name, data in languages.items()}
    options = structure("both", languages["English"]["train"], "lstm")
    _, shipped = learned(languages["English"], options, 0, chosen["lstm", "both"], "validation", args.quick)
    print("shipped:", shipped.complete(["two men are "], words=40, seed=0), flush=True)
    rates = ", ".join(f"{cell} {name} {rate:g}" for (cell, name), rate in chosen.items())
    choices = [Choice(f"{HELD_OUT} English validation texts, another seed", rates, dict.fromkeys(STRUCTURES, len(RATES)))]
    notes = NOTES + summary(found, chosen, ngrams)
    evidence.publish(shipped, args, claims(found, args.seeds), DATA, notes, figure(found), choices=choices)


if __name__ == "__main__":
    main()
