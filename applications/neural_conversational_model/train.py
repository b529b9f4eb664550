"""A neural conversational model against n-grams and retrieval, and what turns, layers and attention are worth to it.

    KERAS_BACKEND=jax python applications/neural_conversational_model/train.py

Chats of two people (chitchat). Perplexity is that of a word of a reply, its end included. There are no people to judge replies here: how
often the conversation that a reply belongs to is told from nine others stands in for them, as a proxy.
"""

from functools import partial

import keras
import numpy as np

from zoo import evidence, text
from zoo.applications import NeuralConversationalModel
from zoo.evidence import Choice, Claim, first_share, right_before, with_distractors
from zoo.metrics import distinct_ngrams
from zoo.plots.figure import new_figure

WORDS, LONGEST, READ, PAIRS, EPOCHS, HELD_OUT, CANDIDATES = 2000, 15, 30, 65000, 2, 1000, 10
RATES = (4e-3, 8e-3)
ARMS = {
    "one turn": {},
    "three turns": {"turns": 3, "source_length": 2 * READ},
    "two layers": {"num_layers": 2},
    "attention": {"attention": "general"},
}
PLAIN = "one turn"
NOTES = f"""The class as it is by default, but for texts of at most {READ} ({2 * READ} of three turns) and {LONGEST} words; {WORDS:,}
words; {PAIRS:,} replies, {EPOCHS} times, in batches of about one length (rates are chosen by one pass). {HELD_OUT:,} test replies. The
n-grams read the turn before as the model does, are smoothed as Witten and Bell have it (NLTK), and know the same words. Retrieval
compares the message, or the reply of the training message that is nearest to it, with a reply, by the cosine of TF-IDF, whichever is
better in validation. To tell the conversation of a reply among {CANDIDATES} is a proxy for people's judgement; so is to find the right
reply among as many, where replies that fit anywhere are ahead. The paper's help desk has 30 million words, its subtitles a billion; here
are a million, and the one help desk at hand (chatterbot's) has 1,050 exchanges of which few differ, too few to hold some out. Two passes
are few: two layers learn more slowly than one, and attention, which is no better by perplexity, tells conversations apart more often. The
shipped model, which the list of differences is of, is a small one."""


def read(quick):
    """Pairs by part and number of turns."""
    counts = {"train": 300 if quick else PAIRS, "validation": 50 if quick else HELD_OUT, "test": 50 if quick else HELD_OUT}
    return {(part, turns): evidence.chat_exchanges(part, count, turns, LONGEST) for part, count in counts.items() for turns in (1, 3)}


def learned(data, options, seed, rate, epochs=EPOCHS, **sizes):
    """A trained model."""
    keras.utils.set_random_seed(seed)
    before, replies = data["train", options.get("turns", 1)]
    words = text.learn_vocabulary([turn for turns in data["train", 1][0] for turn in turns] + data["train", 1][1], WORDS)
    options = {"source_length": READ, "target_length": LONGEST, **options, **sizes}
    model = NeuralConversationalModel(words[: options.pop("words", WORDS)], **options)
    batches = text.LengthBuckets(model.encode(before, replies), batch_size=model.default_batch_size, step=10, seed=seed)
    model.optimizer.learning_rate = rate
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def perplexity(model, before, replies):
    """Of a word of replies."""
    words = sum(len(line.split()) + 1 for line in replies)
    return float(np.exp(-model.log_likelihood(before, replies).sum() / words))


def measured(model, data, part, turns):
    """Perplexity, and how often the right conversation, and the right reply by the mean of a word, is first."""
    before, replies = data[part, turns]
    return {
        "perplexity": perplexity(model, before, replies),
        "right before": right_before(model.log_likelihood, before, replies),
        "right reply": first_share(model.rank(before, with_distractors(replies), 1.0)),
    }


def ngrams(data, order):
    """Perplexity of replies under an interpolated model of so many words, which reads on from the turn before."""
    from nltk.lm import WittenBellInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline
    from nltk.util import pad_sequence

    known = set(text.learn_vocabulary([turn for turns in data["train", 1][0] for turn in turns] + data["train", 1][1], WORDS))

    def lines(part):
        before, replies = data[part, 1]
        words = [[word if word in known else "<unknown>" for word in line] for line in text.tokenize([turns[-1] for turns in before])]
        answers = [[word if word in known else "<unknown>" for word in line.split()] for line in replies]
        return [([*one[-READ:], text.TURN], other) for one, other in zip(words, answers)]

    model = WittenBellInterpolated(order)
    model.fit(*padded_everygram_pipeline(order, [one + other for one, other in lines("train")]))
    total, count = 0.0, 0
    options = {"n": order, "pad_left": True, "pad_right": True, "left_pad_symbol": "<s>", "right_pad_symbol": "</s>"}
    for one, other in lines("test"):
        padded, start = list(pad_sequence(one + other, **options)), order - 1 + len(one)
        places = range(start, start + len(other) + 1)
        total += sum(model.logscore(padded[i], padded[i - order + 1 : i]) for i in places)
        count += len(places)
    return float(2 ** (-total / count))


