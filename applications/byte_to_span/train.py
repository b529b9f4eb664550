"""Byte-to-span on English and Turkish: classes of words as spans of bytes, without being told where words begin or which language it is.

    python applications/byte_to_span/train.py

One network reads both languages, more English sentences than Turkish ones. It is compared with the same network under dropout of cells and
bytes, without attention, and for Turkish alone, each as it was when it was best on development sentences; with free decoding; and with a
classifier that is given the words. The preset is the first seed's network for both languages.
"""

from collections import Counter

import keras
import numpy as np
from rich.progress import track
from seqeval.metrics import f1_score
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from zoo import datasets, evidence, plots, text
from zoo.applications import ByteToSpan
from zoo.evidence import Claim

SENTENCES, DEVELOPMENT, HELD_OUT = {"English": 400, "Turkish": 60}, 60, 400
NETWORK = {"segment_length": 24, "max_spans": 6, "embedding_size": 48, "units": 96, "num_layers": 1}
OPTIONS = {"attention": True, "bidirectional": True, "dropout": 0.0, "byte_dropout": 0.0}
STRIDE, BATCH, UPDATES, RATE, POINTS = 6, 64, 900, 1e-2, 6
# classes of words that both treebanks tell
CLASSES = {
    "NOUN": ("NOUN", "PROPN", "PRON"),
    "VERB": ("VERB", "AUX"),
    "MODIFIER": ("ADJ", "ADV", "DET", "NUM"),
    "FUNCTION": ("ADP", "CCONJ", "SCONJ", "PART"),
    "OTHER": ("PUNCT", "SYM", "INTJ", "X"),
}
CLASS_OF = {tag: name for name, tags in CLASSES.items() for tag in tags}
ARMS = {
    "both languages": {},
    "with dropout": {"dropout": 0.1, "byte_dropout": 0.05},
    "Turkish alone": {},
    "no attention": {"attention": False, "bidirectional": False},
}
DATA = f"""{SENTENCES["English"]} training sentences of Universal Dependencies' English Web Treebank (Silveira et al. 2014, CC BY-SA
4.0) and {SENTENCES["Turkish"]} sentences of Google's Turkish treebanks of Wikipedia and web texts (Apache-2.0), others for each seed;
{HELD_OUT} sentences of each language are held out. Parts of speech are joined to five classes, as 13 take too long to learn here:
{"; ".join(f"{name}: {', '.join(tags)}" for name, tags in CLASSES.items())}."""
NOTES = f"""The paper's network made small: windows of {NETWORK["segment_length"]} bytes (the paper: 60), one LSTM of {NETWORK["units"]}
cells to read and one to write (4 of 320). Every network here has {UPDATES} updates of {BATCH} windows with Adam at {RATE}, falling to zero
(the paper: 25 million windows), and is kept as it was when its F1 on {DEVELOPMENT} development sentences of each of its languages was best,
of {POINTS} looks. With as many updates, the network for Turkish alone sees its few windows about six times as often as the one for both
languages does; its curve in the figure is of Turkish, the others are means of both. Where words are is learnt in some 400 updates ("of any
class" below). Their classes come later: for long the networks know little more than the length of a word tells ("class by length of the
word" below, of words that are given), and then begin to read what is in it. Here they do so in English; in Turkish none is above that
figure, and what the second language gives is where words are: on development sentences 98 % of Turkish spans were right but for their
class, with Turkish alone 90 to 93 %. Dropout puts reading off. Dropout of 0.2 or 0.1 with byte dropout of 0.1, 0.05 or none (the paper: 0.2
to 0.3 and 0.3), with 200 or 400 English sentences, never had a better F1 on development sentences than none in 1200 to 2000 updates, though
with 200 a lower loss; the mildest pair is the arm here, and the other networks and the preset are trained without. For the same reason the
networks have attention and read in both directions, which the paper's network does not; that network is the arm "no attention". A span is
right if start, length and label are; words of more than
{NETWORK["segment_length"] // 2} bytes, 7 % of the Turkish ones, may lie in no window. Reviews of the paper speak of about a million
weights; the paper's abstract says "very compact" and "due to the small vocabulary size", so that is what is compared. One LSTM layer of
320 cells on 320 inputs has 0.82 million, and there are 8. Means over the seeds, in percent:"""


def tags(sentence):
    """One span a word, named by its class."""
    return ["B-" + CLASS_OF[tag] for tag in sentence.pos]


