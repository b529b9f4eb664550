"""Multi-task learning of sequences: does a second task help translation, and how much does it depend on the mixing ratio?

    KERAS_BACKEND=jax python applications/multi_task_seq2seq/train.py

English to German descriptions of pictures (Multi30k) are the reference task. Beside it stand, at two or three mixing ratios: parts of
speech of English sentences (UD's web treebank; one encoder, two decoders), German captions of vectors, which are made of English
descriptions of other pictures (two encoders, one decoder), auto-encoders of both languages, and the next sentence of English fiction
(Brown). All arms have as many updates of the reference task.
"""

from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import MultiTaskSeq2Seq
from zoo.evidence import Choice, Claim
from zoo.metrics import bleu
from zoo.plots.figure import new_figure

LONGEST, WORDS, PAIRS, MORE, VECTOR, BATCH, EPOCHS = 12, 2000, 5000, 8000, 64, 32, 16
NETWORK = {"embedding_size": 64, "units": 128, "source_length": LONGEST, "target_length": LONGEST}
# of Adam, chosen for translation alone, with a seed of its own
RATES = (1e-3, 2e-3, 4e-3)
RATIOS = (0.01, 0.1, 1.0)
# name of an arm -> its tasks beside translation, which have the smallest ratio where the paper has it
ARMS = {
    "tags": ("tags",),
    "captions": ("captions",),
    "auto-encoders": ("autoencoder", "german autoencoder"),
    "next sentences": ("next",),
}
TASKS = {
    "translation": ("english", "german"),
    "tags": ("english", "tags"),
    "captions": ("vector", "german"),
    "autoencoder": ("english", "english"),
    "german autoencoder": ("german", "german"),
    "next": ("english", "english"),
}
DATA = """Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0), descriptions of at most 12 words; Universal Dependencies' English Web Treebank
(CC BY-SA 4.0); fiction of the Brown corpus."""
NOTES = f"""{PAIRS:,} pairs, {EPOCHS} times, in batches of {BATCH}; {WORDS:,} words of each language; networks of {NETWORK["units"]} units
without attention. The rate of Adam that was chosen for translation alone is that of all arms. A ratio is the updates of all other tasks
together for one of translation. Vectors are {VECTOR} numbers of English descriptions that translation does not see, a decomposition of
their words by TF-IDF, in the place of features of pictures. The paper translates 4.5 million pairs with 4 layers of 1,000 units; its
second tasks are parsing, captions of pictures, and both unsupervised ones. What helps most here is the German that a second task brings:
captions, and auto-encoders at as many updates. Tags at as many updates raise BLEU alone, next sentences nothing."""


