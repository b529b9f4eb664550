"""Larger-context language models: does a sentence become likelier when those before it are known, and how are they best read?

    KERAS_BACKEND=jax python applications/larger_context_lm/train.py

Film reviews and the Brown corpus, sentence by sentence. All arms see the same sentences the same number of times. Beside the LSTM that
reads each sentence for itself stand one with as many parameters as the largest arm, and one that just reads a longer sequence.
"""

from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import LargerContextLM
from zoo.evidence import Choice, Claim
from zoo.plots.figure import new_figure

WORDS, LONGEST, SENTENCES, TRAIN, HELD_OUT = 2000, 30, 4, 38000, 1000
RATES = (2e-3, 4e-3, 8e-3)
PLAIN = {"context": "none"}
ARMS = {
    "LSTM": PLAIN,
    "larger LSTM": {**PLAIN, "units": 192},
    "longer sequence": PLAIN,
    **{
        f"{context}, {fusion}": {"context": context, "fusion": fusion}
        for fusion in ("early", "late")
        for context in ("bag", "sequence", "attention")
    },
}
BEST = "attention, late"
SWEEP = (1, 8)
# of Brown's tags, by how they begin
KINDS = {
    "nouns": "nn",
    "proper nouns": "np",
    "verbs": "vb",
    "adjectives": "jj",
    "determiners": "at",
    "prepositions": "in",
    "pronouns": "pp",
}
DATA = """Sentences in their order: reviews of the Large Movie Review Dataset (Maas et al. 2011); the Brown corpus, a tenth of its
documents held out."""
NOTES = f"""The class as it is by default, over {WORDS:,} words; {TRAIN:,} sentences of at most {LONGEST} words, once, in batches of about
one length; {SENTENCES} sentences before each. {HELD_OUT:,} held-out sentences. The longer sequence is {SENTENCES + 1} sentences read as
one text in training, the last of which counts in the test. The larger LSTM has as many parameters as the arm with attention. The paper's
corpora are IMDB, the BBC's and the Penn Treebank, its LSTM has 1,000 units, and it trains to the end. The shipped model, which the list of
differences is of, is a small one. After one passing every arm still learns the words of its own sentence: more parameters help more than
any context, and of the contexts the simplest most."""


def cut(sentence):
    """A sentence of words as a text, not too long."""
    return " ".join(sentence[:LONGEST])


def reviews(quick):
    """Documents, lists of sentences: to learn from, to choose by, to test on."""
    (train, _), (test, _), _ = datasets.imdb_reviews()
    found = {}
    for part, texts in {"train": train[:3000], "validation": test[:200], "test": test[200:600]}.items():
        documents = []
        for words in text.tokenize([one.replace("<br />", " ") for one in texts[: 40 if quick else None]]):
            ends = [i for i, word in enumerate(words) if word in ".!?"]
            documents.append([cut(words[start + 1 : end + 1]) for start, end in zip([-1, *ends], ends) if end > start + 1])
        found[part] = [document for document in documents if document]
    return found


def brown(quick):
    """The same of the Brown corpus, and the tags of the test sentences."""
    documents = datasets.brown()[: 30 if quick else None]
    rows = [[(cut(words).lower(), tags[:LONGEST]) for words, tags in zip(one.sentences, one.tags) if words] for one in documents]
    lines = [[sentence for sentence, _ in row] for row in rows]
    return {
        "train": [row for i, row in enumerate(lines) if i % 10 > 1],
        "validation": lines[1::10],
        "test": lines[::10],
        "tags": [tags for row in rows[::10] for _, tags in row],
    }


def chosen_rows(count, total):
    """Some of so many, always the same."""
    return np.random.default_rng(0).permutation(total)[:count]


def pick(documents, count, sentences=SENTENCES):
    """Sentences with those before them, and their numbers."""
    found = text.with_contexts(documents, sentences)
    rows = chosen_rows(count, len(found))
    return [found[i] for i in rows], rows


