"""Does an intention network help a conversation, against none and against all turns as one text? The comparison that the paper lacks.

    KERAS_BACKEND=jax python applications/attention_with_intention/train.py

Chats of two people (chitchat), cut into rows of four exchanges. All arms learn the same replies as often; perplexity is that of the words
of the last replies of rows, by how many exchanges came before.
"""

from functools import partial

import keras
import numpy as np

from zoo import datasets, evidence, text
from zoo.applications import AttentionWithIntention, NeuralConversationalModel
from zoo.evidence import Choice, Claim, first_share, right_before, with_distractors
from zoo.plots.figure import new_figure

WORDS, LENGTH, EXCHANGES, ROWS, EPOCHS, HELD_OUT = 2000, 16, 4, 14000, 3, 1000
EARLIER = EXCHANGES - 1
# rows of a batch
BATCH = 8
RATES = (1e-3, 2e-3, 4e-3)
ARMS = ("intention", "none", "one text")
NOTES = f"""The class as it is by default, but for turns of at most {LENGTH} words; {WORDS:,} words; {ROWS:,} rows of {EXCHANGES}
messages and replies, {EPOCHS} times, {BATCH} rows in a batch (rates are chosen by one pass). {HELD_OUT:,} test replies, each with
up to {EARLIER} exchanges before its message. "None" is the same model without its intention network: encoder and decoder with
attention, that know the message alone. "One text" is `NeuralConversationalModel` with attention, which reads all turns of a row
as one text, of at most 80 words, and has every reply of the rows for a target. The paper has a help desk of Microsoft's, 10,000
dialogues, and gives a perplexity without comparison. At the lowest rate all arms learn alike; the two without an intention
network go on to learn faster at higher rates, which a chain of networks through all exchanges of a row does not stand. The
shipped model, which the list of differences is of, is a small one."""


def cut(conversations):
    """Turns of the first words."""
    lines = text.tokenize([turn for one in conversations for turn in one])
    found = iter(" ".join(line[:LENGTH]) for line in lines)
    return [[next(found) for _ in one] for one in conversations]


