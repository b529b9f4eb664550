"""Mutual information against likelihood: are replies more varied, and do they still fit what was said?

    KERAS_BACKEND=jax python applications/mmi_conversational_model/train.py

Chats of two people (chitchat). All criteria of a seed share the networks. Weights are tuned on validation pairs. How often the right
reply is ranked first among nine of other chats is how well replies fit; no people judge here.
"""

from functools import partial

import keras
import numpy as np

from zoo import evidence, text
from zoo.applications import MMIConversationalModel
from zoo.evidence import Choice, Claim, first_share, with_distractors
from zoo.metrics import bleu, chrf, distinct_ngrams
from zoo.plots.figure import new_figure

WORDS, LONGEST, READ, PAIRS, EPOCHS, HELD_OUT, TUNED, CANDIDATES, BEAMS, RATE = 2000, 15, 30, 65000, 2, 1000, 300, 10, 20, 8e-3
CRITERIA = ("likelihood", "antilm", "bidi")
# six settings of each criterion
REWARDS = (0.0, 0.5, 1.0)
GRIDS = {"antilm": {"weights": (0.2, 0.5), "rewards": REWARDS}, "bidi": {"weights": (0.25, 1.0), "rewards": REWARDS}}
POWERS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)
NOTES = f"""The class as it is by default, but for texts of at most {READ} and {LONGEST} words; {WORDS:,} words; {PAIRS:,} pairs, {EPOCHS}
times for each of the three networks. {HELD_OUT:,} test pairs, lists of {BEAMS} replies. {TUNED} validation pairs choose weight and reward
of a criterion, and the power of the length of likelihood, among six settings each, by chrF: the paper's BLEU is zero for most settings
where a reply of a chat is the only reference. The right reply among {CANDIDATES - 1} others, ranked by each criterion over the length,
says how well replies fit. Two passes are few: by every criterion a few replies are given again and again, and weights differ much from
seed to seed. The paper has 23 million pairs and lists of 200. The shipped model, which the list of differences is of, is a small one."""


def learned(data, seed, quick, words=WORDS, **sizes):
    """A model whose three networks are trained."""
    keras.utils.set_random_seed(seed)
    before, replies = data["train"]
    vocabulary = text.learn_vocabulary([turns[-1] for turns in before] + replies, words)
    model = MMIConversationalModel(vocabulary, source_length=READ, target_length=LONGEST, **sizes)
    model.optimizer.learning_rate = RATE
    options = {"epochs": 1 if quick else EPOCHS, "verbose": 0}
    model.fit(text.LengthBuckets(model.encode(before, replies), batch_size=model.default_batch_size, step=10, seed=seed), **options)
    model.fit_language_model(replies, learning_rate=RATE, **options)
    model.fit_backward(before, replies, learning_rate=RATE, **options)
    return model


def tuned(model, data):
    """Set the weights of both criteria; the power of the length for likelihood."""
    part = [side[:TUNED] for side in data["validation"]]
    for criterion, grid in GRIDS.items():
        print(criterion, model.tune(*part, criterion, beams=BEAMS, metric="chrf", **grid), flush=True)
    scores = {power: chrf(model.respond(part[0], BEAMS, power, criterion="likelihood"), part[1]) for power in POWERS}
    print("likelihood", scores, flush=True)
    return max(scores, key=scores.get)


def measured(model, power, data):
    """What counts, for each criterion."""
    before, replies = data["test"]
    some, found = with_distractors(replies), {}
    for criterion in CRITERIA:
        written = model.respond(before, BEAMS, power, criterion=criterion)
        ranks = model.rank(before, some, 1.0, criterion=criterion)
        found[criterion] = {
            "distinct-1": distinct_ngrams(written, 1),
            "distinct-2": distinct_ngrams(written, 2),
            "BLEU": bleu(written, replies, tokenize="none"),
            "chrF": chrf(written, replies),
            "first": first_share(ranks),
            "words": float(np.mean([len(reply.split()) for reply in written])),
            "most frequent": max(written.count(reply) for reply in set(written)) / len(written),
        }
    return found


def claims(found, seeds):
    """What the paper says, and what came out."""
    result = []
    claim = partial(Claim, dataset=f"{HELD_OUT} held-out replies of chats", baseline="likelihood", seeds=seeds, higher_is_better=True)
    for criterion in CRITERIA[1:]:
        for metric, sentence, paper, matters, margin in (
            ("distinct-1", "Replies have more different words", "tables 3 and 4", 0.002, 0.0),
            ("distinct-2", "Replies have more different pairs of words", "tables 3 and 4", 0.002, 0.0),
            ("BLEU", "BLEU does not fall (by more than 0.3)", "tables 3 and 4: it rises", None, 0.3),
            ("first", f"The right reply is first among {CANDIDATES} as often (within 0.01)", "not in the paper", None, 0.01),
        ):
            values, baseline = ([row[name][metric] for row in found] for name in (criterion, "likelihood"))
            name = f"right reply first among {CANDIDATES}" if metric == "first" else metric
            result.append(
                claim(
                    f"{sentence}: {criterion}", paper, metric=name, baseline_values=baseline, values=values, matters=matters, margin=margin
                )
            )
    return result


def summary(found):
    """All mean figures."""
    metrics = list(found[0]["likelihood"])
    lines = ["", "", "| criterion | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for criterion in CRITERIA:
        lines.append(f"| {criterion} | " + " | ".join(f"{np.mean([row[criterion][name] for row in found]):.3g}" for name in metrics) + " |")
    return "\n".join(lines)


def figure(found):
    """Different words and pairs of words."""
    drawn = new_figure(6, 2.6)
    for axis, metric in zip(drawn.subplots(1, 2), ("distinct-1", "distinct-2")):
        axis.bar(CRITERIA, [np.mean([row[criterion][metric] for row in found]) for criterion in CRITERIA])
        axis.set_title(metric, fontsize=9)
    return drawn


def main():
    """Train over the seeds, tune, compare, publish."""
    args = evidence.arguments(__doc__, "mmi_conversational_model_chitchat")
    sizes = {"train": 300, "validation": 20, "test": 20} if args.quick else {"train": PAIRS, "validation": TUNED, "test": HELD_OUT}
    data = {part: evidence.chat_exchanges(part, count, longest=LONGEST) for part, count in sizes.items()}

    def tested(seed):
        model = learned(data, seed, args.quick)
        power = tuned(model, data)
        weights = {name: keras.ops.convert_to_numpy(pair).tolist() for name, pair in model.mmi_weights.items()}
        return {"settings": {"power": power, **weights}, "measured": measured(model, power, data)}

    rows = evidence.finished(args, "seeds", {str(seed): partial(tested, seed) for seed in args.seeds}).values()
    found = [row["measured"] for row in rows]
    small = learned(data, 0, args.quick, words=1500, embedding_size=48, units=64)
    tuned(small, data)
    for criterion in CRITERIA:
        print("shipped:", criterion, small.respond(data["validation"][0][:6], criterion=criterion), flush=True)
    settings = "; ".join(f"seed {seed}: {row['settings']}" for seed, row in zip(args.seeds, rows))
    choice = Choice(f"{TUNED} validation pairs, by chrF, for each seed", settings, dict.fromkeys(CRITERIA, len(POWERS)))
    evidence.publish(small, args, claims(found, args.seeds), evidence.CHATS, NOTES + summary(found), figure(found), choices=[choice])


if __name__ == "__main__":
    main()