def retrieval(data):
    """How often TF-IDF finds the right conversation, by message and by the nearest message's reply; by part."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    before, replies = data["train", 1]
    vectors = TfidfVectorizer(sublinear_tf=True).fit([turns[-1] for turns in before] + replies)
    known = vectors.transform([turns[-1] for turns in before])

    def message(turns):
        return vectors.transform([one[-1] for one in turns])

    def nearest(turns):
        return vectors.transform([replies[i] for i in np.asarray((message(turns) @ known.T).argmax(axis=1)).ravel()])

    def likes(side):
        return lambda turns, answers: np.asarray(side(turns).multiply(vectors.transform(answers)).sum(axis=1)).ravel()

    ways, parts = {"message": message, "nearest": nearest}, ("validation", "test")
    return {name: {part: right_before(likes(side), *data[part, 1]) for part in parts} for name, side in ways.items()}


def claims(found, grams, best_retrieval, seeds):
    """What the paper says, and what came out."""
    where = f"{HELD_OUT} held-out replies of chats"

    def perplexities(sentence, paper, ours, theirs, margin=0.0):
        values = [row["perplexity"] for row in found[ours]]
        other = [row["perplexity"] for row in found[theirs]] if theirs in found else [grams[theirs]] * len(values)
        return Claim(sentence, paper, where, "perplexity", False, theirs, other, values, seeds, matters=0.5, margin=margin)

    share = {"metric": f"right conversation first among {CANDIDATES}", "higher_is_better": True}
    shares = [row["right before"] for row in found[PLAIN]]
    return [
        perplexities("The model is better than a smoothed 5-gram", "section 4: 8 against 18, 17 against 28", PLAIN, "5-gram"),
        perplexities("The model is better than a smoothed trigram", "not in the paper", PLAIN, "3-gram"),
        perplexities("Three turns are better than one", "section 4.1 reads the whole conversation", "three turns", PLAIN),
        perplexities("Two layers are better than one", "section 4.2 has two", "two layers", PLAIN),
        perplexities("A model without attention is as good (within 0.5)", "section 4.2: attention did not help", PLAIN, "attention", 0.5),
        Claim(
            "The model tells what a reply belongs to more often than retrieval (a proxy)",
            "section 4.4: people prefer it to CleverBot",
            where,
            baseline="TF-IDF",
            baseline_values=[best_retrieval] * len(shares),
            values=shares,
            seeds=seeds,
            matters=0.01,
            **share,
        ),
    ]


def summary(found, grams, shares):
    """All mean figures."""
    lines = ["", "", f"| arm | perplexity | right conversation first among {CANDIDATES} | right reply first |", "|---|---|---|---|"]
    for arm, rows in found.items():
        mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        lines.append(f"| {arm} | {mean['perplexity']:.1f} | {mean['right before']:.3f} | {mean['right reply']:.3f} |")
    lines += [f"| {name} | {value:.1f} | | |" for name, value in grams.items()]
    lines += [f"| TF-IDF, {name} | | {share['test']:.3f} | |" for name, share in shares.items()]
    return "\n".join(lines)


def figure(found, grams):
    """Perplexities."""
    drawn = new_figure(6, 3)
    axis, names = drawn.subplots(), [*found, *grams]
    means = [np.mean([row["perplexity"] for row in found[arm]]) for arm in found] + list(grams.values())
    axis.barh(range(len(names)), means)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("perplexity of a word of a reply", fontsize=9)
    return drawn


def main():
    """Choose rates, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "neural_conversational_model_chitchat")
    data, rates, epochs = read(args.quick), RATES[:1] if args.quick else RATES, 1 if args.quick else EPOCHS

    def tried(arm, rate):
        options = ARMS[arm]
        return perplexity(learned(data, options, 1000, rate, epochs=1), *data["validation", options.get("turns", 1)])

    def tested(arm, seed):
        options = ARMS[arm]
        return measured(learned(data, options, seed, chosen[arm], epochs), data, "test", options.get("turns", 1))

    grams = evidence.finished(args, "n-grams", {f"{order}-gram": partial(ngrams, data, order) for order in (5, 3)})
    shares = evidence.finished(args, "TF-IDF", {"shares": partial(retrieval, data)})["shares"]
    found, chosen = {}, {}
    for arm in ARMS:
        scores = evidence.finished(args, f"rates of {arm}", {str(rate): partial(tried, arm, rate) for rate in rates})
        chosen[arm] = float(min(scores, key=scores.get))
        found[arm] = list(evidence.finished(args, arm, {str(seed): partial(tested, arm, seed) for seed in args.seeds}).values())
    way = max(shares, key=lambda name: shares[name]["validation"])
    small = learned(data, ARMS["three turns"], 0, chosen["three turns"], epochs, words=1500, embedding_size=48, units=64)
    asked = [["hello !", "hi , how are you ?"], ["do you like music ?"], ["what do you study ?"]]
    print("shipped:", measured(small, data, "validation", 3), small.respond(asked), flush=True)
    print("distinct words of its replies:", distinct_ngrams(small.respond(data["validation", 3][0][:200], beams=1)), flush=True)
    settings = ", ".join(f"{arm} {rate:g}" for arm, rate in chosen.items())
    choices = [
        Choice(f"{HELD_OUT} validation replies, another seed", f"rates: {settings}", dict.fromkeys(ARMS, len(rates))),
        Choice(f"{HELD_OUT} validation replies", f"retrieval by {way}", {"TF-IDF": 2}),
    ]
    notes, best = NOTES + summary(found, grams, shares), shares[way]["test"]
    evidence.publish(small, args, claims(found, grams, best, args.seeds), evidence.CHATS, notes, figure(found, grams), choices=choices)


if __name__ == "__main__":
    main()
