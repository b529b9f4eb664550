"""End-to-end memory networks on the twenty bAbI tasks, a task alone and all jointly, and as a language model of the Brown corpus.

    KERAS_BACKEND=jax python applications/mem_n2n/train.py

The released files, 1,000 questions to learn from and 1,000 to test on for each task; no supports are told. Every model learns as in the
paper: for 100 epochs a task alone, for 60 jointly, at rates that are halved, the last tenth of the questions held out for the linear start.
"""

import json
from functools import partial
from pathlib import Path

import keras
import numpy as np

from zoo import evidence, plots, text
from zoo.applications import MemN2N
from zoo.callbacks import LinearStart
from zoo.datasets import babi, brown
from zoo.evidence import Choice, Claim

TASKS = range(1, 21)
# arms: arguments of the class, and whether the softmax of the memory comes late
ALONE = {
    "bag of words": ({"encoding": "bag", "random_noise": 0.0}, False),
    "positions": ({"random_noise": 0.0}, False),
    "positions, linear start": ({"random_noise": 0.0}, True),
    "positions, linear start, noise": ({}, True),
}
JOINT = {
    "jointly, one hop": ({"hops": 1, "random_noise": 0.0}, True),
    "jointly, two hops": ({"hops": 2, "random_noise": 0.0}, True),
    "jointly, three hops": ({"random_noise": 0.0}, True),
    "jointly, three hops, noise": ({}, True),
    "jointly, three hops, layerwise": ({"tying": "layerwise", "random_noise": 0.0}, True),
}
SHIPPED = "jointly, three hops, noise"
# epochs, and after how many the rate is halved
SCHEDULES = {False: (100, 25), True: (60, 15)}
JOINT_SIZE, BATCH = 50, 32
# mean errors of the paper's table 1 in percent, and accuracies of "positions", all from memory
PAPER_MEANS = (25.1, 20.3, 16.3, 13.9, 25.8, 15.6, 13.3)
PAPER = [100, 78, 36, 96, 86, 92, 78, 87, 77, 83, 96, 100, 90, 98, 100, 48, 50, 86, 13, 100]
# what learned from supports, of the evidence of `MemNN`
TOLD = ("LSTM", "AM+NG+NL")
# language model: words of the Brown corpus, and arms
WORDS, HELD_OUT, VOCABULARY, OTHER = 200_000, 20_000, 5000, "<unknown>"
LM_SIZE, LM_MEMORY, LM_BATCH, LM_EPOCHS, HOPS, UNITS, STEPS = 64, 50, 128, 8, (1, 3, 6), 128, 35
LM_RATES = {"memory network": (0.005, 0.01), "LSTM": (2e-3, 4e-3)}
DATA = """The bAbI tasks, version 1.2 (Weston et al. 2015, CC BY 3.0); the Brown corpus for the language model."""
NOTES = f"""The class as it is by default for a task alone: three hops, vectors of 20 numbers, 50 sentences, SGD. Jointly vectors have
{JOINT_SIZE} numbers. Every run counts, where the paper has the best of ten by the training loss; "best run" is the best of the seeds by
that loss. The language models read {WORDS:,} words of whole documents, of which the {VOCABULARY} most frequent are known; memory
networks have {LM_MEMORY} memories of {LM_SIZE} numbers, the LSTM vectors of as many and {UNITS} units, about as many parameters. They
learn at most {LM_EPOCHS} epochs and keep the one that is best in validation; the paper has a million words, 150 numbers and more
epochs. The shipped model is one of "{SHIPPED}"."""


# --- questions ---


def read(quick):
    """Examples to learn from and to test on, by task; and all their words."""
    data = {task: [babi.examples(babi.read(task, part))[: 400 if quick else None] for part in ("train", "test")] for task in TASKS}
    return data, babi.vocabulary([example for parts in data.values() for part in parts for example in part])