def read(quick):
    """Pairs of texts by task, to learn from, to choose by and to test on."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    def pairs(part):
        english, german = datasets.multi30k(part)
        lines = list(zip(text.tokenize(english), text.tokenize(german)))
        return [
            [" ".join(line) for line in side] for side in zip(*[pair for pair in lines if max(map(len, pair)) <= LONGEST and all(pair)])
        ]

    count, more = (300, 300) if quick else (PAIRS, MORE)
    english, german = pairs("train")
    order = np.random.default_rng(0).permutation(len(english))
    english, german = [english[i] for i in order], [german[i] for i in order]
    others = slice(count, count + more)
    vectors = make_pipeline(TfidfVectorizer(min_df=3), TruncatedSVD(VECTOR, random_state=0)).fit_transform(english[others])
    tagged = [(one.words[:LONGEST], one.pos[:LONGEST]) for one in datasets.english_web_treebank() if one.words][:more]
    fiction = [
        [" ".join(words[:LONGEST]) for words in one.sentences if words] for one in datasets.brown(["fiction", "romance", "adventure"])
    ]
    following = [pair for document in fiction for pair in zip(document, document[1:])][:more]
    return {
        "translation": (english[:count], german[:count]),
        "captions": (vectors.astype("float32") / vectors.std(), german[others]),
        "tags": tuple([" ".join(line) for line in side] for side in zip(*tagged)),
        "autoencoder": (english[others], english[others]),
        "german autoencoder": (german[others], german[others]),
        "next": tuple(map(list, zip(*following))),
        "validation": tuple(side[: 30 if quick else 400] for side in pairs("val")),
        "test": tuple(side[: 30 if quick else 700] for side in pairs("test_2016_flickr")),
    }


def built(data, others, ratio):
    """A model of translation and other tasks, which have so many updates together for one of translation."""
    tasks = {name: TASKS[name] for name in ("translation", *others)}
    sides = {"english": data["translation"][0] + data["autoencoder"][0], "german": data["translation"][1] + data["german autoencoder"][1]}
    words = {name: text.learn_vocabulary(lines, WORDS) for name, lines in sides.items()}
    words["tags"] = [tag.lower() for tag in datasets.POS_TAGS]
    readers = {name: VECTOR if name == "vector" else words[name] for name, _ in tasks.values()}
    ratios = {name: ratio / len(others) for name in others}
    return MultiTaskSeq2Seq(readers, {name: words[name] for _, name in tasks.values()}, tasks, ratios, **NETWORK)


def learned(data, others, ratio, seed, rate, quick):
    """A model after `EPOCHS` passings of the pairs of translation."""
    keras.utils.set_random_seed(seed)
    model = built(data, others, ratio)
    model.optimizer.learning_rate = rate
    pairs = {name: data[name] for name in ("translation", *others)}
    model.fit(model.mixed(pairs, BATCH, seed), epochs=1 if quick else EPOCHS, verbose=0)
    return model


def measured(model, part):
    """Perplexity of a word and BLEU of translations."""
    words = sum(len(line.split()) + 1 for line in part[1])
    perplexity = float(np.exp(-model.log_likelihood("translation", *part).sum() / words))
    return {"perplexity": perplexity, "BLEU": bleu(model.write("translation", part[0]), part[1], tokenize="none")}


def arms():
    """Other tasks and ratio by name of the arm."""
    found = {"translation alone": ((), 1.0)}
    for name, others in ARMS.items():
        ratios = RATIOS if name in ("tags", "captions") else RATIOS[1:]
        found.update({f"{name}, {ratio:g}": (others, ratio) for ratio in ratios})
    return found


def compared(data, seeds, rate, quick):
    """Perplexity and BLEU by arm and ratio."""
    found = {}
    for name, (others, ratio) in arms().items():
        found[name] = [measured(learned(data, others, ratio, seed, rate, quick), data["test"]) for seed in track(seeds, name)]
        print(name, {key: np.round([row[key] for row in found[name]], 2).tolist() for key in found[name][0]}, flush=True)
    return found


def claims(found, seeds):
    """What the paper says, and what came out."""
    claim = partial(Claim, dataset="test descriptions, English to German", seeds=seeds)
    perplexity, score = {"metric": "perplexity", "higher_is_better": False}, {"metric": "BLEU", "higher_is_better": True}
    result = []

    def compare(sentence, paper, ours, theirs, kind, matters):
        values, baseline = ([row[kind["metric"]] for row in found[name]] for name in (ours, theirs))
        result.append(claim(sentence, paper, baseline=theirs, baseline_values=baseline, values=values, matters=matters, **kind))

    alone, (little, some, much) = "translation alone", (f"{ratio:g}" for ratio in RATIOS)
    for name, paper in (("tags", "table 3: +1.5 BLEU by parsing"), ("captions", "table 4: +0.7"), ("next sentences", "table 5: helps")):
        compare(f"{name} help translation ({some})", paper, f"{name}, {some}", alone, perplexity, 0.3)
        compare(f"{name} help translation ({some}), BLEU", paper, f"{name}, {some}", alone, score, 0.3)
    compare(f"Auto-encoders do not help translation ({some})", "table 5: worse in BLEU", alone, f"auto-encoders, {some}", score, 0.3)
    compare("A little of tags is enough", "table 3: a ratio of 0.01 is best", f"tags, {little}", f"tags, {much}", perplexity, 0.3)
    compare("Next sentences help more than auto-encoders", "table 5", f"next sentences, {some}", f"auto-encoders, {some}", perplexity, 0.3)
    return result


def summary(found):
    """All mean figures."""
    lines = ["", "", "| tasks beside translation, mixing ratio | perplexity | BLEU |", "|---|---|---|"]
    for name, rows in found.items():
        lines.append(f"| {name} | {np.mean([row['perplexity'] for row in rows]):.2f} | {np.mean([row['BLEU'] for row in rows]):.2f} |")
    return "\n".join(lines)


def figure(found):
    """Perplexity of translation by mixing ratio."""
    drawn = new_figure(6, 3.6)
    axis = drawn.subplots()
    axis.axhline(np.mean([row["perplexity"] for row in found["translation alone"]]), color="black", label="translation alone")
    for name in ARMS:
        points = [
            (ratio, np.mean([row["perplexity"] for row in found[f"{name}, {ratio:g}"]]))
            for ratio in RATIOS
            if f"{name}, {ratio:g}" in found
        ]
        axis.plot(*zip(*points), marker="o", label=name)
    axis.set_xscale("log")
    axis.set_xlabel("updates of the other task for one of translation")
    axis.set_ylabel("perplexity of a translated word")
    axis.legend(fontsize=8)
    return drawn


def main():
    """Choose the rate, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "multi_task_seq2seq_multi30k")
    data = read(args.quick)
    rates = RATES[:1] if args.quick else RATES
    scores = {rate: measured(learned(data, (), 1.0, 1000, rate, args.quick), data["validation"])["perplexity"] for rate in rates}
    rate = min(scores, key=scores.get)
    print("validation:", scores, flush=True)
    found = compared(data, args.seeds, rate, args.quick)
    shipped = learned(data, ("tags",), RATIOS[1], 0, rate, args.quick)
    print("shipped:", measured(shipped, data["validation"]), shipped.write("tags", ["the dog runs across the street ."]), flush=True)
    choice = Choice(
        "400 validation pairs, translation alone, another seed", f"rate {rate:g} for all arms", {"translation alone": len(rates)}
    )
    evidence.publish(shipped, args, claims(found, args.seeds), DATA, NOTES + summary(found), figure(found), choices=[choice])


if __name__ == "__main__":
    main()