def texts_and_spans(sentences):
    """Texts with single spaces, and the spans in them."""
    return [" ".join(s.words) for s in sentences], [text.spans_of_tags(s.words, tags(s)) for s in sentences]


def treebanks():
    """Sentences to train on, to choose settings on, and to test on, by language."""
    turkish = datasets.turkish_treebank("wiki") + datasets.turkish_treebank("web")
    turkish = [turkish[i] for i in np.random.default_rng(0).permutation(len(turkish))]
    english = [datasets.english_web_treebank(part) for part in ("train", "dev", "test")]
    picked = [[part[i] for i in np.random.default_rng(0).permutation(len(part))[:HELD_OUT]] for part in english[1:]]
    n = HELD_OUT
    return {"English": english[0], "Turkish": turkish[2 * n :]}, *(
        {"English": picked[i], "Turkish": turkish[i * n : (i + 1) * n]} for i in (0, 1)
    )


def learnt(sentences, development, seed, updates, points, **arguments):
    """A network after training, and its mean F1 on development sentences as points of (updates, percent); the best of these is kept."""
    keras.utils.set_random_seed(seed)
    model = ByteToSpan(list(CLASSES), **{**NETWORK, **OPTIONS, **arguments})
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, updates), global_clipnorm=1.0))
    x = model.encode(*texts_and_spans(sentences), stride=STRIDE)
    # the same number of windows for all, whatever there is
    rng, n = np.random.default_rng(seed), len(x["bytes"])
    rows = np.concatenate([rng.permutation(n) for _ in range(1 + updates * BATCH // n)])[: updates * BATCH]
    found, best = [], None
    for batches in np.array_split(np.arange(updates), points):
        part = rows[batches[0] * BATCH : (batches[-1] + 1) * BATCH]
        model.fit({key: values[part] for key, values in x.items()}, batch_size=BATCH, verbose=0)
        f1 = np.mean(list(scores(model, development).values()))
        found.append((batches[-1] + 1, f1))
        if f1 == max(y for _, y in found):
            best = model.get_weights()
    model.set_weights(best)
    return model, tuple(zip(*found))


def scores(model, test, named=True, **options):
    """F1 of the spans by language, in percent; unless `named`, a span of any class counts as right."""
    found = {}
    for language, sentences in test.items():
        spans = model.find(texts_and_spans(sentences)[0], **options)
        rows = list(map(tags, sentences)), [text.tags_of_spans(s.words, x) for s, x in zip(sentences, spans)]
        if not named:
            rows = ([[tag if tag == "O" else f"{tag[0]}-SPAN" for tag in row] for row in part] for part in rows)
        found[language] = 100 * f1_score(*rows)
    return found


def malformed(model, test, constrained):
    """Share of the windows for which something else than legal triples was written, in percent."""
    ids = np.concatenate([model.encode(texts_and_spans(sentences)[0])["bytes"] for sentences in test.values()])
    wrong = []
    for row, symbols in zip(ids, model.decode(ids, constrained=constrained)):
        spans, well_formed = model.read_spans(symbols)
        borders = {int(place) for place in text.character_places(bytes((row[row > 0] - 1).tolist()))}
        ends = [0, *(start + length for start, length, _ in spans)]
        inside = all(start in borders and start + length in borders and start >= end for (start, length, _), end in zip(spans, ends))
        wrong.append(not (well_formed and inside))
    return 100 * np.mean(wrong)


def log_linear(sentences, test):
    """Accuracy of logistic regression that is given the words, by language, in percent; its spans are right by themselves."""
    classifier = make_pipeline(DictVectorizer(), LogisticRegression(C=3, max_iter=40, tol=1e-2))
    classifier.fit([row for s in sentences for row in text.window_features(s.words)], [tag for s in sentences for tag in tags(s)])
    return {
        language: 100
        * classifier.score([row for s in part for row in text.window_features(s.words)], [tag for s in part for tag in tags(s)])
        for language, part in test.items()
    }


def by_length(sentences, test):
    """Accuracy of the most frequent class of words of as many bytes, by language, in percent: what is known without reading words."""
    accuracy = {}
    for language, part in test.items():
        counts = {}
        for one in sentences[language]:
            for word, tag in zip(one.words, tags(one)):
                counts.setdefault(len(word.encode()), Counter())[tag] += 1
        best = {length: count.most_common(1)[0][0] for length, count in counts.items()}
        accuracy[language] = 100 * np.mean([best.get(len(w.encode())) == tag for one in part for w, tag in zip(one.words, tags(one))])
    return accuracy


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "byte_to_span_en_tr")
    updates, points = (24, 2) if args.quick else (UPDATES, POINTS)
    train, development, test = treebanks()
    development = {language: sentences[:DEVELOPMENT] for language, sentences in development.items()}
    if args.quick:
        development, test = ({language: part[:20] for language, part in split.items()} for split in (development, test))
    results, curves, shipped = {}, {}, None
    for seed in track(args.seeds, "seeds"):
        order = {language: np.random.default_rng(seed).permutation(len(part)) for language, part in train.items()}
        some = {language: [part[i] for i in order[language][: SENTENCES[language]]] for language, part in train.items()}
        for name, changes in ARMS.items():
            read = ["Turkish"] if name == "Turkish alone" else list(SENTENCES)
            sentences, judges = sum((some[language] for language in read), []), {language: development[language] for language in read}
            model, curve = learnt(sentences, judges, seed, updates, points, **changes)
            results.setdefault(name, []).append(scores(model, test))
            curves.setdefault(name, []).append(curve)
            if name == "both languages":
                shipped = shipped or model
                results.setdefault("free decoding", []).append(scores(model, test, constrained=False))
                results.setdefault("both languages, of any class", []).append(scores(model, test, named=False))
                results.setdefault("malformed", []).append(
                    {key: malformed(model, test, key == "constrained") for key in ("constrained", "free")}
                )
            print(f"seed {seed}, {name}:", {key: round(float(value), 2) for key, value in results[name][-1].items()}, flush=True)
        results.setdefault("class by length of the word", []).append(by_length(some, test))
        results.setdefault("log-linear", []).append(log_linear(some["English"] + some["Turkish"], test))
        print(f"seed {seed}, log-linear:", results["log-linear"][-1], flush=True)
    shipped.compile()
    evidence.publish(shipped, args, claims(results, args.seeds), DATA, NOTES + compact(train) + table(results), figure(curves))


def table(results):
    """All mean figures in a sentence."""
    mean = {name: {key: np.mean([one[key] for one in runs]) for key in runs[0]} for name, runs in results.items()}
    return " " + "; ".join(f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in one.items()) for name, one in mean.items()) + "."


def compact(sentences):
    """A sentence on the paper's network as it is, and if it had a vector for each word of these sentences instead of each byte."""
    model = ByteToSpan(list(CLASSES))
    words = {word for part in sentences.values() for s in part for word in s.words}
    bytes_known = model.reader.get_layer("byte_embedding").input_dim
    ours, theirs = model.count_params(), model.count_params() + (len(words) - bytes_known) * model.embedding_size
    return f" The paper's network has {ours / 1e6:.3g} million weights; with a vector for each word {theirs / 1e6:.3g} million."


def claims(results, seeds):
    """What the paper says, and what came out."""
    where = "held-out sentences"

    def mean(name):
        return [np.mean([one["English"], one["Turkish"]]) for one in results[name]]

    def of(name, key):
        return [one[key] for one in results[name]]

    f1, both = "F1 of spans in percent", "mean F1 of spans in both languages, in percent"
    return [
        Claim(
            "Dropout of cells and bytes makes better spans than no dropout",
            "F1 of names 74.8 without, 78.8 with dropout, 82.1 with byte dropout too",
            *(where, both, True, "the same network without dropout", mean("both languages"), mean("with dropout"), seeds),
        ),
        Claim(
            "One network for both languages is better in the one with little data than a network for it alone",
            "1 to 5 points in F1 of names; the languages with little data gain most",
            *(f"{where}, Turkish", f1, True, "the same network, as many updates on Turkish alone"),
            *(of("Turkish alone", "Turkish"), of("both languages", "Turkish"), seeds),
        ),
        Claim(
            "Attention and reading in both directions make better spans than the paper's network without them",
            "not tried",
            *(where, both, True, "the same network without attention, reading in one direction"),
            *(mean("no attention"), mean("both languages"), seeds),
        ),
        Claim(
            "From bytes alone spans are as good as from words with features",
            "close to the best systems, which are given the words",
            *(where, both, True, "logistic regression that is given the words", mean("log-linear"), mean("both languages"), seeds),
        ),
    ]


def figure(curves):
    """Scores on development sentences over the updates."""
    return plots.learning_curves([curves], ["development sentences"], "updates", "mean F1 of spans, percent")


if __name__ == "__main__":
    main()