def read(quick):
    """Conversations by part, in pieces of a row."""
    found = {}
    for part, count in {"train": ROWS, "validation": HELD_OUT, "test": HELD_OUT}.items():
        size, pieces = 2 * EXCHANGES, []
        for one in cut(datasets.chitchat(part)[: 20 if quick else None]):
            pieces += [one[i : i + size] for i in range(0, len(one) - 1, size)]
        pieces = [piece[: len(piece) // 2 * 2] for piece in pieces if all(turn.strip() for turn in piece)]
        order = np.random.default_rng(0).permutation(len(pieces))[: 40 if quick else count]
        found[part] = [pieces[i] for i in order if pieces[i]]
    return found


def learned(data, arm, seed, rate, epochs=EPOCHS, words=WORDS, **sizes):
    """A trained model."""
    keras.utils.set_random_seed(seed)
    vocabulary = text.learn_vocabulary([turn for one in data["train"] for turn in one], words)
    if arm == "one text":
        options = {"turns": 2 * EXCHANGES - 1, "source_length": 80, "target_length": LENGTH, "attention": "general"}
        model = NeuralConversationalModel(vocabulary, **options)
        pairs = [(one[:i], one[i]) for one in data["train"] for i in range(1, len(one), 2)]
        x = model.encode(*map(list, zip(*pairs)))
        batches = text.LengthBuckets(x, batch_size=BATCH * EXCHANGES, step=20, seed=seed)
    else:
        lengths = {"exchanges": EXCHANGES, "source_length": LENGTH, "target_length": LENGTH}
        model = AttentionWithIntention(vocabulary, **lengths, intention=arm == "intention", **sizes)
        rows = model.fit_rows(data["train"])
        # whole batches: one of another size would be compiled anew
        batches = {name: ids[: max(BATCH, len(ids) // BATCH * BATCH)] for name, ids in rows.items()}
    model.optimizer.learning_rate = rate
    model.fit(batches, batch_size=None if arm == "one text" else BATCH, epochs=epochs, verbose=0)
    return model


def measured(model, pieces):
    """Perplexity of the last replies, by number of exchanges before, and how often the right one is first."""
    turns, replies = [piece[:-1] for piece in pieces], [piece[-1] for piece in pieces]
    nats, words = -model.log_likelihood(turns, replies), np.array([len(reply.split()) + 1 for reply in replies])
    before = np.array([len(piece) // 2 - 1 for piece in pieces])
    found = {f"{n} before": float(np.exp(nats[before == n].sum() / words[before == n].sum())) for n in sorted(set(before.tolist()))}
    first = {
        "right conversation": right_before(model.log_likelihood, turns, replies),
        "right reply": first_share(model.rank(turns, with_distractors(replies), 1.0)),
    }
    return {"perplexity": float(np.exp(nats.sum() / words.sum())), **first, **found}


def claims(found, seeds):
    """What the paper would have to show, and what came out."""
    claim = partial(Claim, dataset=f"{HELD_OUT} held-out replies of chats", seeds=seeds)
    result = []
    for arm, words in (("none", "no intention network"), ("one text", "all turns as one text")):
        for metric, name, better, matters in (
            ("perplexity", "perplexity", False, 0.5),
            ("right conversation", "right conversation first among 10", True, 0.01),
        ):
            values, baseline = ([row[metric] for row in found[one]] for one in ("intention", arm))
            arms = {"baseline": words, "baseline_values": baseline, "values": values}
            sentence = f"An intention network is better than {words} ({name})"
            result.append(claim(sentence, "no comparison", metric=name, higher_is_better=better, matters=matters, **arms))
    late, early = ([row[f"{n} before"] for row in found["intention"]] for n in (EXCHANGES - 1, 0))
    other = [[row[f"{n} before"] for row in found["none"]] for n in (EXCHANGES - 1, 0)]
    gains = [np.log(np.array(theirs) / np.array(ours)).tolist() for ours, theirs in zip((late, early), other)]
    sentence = "The gain over no intention network is larger late in a conversation"
    arms = {"baseline": "first exchanges", "baseline_values": gains[1], "values": gains[0]}
    result.append(claim(sentence, "the idea of the paper", metric="nats of a word", higher_is_better=True, matters=0.005, **arms))
    return result


def summary(found, tries):
    """All mean figures, and validation perplexity by rate."""
    metrics = list(found["intention"][0])
    lines = ["", "", "| arm | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for arm, rows in found.items():
        lines.append(f"| {arm} | " + " | ".join(f"{np.mean([row[name] for row in rows]):.3g}" for name in metrics) + " |")
    lines += ["", "Validation perplexity after one pass, by rate:", "", "| arm | " + " | ".join(next(iter(tries.values()))) + " |"]
    lines.append("|---" * (len(next(iter(tries.values()))) + 1) + "|")
    lines += [f"| {arm} | " + " | ".join(f"{score:.1f}" for score in scores.values()) + " |" for arm, scores in tries.items()]
    return "\n".join(lines)


def figure(found):
    """Perplexity by the exchanges before."""
    drawn = new_figure(5, 3)
    axis = drawn.subplots()
    for arm, rows in found.items():
        points = [(n, np.mean([row[f"{n} before"] for row in rows])) for n in range(EXCHANGES) if f"{n} before" in rows[0]]
        axis.plot(*zip(*points), marker="o", label=arm)
    axis.set_xticks(range(EXCHANGES))
    axis.set_xlabel("exchanges before")
    axis.set_ylabel("perplexity of a word")
    axis.legend(fontsize=8)
    return drawn


def main():
    """Choose rates, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "attention_with_intention_chitchat")
    data, rates, epochs = read(args.quick), RATES[:1] if args.quick else RATES, 1 if args.quick else EPOCHS

    def tried(arm, rate):
        return measured(learned(data, arm, 1000, rate, epochs=1), data["validation"])["perplexity"]

    def tested(arm, seed):
        return measured(learned(data, arm, seed, chosen[arm], epochs), data["test"])

    found, chosen, tries = {}, {}, {}
    for arm in ARMS:
        tries[arm] = scores = evidence.finished(args, f"rates of {arm}", {str(rate): partial(tried, arm, rate) for rate in rates})
        chosen[arm] = float(min(scores, key=scores.get))
        found[arm] = list(evidence.finished(args, arm, {str(seed): partial(tested, arm, seed) for seed in args.seeds}).values())
    sizes = {"words": 1500, "embedding_size": 48, "units": 64, "intention_units": 48}
    small = learned(data, "intention", 0, chosen["intention"], epochs, **sizes)
    print("shipped:", measured(small, data["validation"]), small.respond([piece[:-1] for piece in data["validation"][:5]]), flush=True)
    settings = ", ".join(f"{arm} {rate:g}" for arm, rate in chosen.items())
    choice = Choice(f"{HELD_OUT} validation replies, another seed", f"rates: {settings}", dict.fromkeys(ARMS, len(rates)))
    evidence.publish(small, args, claims(found, args.seeds), evidence.CHATS, NOTES + summary(found, tries), figure(found), choices=[choice])


if __name__ == "__main__":
    main()
