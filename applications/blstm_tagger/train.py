"""BLSTM tagger on the English Web Treebank: parts of speech and noun phrases, with few tagged sentences and many untagged ones.

    python applications/blstm_tagger/train.py

Word vectors come from telling replaced words in all training sentences; tags are known for 2000 of these. The network that starts from
these vectors is compared with the same network from random ones, with a log-linear classifier that sees a window of words, and with a
network for noun phrases alone; decoding under the scheme of spans with the best tag of each word. The preset is the network for both tasks
of the first seed.
"""

import keras
import numpy as np
from rich.progress import track
from seqeval.metrics import f1_score
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from zoo import datasets, evidence, plots, text
from zoo.applications import BLSTMTagger
from zoo.evidence import Claim

TAGGED, LENGTH, BATCH = 2000, 40, 32
NETWORK = {"embedding_size": 64, "units": 48, "dropout": 0.3}
TASKS = {"pos": datasets.POS_TAGS, "chunk": datasets.CHUNK_TAGS}
WORDS, RATE, EPOCHS, PRETRAINED = 8000, 1e-2, 8, 4
DATA = """Universal Dependencies' English Web Treebank (Silveira et al. 2014), CC BY-SA 4.0: 2000 of its 12,544 training sentences with
tags, others for each seed, and all of them without; its 2,077 test sentences are held out. Noun phrases are derived from its
dependencies."""
NOTES = f"""Word vectors of {NETWORK["embedding_size"]} numbers, one layer of {NETWORK["units"]} cells a direction (the paper: 100 and 100),
dropout {NETWORK["dropout"]}, {EPOCHS} epochs of Adam at {RATE}, sentences cut at {LENGTH} words; vectors from {PRETRAINED} epochs over
all training sentences, 200 thousand words, where the paper has hundreds of millions. Settings were chosen on the development sentences.
The best tag of each word alone and the best allowed sequence come from the same network. Means over the seeds, in percent:"""


def encoded(model, sentences):
    """Inputs, and targets by task."""
    y = {"pos": [s.pos for s in sentences], "chunk": [datasets.noun_chunks(s) for s in sentences]}
    return model.encode([s.words for s in sentences], LENGTH), {task: model.encode_tags(y[task], LENGTH, task) for task in model.tags}


def learnt(vocabulary, tasks, seed, epochs, tagged, test, untagged=None):
    """A tagger after training, from word vectors of the sentences `untagged` if given; and its history."""
    keras.utils.set_random_seed(seed)
    model = BLSTMTagger(vocabulary, {task: list(TASKS[task]) for task in tasks}, **NETWORK)
    if untagged is not None:
        pretraining = model.pretrain(untagged, epochs=max(1, round(PRETRAINED * epochs / EPOCHS)), length=LENGTH, seed=seed, verbose=0)
        print(f"seed {seed}: {100 * pretraining.history['accuracy'][-1]:.1f} % of words rightly called replaced or not", flush=True)
    x, y = encoded(model, tagged)
    steps = epochs * -(-len(tagged) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)))
    history = model.fit(x, y, batch_size=BATCH, epochs=epochs, validation_data=encoded(model, test), verbose=0).history
    if "chunk" in tasks:
        model.use_scheme("iob2", "chunk")
    return model, history


def scores(model, test):
    """Accuracy of parts of speech; F1 of noun phrases by the best allowed sequence, and by the best tag of each word; in percent."""
    x, y = encoded(model, test)
    best = model.decode(x)
    alone = {task: p.argmax(-1) for task, p in model.predict(x, batch_size=256, verbose=0).items()}
    found = {}
    if "pos" in model.tags:
        found["pos"] = 100 * np.mean((best["pos"] == y["pos"])[y["pos"] >= 0])
    if "chunk" in model.tags:
        names = np.array(datasets.CHUNK_TAGS)

        def spans(labels):
            return [list(names[row[real]]) for row, real in zip(labels, y["chunk"] >= 0)]

        found["chunk"] = 100 * f1_score(spans(y["chunk"]), spans(best["chunk"]))
        found["chunk, word by word"] = 100 * f1_score(spans(y["chunk"]), spans(alone["chunk"]))
    return found