class Annealed(keras.callbacks.Callback):
    """The paper's rates: 0.005 while the memory has no softmax, then 0.01, halved every so many epochs."""

    def __init__(self, every, linear):
        super().__init__()
        self.every, self.linear = every, linear

    def on_epoch_begin(self, epoch, logs=None):
        """Set the rate."""
        slow = self.linear is not None and self.linear.linear
        self.model.optimizer.learning_rate = 0.005 if slow else 0.01 / 2 ** (epoch // self.every)


def learned(examples, words, options, seed, joint, quick):
    """A model of the examples, and the loss of an example in the last epoch."""
    options, linear = options
    keras.utils.set_random_seed(seed)
    model = MemN2N(words, **({"embedding_size": JOINT_SIZE} if joint else {}), **options)
    epochs, every = SCHEDULES[joint]
    start = LinearStart(max_epochs=1 if quick else 20) if linear else None
    model.compile(jit_compile=True, steps_per_execution=4, callbacks=[*([start] if start else []), Annealed(every, start)])
    examples = [examples[i] for i in np.random.default_rng(0).permutation(len(examples))]
    # whole batches: those of another size would be compiled anew
    kept, held_out = (len(examples) * 9 // 10 // BATCH * BATCH, len(examples) // 10 // BATCH * BATCH)
    x, y = babi.vectorise(examples[: kept + held_out], words)
    parts = [({name: value[rows] for name, value in x.items()}, y[rows]) for rows in (slice(kept), slice(kept, None))]
    log = model.fit(*parts[0], batch_size=BATCH, epochs=2 if quick else epochs, validation_data=parts[1], verbose=0)
    return model, float(log.history["loss"][-1])


def accuracy(model, examples, words):
    """Share of right answers."""
    x, y = babi.vectorise(examples, words)
    return float(model.evaluate(x, y, batch_size=100, verbose=0, return_dict=True)["accuracy"])


def alone(data, words, options, seed, task, quick):
    """Accuracy on a task of a model of its own, and the loss that it ended with."""
    model, loss = learned(data[task][0], words, options, seed, False, quick)
    return {"accuracy": accuracy(model, data[task][1], words), "loss": loss}


def jointly(data, words, options, seed, quick):
    """Accuracies of one model of all tasks."""
    model, loss = learned([e for task in TASKS for e in data[task][0]], words, options, seed, True, quick)
    return {"accuracy": [accuracy(model, data[task][1], words) for task in TASKS], "loss": loss}


def answered(args, data, words):
    """Accuracies `(seeds, 20)` by arm, and the losses that they ended with."""
    table, losses = {}, {}
    tasks = TASKS[:2] if args.quick else TASKS
    for arm, options in ALONE.items():
        jobs = {f"{seed} {task}": partial(alone, data, words, options, seed, task, args.quick) for seed in args.seeds for task in tasks}
        found = evidence.finished(args, arm, jobs)
        # a quick run leaves most tasks out
        rows = [[found.get(f"{seed} {task}", {"accuracy": 0.0, "loss": 0.0}) for task in TASKS] for seed in args.seeds]
        table[arm], losses[arm] = ([[row[key] for row in tasks] for tasks in rows] for key in ("accuracy", "loss"))
    for arm, options in list(JOINT.items())[: 1 if args.quick else None]:
        rows = evidence.finished(args, arm, {str(seed): partial(jointly, data, words, options, seed, args.quick) for seed in args.seeds})
        table[arm] = [row["accuracy"] for row in rows.values()]
        losses[arm] = [[row["loss"]] * len(TASKS) for row in rows.values()]
    return table, losses


# --- language model ---


def streams(quick):
    """Words of whole documents to learn from, to choose by and to test on, and the vocabulary."""
    documents = brown()
    words = [word.lower() for i in np.random.default_rng(0).permutation(len(documents)) for word in documents[i].words]
    train, held_out = (4000, 3000) if quick else (WORDS, HELD_OUT)
    borders = np.cumsum([0, held_out, held_out, train])
    parts = {name: words[a:b] for name, a, b in zip(("validation", "test", "train"), borders, borders[1:])}
    known = text.learn_vocabulary([parts["train"]], VOCABULARY)
    return {name: [word if word in set(known) else OTHER for word in part] for name, part in parts.items()}, [*known, OTHER]


def predicted(data, words, hops, seed, rate, epochs):
    """Perplexities of a memory network with so many hops."""
    keras.utils.set_random_seed(seed)
    model = MemN2N(words, "lm", hops=hops, embedding_size=LM_SIZE, memory_size=LM_MEMORY, unknown=OTHER)
    model.optimizer.learning_rate = rate
    x, y = model.windows(data["train"])
    whole = len(y) // LM_BATCH * LM_BATCH
    best = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    held_out = model.windows(data["validation"])
    model.fit(x[-whole:], y[-whole:], batch_size=LM_BATCH, epochs=epochs, validation_data=held_out, callbacks=[best], verbose=0)
    return {part: model.perplexity(data[part]) for part in ("validation", "test")}


def by_lstm(data, words, seed, rate, epochs):
    """Perplexities of an LSTM that reads on and on."""
    ids = {word: i for i, word in enumerate(words)}

    def batches(part, tracks=32):
        row = np.array([ids[word] for word in data[part]])
        places = (len(row) - 1) // (tracks * STEPS) * STEPS
        x, y = (row[start : start + tracks * places].reshape(tracks, -1, STEPS).swapaxes(0, 1) for start in (0, 1))
        return x.reshape(-1, STEPS), y.reshape(-1, STEPS)

    keras.utils.set_random_seed(seed)
    inputs = keras.Input(batch_shape=(32, STEPS), dtype="int32")
    vectors = keras.layers.Embedding(len(words), LM_SIZE)(inputs)
    reader = keras.layers.LSTM(UNITS, return_sequences=True, stateful=True)
    model = keras.Model(inputs, keras.layers.Dense(len(words))(reader(vectors)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), loss)
    found = []
    for _ in range(epochs):
        reader.reset_state()
        model.fit(*batches("train"), batch_size=32, shuffle=False, verbose=0)
        scores = {}
        for part in ("validation", "test"):
            reader.reset_state()
            scores[part] = float(np.exp(model.evaluate(*batches(part), batch_size=32, verbose=0)))
        found.append(scores)
    # the pass that is best in validation
    return min(found, key=lambda scores: scores["validation"])


def modelled(args):
    """Test perplexities by arm, and the rates that were chosen, with how many were tried."""
    (data, words), chosen, found = streams(args.quick), {}, {}
    epochs = 1 if args.quick else LM_EPOCHS
    arms = {f"memory network, {hops} hops": partial(predicted, data, words, hops) for hops in HOPS[: 1 if args.quick else None]}
    for arm, run in {**arms, "LSTM": partial(by_lstm, data, words)}.items():

        def loss(rate, arm=arm, run=run):
            jobs = {"validation": partial(run, 1000, rate, -(-epochs // 2))}
            return evidence.finished(args, f"{arm}, rate {rate:g}", jobs)["validation"]["validation"]

        rates = LM_RATES[arm.split(",")[0]]
        chosen[arm] = (rates[0], {rates[0]: 0}) if args.quick else evidence.best_rate(rates, loss)
        jobs = {str(seed): partial(run, seed, chosen[arm][0], epochs) for seed in args.seeds}
        found[arm] = [row["test"] for row in evidence.finished(args, arm, jobs).values()]
    return found, chosen


# --- what came out ---


def claims(table, perplexities, seeds):
    """What the paper says, and what came out."""

    def claim(sentence, paper, ours, theirs, tasks=TASKS, matters=0.02):
        columns = [task - 1 for task in tasks]
        values, baseline = (np.asarray(table[arm])[:, columns].mean(axis=1).tolist() for arm in (ours, theirs))
        where = "the 20 tasks" if len(columns) == 20 else f"tasks {', '.join(str(task) for task in tasks)}"
        return Claim(sentence, paper, f"{where}, test questions", "mean accuracy", True, theirs, baseline, values, seeds, matters=matters)

    bag, place, linear, noise = ALONE
    result = [
        claim("Positions of words help where their order matters", "tasks 4, 5, 15 and 18", place, bag, (4, 5, 15, 18)),
        claim("A linear start helps", "mean error 20.3 to 16.3 %", linear, place),
        claim("Random noise helps", "16.3 to 13.9 %", noise, linear),
    ]
    if len(table) > len(ALONE) + 1:
        one, two, three, noisy, layers = JOINT
        result += [
            claim("Two hops are better than one", "25.8 to 15.6 %", two, one),
            claim("Three hops are better than two", "15.6 to 13.3 %", three, two),
            claim("All tasks jointly are better than each alone", "16.3 to 13.3 %", three, linear),
            claim("Adjacent tying is better than layerwise", "13.3 % against more", three, layers),
        ]
    names = [f"memory network, {hops} hops" for hops in HOPS]
    versus = partial(Claim, dataset="Brown, held-out words", metric="perplexity", higher_is_better=False, seeds=seeds, matters=2.0)
    for sentence, paper, ours, theirs in (
        ("A language model gains from more hops", "table 2", names[1], names[0]),
        ("and from still more", "table 2: up to 7 hops", names[2], names[1]),
        ("A memory network models language better than an LSTM", "111 against 115", names[2], "LSTM"),
    ):
        if ours in perplexities and theirs in perplexities:
            result.append(versus(sentence, paper, baseline=theirs, baseline_values=perplexities[theirs], values=perplexities[ours]))
    return result


def told():
    """Percentages `{model: 20}` of the evidence of `MemNN`."""
    notes = json.loads((Path(__file__).parents[2] / "saved_models" / "mem_nn_babi" / "evidence.json").read_text())["notes"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in notes.splitlines() if line.startswith("| ")]
    columns = {name: rows[0].index(name) for name in TOLD}
    return {name: [int(row[column].split()[0]) for row in rows[1:21]] for name, column in columns.items()}


def summary(table, losses, perplexities):
    """All mean figures."""
    others = told()
    lines = ["", "", "Percent of right answers; the paper's for positions, and mean ones, in brackets, from memory. The first two columns"]
    lines += ["are those of `MemNN`'s evidence, of which the second was told the supports.", ""]
    lines += ["| task | " + " | ".join([*others, *table]) + " |", "|---" * (len(others) + len(table) + 1) + "|"]
    mean = {arm: 100 * np.mean(rows, axis=0) for arm, rows in table.items()}
    for i, task in enumerate(TASKS):
        cells = [f"{values[i]}" for values in others.values()]
        cells += [f"{row[i]:.0f}" + (f" ({PAPER[i]})" if arm == "positions" else "") for arm, row in mean.items()]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    papers = [f" ({100 - error:.0f})" for error in PAPER_MEANS]
    cells = [f"{np.mean(row):.0f}{paper}" for row, paper in zip(mean.values(), [*papers, *[""] * len(mean)])]
    lines.append("| mean | " + " | ".join([*(f"{np.mean(row):.0f}" for row in others.values()), *cells]) + " |")
    best = []
    for arm, rows in table.items():
        runs = np.argmin(losses[arm], axis=0)
        best.append(f"{100 * np.mean(np.take_along_axis(np.array(rows), runs[None], axis=0)):.0f}")
    lines.append("| best run | " + " | ".join([*[""] * len(others), *best]) + " |")
    lines += ["", "| language model | perplexity |", "|---|---|"]
    return "\n".join([*lines, *(f"| {arm} | {np.mean(values):.1f} |" for arm, values in perplexities.items())])


def figure(model, data):
    """What the hops look at in a story with two supports."""
    example = next(e for e in data[2][1] if len(e.story) <= 12)
    answer = model.answer(example.story, example.question)[0][0]
    weights = model.attention(example.story, example.question)
    return plots.attention_hops(example.story, example.question, weights, answer=answer, support=example.support)


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "mem_n2n_babi", seeds=3)
    data, words = read(args.quick)
    table, losses = answered(args, data, words)
    perplexities, chosen = modelled(args)
    model, _ = learned([e for task in TASKS for e in data[task][0]], words, JOINT[SHIPPED], 0, True, args.quick)
    rates = ", ".join(f"{arm} {rate:g}" for arm, (rate, _) in chosen.items())
    tries = {arm: len(tried) for arm, (_, tried) in chosen.items()}
    choice = Choice("validation words, half of the epochs, another seed", rates, tries, evidence.UNTIL_INSIDE)
    notes = NOTES + summary(table, losses, perplexities)
    evidence.publish(model, args, claims(table, perplexities, args.seeds), DATA, notes, figure(model, data), choices=[choice])


if __name__ == "__main__":
    main()