def fit(model, texts, seed, sentences=1):
    """One passing of texts, those of about one length together; `sentences` of a text, so that updates have as many."""
    batch = max(1, model.default_batch_size // sentences)
    model.fit(text.LengthBuckets(model.encode(texts), batch_size=batch, step=10, seed=seed), verbose=0)


def learned(data, arm, options, seed, rate, quick):
    """A trained model."""
    keras.utils.set_random_seed(seed)
    vocabulary = text.learn_vocabulary([one.split() for document in data["train"] for one in document], WORDS)
    options = {**options, "length": LONGEST * (SENTENCES + 1)} if arm == "longer sequence" else {**options, "length": LONGEST}
    model = LargerContextLM(vocabulary, **options)
    model.optimizer.learning_rate = rate
    count = 200 if quick else TRAIN
    if arm == "longer sequence":
        windows = [" ".join(document[i : i + SENTENCES + 1]) for document in data["train"] for i in range(0, len(document), SENTENCES + 1)]
        texts = [windows[i] for i in chosen_rows(count // (SENTENCES + 1), len(windows))]
    else:
        texts, _ = pick(data["train"], count, options.get("sentences", SENTENCES))
    fit(model, texts, seed, SENTENCES + 1 if arm == "longer sequence" else 1)
    return model


def nats(model, arm, texts):
    """Of each word of the last sentences, and their ends."""
    if arm != "longer sequence":
        return model.word_nats(texts)
    rows = model.word_nats([" ".join(part) for part in texts])
    # an end that stands behind the last sentence alone
    return [row[-len(part[-1].split()) - 1 :] for row, part in zip(rows, texts)]


def perplexity(model, arm, texts):
    """Of a word of the last sentences, ends aside, which a longer sequence has of another kind."""
    return float(np.exp(np.concatenate([row[:-1] for row in nats(model, arm, texts)]).mean()))


def compared(data, arms, seeds, rate, quick):
    """Perplexity by arm, and nats of each word of the first seed's."""
    found = {}
    for arm, options in arms.items():
        texts, _ = pick(data["test"], 50 if quick else HELD_OUT, options.get("sentences", SENTENCES))
        models = (learned(data, arm, options, seed, rate, quick) for seed in track(seeds, arm))
        found[arm] = [(perplexity(model, arm, texts), nats(model, arm, texts)) for model in models]
        print(arm, [round(value, 2) for value, _ in found[arm]], flush=True)
    return found


def chosen_rate(data, quick):
    """The rate of the plain LSTM that is best in validation; all arms have it."""
    texts, _ = pick(data["validation"], 50 if quick else HELD_OUT)
    scores = {rate: perplexity(learned(data, "LSTM", PLAIN, 1000, rate, quick), "LSTM", texts) for rate in RATES}
    print("validation:", scores, flush=True)
    return min(scores, key=scores.get)


def by_kind(found, data, quick):
    """Perplexity of words by part of speech, of both arms."""
    _, rows = pick(data["test"], 50 if quick else HELD_OUT)
    table = {}
    for arm, runs in found.items():
        values = {kind: [] for kind in KINDS}
        for _, all_nats in runs:
            for row, number in zip(all_nats, rows):
                # words as the model has them are sometimes others than those with tags
                tags = data["tags"][number] if len(data["tags"][number]) == len(row) - 1 else ()
                for value, tag in zip(row, tags):
                    for kind, start in KINDS.items():
                        if tag.lower().startswith(start):
                            values[kind].append(value)
        table[arm] = {kind: float(np.exp(np.mean(some))) if some else float("nan") for kind, some in values.items()}
    return table


def claims(found, sweep, corpus, seeds):
    """What the paper says, and what came out."""
    claim = partial(Claim, metric="perplexity", higher_is_better=False, seeds=seeds, matters=0.5)
    where = f"{HELD_OUT} held-out sentences of film reviews"
    values = {arm: [value for value, _ in runs] for arm, runs in {**found, **sweep}.items()}
    pairs = [
        ("Sentences before make words likelier", "tables 1 to 3", BEST, "LSTM"),
        ("They help more than as many parameters", "not in the paper", BEST, "larger LSTM"),
        ("They help more than just a longer sequence", "not in the paper", BEST, "longer sequence"),
        *(
            (f"Late fusion is better than early ({kind})", "section 5: late fusion in all cases", f"{kind}, late", f"{kind}, early")
            for kind in ("bag", "sequence", "attention")
        ),
        ("Attention is better than one bag", "table 1", BEST, "bag, late"),
        ("Attention is better than a sequence that ends in one vector", "table 1", BEST, "sequence, late"),
        ("Four sentences help more than one", "figure 2", BEST, f"{BEST}, 1 before"),
        ("Eight sentences help more than four", "figure 2", f"{BEST}, 8 before", BEST),
    ]
    result = [
        claim(sentence, paper, where, baseline=theirs, baseline_values=values[theirs], values=values[ours])
        for sentence, paper, ours, theirs in pairs
        # a quick run has few arms
        if {ours, theirs} <= set(values)
    ]
    ours, theirs = ([value for value, _ in corpus[arm]] for arm in (BEST, "LSTM"))
    other = f"{HELD_OUT} held-out sentences of the Brown corpus"
    sentence = "Sentences before make words likelier (Brown)"
    return [*result, claim(sentence, "tables 1 to 3", other, baseline="LSTM", baseline_values=theirs, values=ours)]


def summary(found, sweep, corpus, kinds):
    """All mean figures."""
    lines = ["", "", "| perplexity | film reviews |", "|---|---|"]
    lines += [f"| {arm} | {np.mean([value for value, _ in runs]):.1f} |" for arm, runs in {**found, **sweep}.items()]
    lines += ["", "| Brown | all | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 2) + "|"]
    for arm, row in kinds.items():
        mean = np.mean([value for value, _ in corpus[arm]])
        lines.append(f"| {arm} | {mean:.1f} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    return "\n".join(lines)


def figure(found):
    """Perplexity of all arms."""
    drawn = new_figure(6, 3.6)
    axis = drawn.subplots()
    means = [np.mean([value for value, _ in runs]) for runs in found.values()]
    axis.barh(range(len(means)), means, xerr=[np.std([value for value, _ in runs]) for runs in found.values()])
    axis.set_yticks(range(len(means)), found, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0.9 * min(means), None)
    axis.set_xlabel("perplexity of a word, film reviews", fontsize=9)
    return drawn


def shipped(data, rate, quick):
    """A small model."""
    keras.utils.set_random_seed(0)
    vocabulary = text.learn_vocabulary([one.split() for document in data["train"] for one in document], 1000)
    model = LargerContextLM(vocabulary, embedding_size=32, units=64, context_units=32, length=LONGEST)
    model.optimizer.learning_rate = rate
    fit(model, pick(data["train"], 200 if quick else TRAIN)[0], 0)
    print("shipped:", perplexity(model, BEST, pick(data["validation"], 50 if quick else HELD_OUT)[0]), flush=True)
    return model


def main():
    """Choose the rate, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "larger_context_lm_imdb")
    data, other = reviews(args.quick), brown(args.quick)
    rate = RATES[0] if args.quick else chosen_rate(data, args.quick)
    run = partial(compared, seeds=args.seeds, rate=rate, quick=args.quick)
    found = run(data, {arm: ARMS[arm] for arm in ("LSTM", BEST)} if args.quick else ARMS)
    sweep = run(data, {f"{BEST}, {n} before": {**ARMS[BEST], "sentences": n} for n in (() if args.quick else SWEEP)})
    corpus = run(other, {arm: ARMS[arm] for arm in ("LSTM", BEST)})
    notes = NOTES + summary(found, sweep, corpus, by_kind(corpus, other, args.quick))
    choice = Choice(
        f"{HELD_OUT} validation sentences of film reviews, another seed",
        f"rate {rate:g}, of the plain LSTM, for all arms",
        {"all": len(RATES)},
    )
    evidence.publish(
        shipped(data, rate, args.quick), args, claims(found, sweep, corpus, args.seeds), DATA, notes, figure(found), choices=[choice]
    )


if __name__ == "__main__":
    main()