def log_linear(tagged, test):
    """Accuracy of parts of speech by logistic regression on a window of words, in percent."""
    x_train, x_test = ([row for s in part for row in text.window_features(s.words[:LENGTH])] for part in (tagged, test))
    y_train, y_test = ([tag for s in part for tag in s.pos[:LENGTH]] for part in (tagged, test))
    return 100 * make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=100)).fit(x_train, y_train).score(x_test, y_test)


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "blstm_tagger_ewt")
    epochs = 1 if args.quick else EPOCHS
    train, test = datasets.english_web_treebank("train"), datasets.english_web_treebank("test")
    if args.quick:
        train, test = train[:1500], test[:200]
    vocabulary = text.learn_vocabulary([[word.lower() for word in s.words] for s in train], max_words=WORDS, min_count=2)
    untagged = [s.words for s in train]
    results, histories, shipped = {}, {}, None
    for seed in track(args.seeds, "seeds"):
        tagged = [train[i] for i in np.random.default_rng(seed).permutation(len(train))[: TAGGED // (8 if args.quick else 1)]]
        arms = {"both": (("pos", "chunk"), untagged), "random vectors": (("pos", "chunk"), None), "chunk alone": (("chunk",), untagged)}
        for name, (tasks, sentences) in arms.items():
            model, history = learnt(vocabulary, tasks, seed, epochs, tagged, test, sentences)
            shipped = shipped or model
            results.setdefault(name, []).append(scores(model, test))
            histories.setdefault(name, []).append(history)
            print(f"seed {seed}, {name}:", {key: round(value, 2) for key, value in results[name][-1].items()}, flush=True)
        results.setdefault("log-linear", []).append({"pos": log_linear(tagged, test)})
        print(f"seed {seed}, log-linear:", results["log-linear"][-1], flush=True)
    shipped.compile()
    evidence.publish(shipped, args, claims(results, args.seeds), DATA, NOTES + table(results), figure(histories, epochs))


def table(results):
    """All mean figures in a sentence."""
    mean = {name: {key: np.mean([one[key] for one in runs]) for key in runs[0]} for name, runs in results.items()}
    return " " + "; ".join(f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in one.items()) for name, one in mean.items()) + "."


def claims(results, seeds):
    """What the paper says, and what came out."""

    def claim(text, paper, task, ours, theirs, baseline, key=None):
        metric = "accuracy in percent" if task == "pos" else "F1 of noun phrases in percent"
        values, others = [one[task] for one in results[ours]], [one[key or task] for one in results[theirs]]
        return Claim(text, paper, "the test sentences", metric, True, baseline, others, values, seeds)

    return [
        claim(
            "Word vectors from telling replaced words help: parts of speech are better than from random vectors",
            "better in all three tasks",
            *("pos", "both", "random vectors", "the same network from random vectors"),
        ),
        claim(
            "Such word vectors help noun phrases as well",
            "better in all three tasks",
            *("chunk", "both", "random vectors", "the same network from random vectors"),
        ),
        claim(
            "Decoding only what can be gives better noun phrases than the best tag of each word",
            "not measured",
            *("chunk", "both", "both", "the same network, word by word", "chunk, word by word"),
        ),
        claim(
            "A network without features made by hand tags better than a classifier with them",
            "close to the best systems",
            *("pos", "both", "log-linear", "logistic regression on a window of words, endings and capitals"),
        ),
        claim(
            "One network for both tasks is better in noun phrases than one for these alone",
            "not tried",
            *("chunk", "both", "chunk alone", "the same network for noun phrases alone"),
        ),
    ]


def figure(histories, epochs):
    """Held-out errors over the epochs."""
    panels = []
    for task in TASKS:
        panel = {}
        for name, runs in histories.items():
            keys = [key for key in runs[0] if key.startswith("val_") and key.endswith("accuracy") and (task in key or len(runs[0]) == 4)]
            if keys and not (name == "chunk alone" and task == "pos"):
                panel[name] = [(np.arange(1, epochs + 1), 100 * (1 - np.array(run[keys[0]]))) for run in runs]
        panels.append(panel)
    return plots.learning_curves(panels, ["parts of speech", "tags of noun phrases"], "epochs", "words wrong, %", log=[False, False])


if __name__ == "__main__":
    main()
