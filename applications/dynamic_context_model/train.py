"""What a context is worth to a reply, and how it is best known: bags of words, one or two, or one long text.

    KERAS_BACKEND=jax python applications/dynamic_context_model/train.py

Triples of chats of two people (chitchat): context, message, reply. Then the paper's second use: replies that retrieval finds are ranked
anew, and judged by BLEU with several references, which are mined as in the paper: replies to messages like this one that are like the
right reply, by BM25. No people rate them here.
"""

from functools import partial

import keras
import numpy as np

from zoo import evidence, text
from zoo.applications import DynamicContextModel
from zoo.evidence import Choice, Claim, first_share, right_before, with_distractors
from zoo.metrics import bleu
from zoo.plots.figure import new_figure

WORDS, LONGEST, READ, PAIRS, EPOCHS, HELD_OUT, FOUND, POOL, REFERENCES = 2000, 15, 40, 65000, 2, 1000, 15, 6000, 5
RATES = (1e-3, 2e-3, 4e-3)
ARMS = {
    "no context": {"kind": "dcgm1", "turns": 1},
    "RLMT": {"kind": "rlmt"},
    "DCGM-I": {"kind": "dcgm1"},
    "DCGM-II": {"kind": "dcgm2"},
    "DCGM-II, GRU": {"kind": "dcgm2", "cell": "gru"},
}
BEST, PLAIN = "DCGM-II", "no context"
NOTES = f"""The class as it is by default, but for texts of at most {READ} and {LONGEST} words; {WORDS:,} words; {PAIRS:,} triples,
{EPOCHS} times, in batches of about one length (rates are chosen by one pass). {HELD_OUT:,} test triples. Retrieval finds {FOUND} replies
of training messages like the message (BM25). Features are the model's score, the length, common runs of words, retrieval's score, and one
like translation's: how likely the words of the message make those of the reply (IBM model 1 of NLTK). Weights are found on validation
triples by BLEU. A triple has up to {REFERENCES} references more, mined from other held-out chats of the same part. The paper has 29
million triples of Twitter. The shipped model, which the list of differences is of, is a small one."""


def read(quick):
    """Triples by part; held-out ones first, then the pool of references."""
    counts = {"train": 300, "validation": 60, "test": 60} if quick else {"train": PAIRS, "validation": POOL, "test": POOL}
    return {(part, turns): evidence.chat_exchanges(part, count, turns, LONGEST) for part, count in counts.items() for turns in (1, 2)}


def held_out(data, part, turns, quick):
    """Turns and replies that are tested or chosen by."""
    return tuple(side[: 30 if quick else HELD_OUT] for side in data[part, turns])


def learned(data, options, seed, rate, epochs=EPOCHS, **sizes):
    """A trained model."""
    keras.utils.set_random_seed(seed)
    before, replies = data["train", options.get("turns", 2)]
    words = text.learn_vocabulary([turn for turns in data["train", 2][0] for turn in turns] + data["train", 2][1], WORDS)
    options = {"source_length": READ, "target_length": LONGEST, "features": 2, **options, **sizes}
    model = DynamicContextModel(words[: options.pop("words", WORDS)], **options)
    model.optimizer.learning_rate = rate
    batches = text.LengthBuckets(model.encode(before, replies), batch_size=model.default_batch_size, step=10, seed=seed)
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def perplexity(model, before, replies):
    """Of a word of replies."""
    words = sum(len(line.split()) + 1 for line in replies)
    return float(np.exp(-model.log_likelihood(before, replies).sum() / words))


def references(data, part, quick):
    """For each held-out triple its reply, and replies of the pool whose message and reply are both like its own."""
    before, replies = data[part, 1]
    by_message = text.Retrieval([turns[-1] for turns in before], list(range(len(replies))))
    by_reply = text.Retrieval(replies, list(range(len(replies))))
    asked, right = held_out(data, part, 1, quick)
    found = []
    for i, (messages, answers) in enumerate(zip(by_message.nearest([turns[-1] for turns in asked], 200), by_reply.nearest(right, 200))):
        scores, likes = dict(messages), dict(answers)
        both = sorted((j for j in scores if j in likes and j != i), key=lambda j: -scores[j] * likes[j])
        found.append([right[i], *(replies[j] for j in both[:REFERENCES])])
    return found


def translation(data):
    """A function of a message and a reply to the nats of the reply under IBM model 1, "translated" from the message."""
    from nltk.translate import AlignedSent, IBMModel1

    before, replies = data["train", 1]
    messages = text.tokenize([turns[-1] for turns in before])
    table = IBMModel1([AlignedSent(reply.split(), words[-READ:]) for reply, words in zip(replies, messages)], 5).translation_table

    def nats(message, reply):
        # no word of the message, which NLTK writes None, may make a word as well
        causes = [*text.tokenize([message])[0][-READ:], None]
        return sum(np.log(np.mean([max(table[word][cause], 1e-6) for cause in causes])) for word in reply.split())

    return nats


def retrieved(data, part, nats, quick):
    """Turns with what retrieval answers: turns, candidates, their scores, and the numbers of those that have any."""
    before, replies = data["train", 1]
    known = text.Retrieval([turns[-1] for turns in before], replies)
    asked = held_out(data, part, 2, quick)[0]
    lists = known.nearest([turns[-1] for turns in asked], FOUND)
    rows = [i for i, row in enumerate(lists) if row]
    candidates = [[reply for reply, _ in lists[i]] for i in rows]
    scores = [np.array([[score, nats(asked[i][-1], reply)] for reply, score in lists[i]]) for i in rows]
    return [asked[i] for i in rows], candidates, scores, rows


def ranked(model, data, wanted):
    """BLEU of the first of what retrieval found, ranked by weights of validation triples."""
    turns, candidates, scores, rows = data["validation"]
    model.tune(turns, candidates, [wanted["validation"][i] for i in rows], scores)
    turns, candidates, scores, rows = data["test"]
    written = [row[0][0] for row in model.rerank(turns, candidates, scores)]
    return bleu(written, [wanted["test"][i] for i in rows], tokenize="none")


def silenced(model):
    """The same model, whose log-probabilities are all 0."""
    silent = DynamicContextModel.from_config(model.get_config())
    silent.log_likelihood = lambda conversations, replies: np.zeros(len(replies))
    return silent


def claims(found, rankings, seeds):
    """What the paper says, and what came out."""
    where = f"{HELD_OUT} held-out replies of chats"
    claim = partial(Claim, dataset=where, seeds=seeds)

    def compare(sentence, paper, ours, theirs, metric, better, matters):
        values, baseline = ([row[metric] for row in found[arm]] for arm in (ours, theirs))
        name = {"right before": "right conversation first among 10"}.get(metric, metric)
        arms = {"baseline": theirs, "baseline_values": baseline, "values": values}
        return claim(sentence, paper, metric=name, higher_is_better=better, matters=matters, **arms)

    def rank(sentence, paper, theirs):
        arms = {"baseline": theirs, "baseline_values": rankings[theirs], "values": rankings[BEST]}
        return claim(sentence, paper, metric="BLEU, several references", higher_is_better=True, matters=0.1, **arms)

    few = ("perplexity", False, 0.5)
    return [
        compare("A context makes replies likelier", "table 4", BEST, PLAIN, *few),
        compare("A context helps to tell what a reply belongs to", "not in the paper", BEST, PLAIN, "right before", True, 0.01),
        compare("Two bags are better than one", "table 4: DCGM-II", BEST, "DCGM-I", *few),
        compare("Bags are better than one long text", "table 4: RLMT is weakest", BEST, "RLMT", *few),
        compare("A GRU is better than a simple cell", "not in the paper", "DCGM-II, GRU", BEST, *few),
        rank("Ranking retrieval's replies with the model is better than without", "table 5: +0.5 to +2 BLEU", "no model"),
        rank("A context helps the model to rank retrieval's replies", "table 5", PLAIN),
    ]


def summary(found, rankings):
    """All mean figures."""
    lines = ["", "", "| arm | perplexity | right conversation first among 10 | right reply first |", "|---|---|---|---|"]
    for arm, rows in found.items():
        mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        lines.append(f"| {arm} | {mean['perplexity']:.1f} | {mean['right before']:.3f} | {mean['right reply']:.3f} |")
    ways = ", ".join(f"{np.mean(values):.2f} with {name}" for name, values in rankings.items())
    return "\n".join([*lines, "", f"BLEU of the first of retrieval's replies, with several references: {ways}."])


def figure(found):
    """Perplexities."""
    drawn = new_figure(6, 2.6)
    axis, means = drawn.subplots(), [np.mean([row["perplexity"] for row in rows]) for rows in found.values()]
    axis.barh(range(len(found)), means)
    axis.set_yticks(range(len(found)), found, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0.9 * min(means), None)
    axis.set_xlabel("perplexity of a word of a reply", fontsize=9)
    return drawn


def main():
    """Choose rates, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "dynamic_context_model_chitchat")
    data, rates, epochs = read(args.quick), RATES[:1] if args.quick else RATES, 1 if args.quick else EPOCHS
    choosing, testing = (partial(held_out, data, part, quick=args.quick) for part in ("validation", "test"))
    wanted = {part: references(data, part, args.quick) for part in ("validation", "test")}
    nats = translation(data)
    lists = {part: retrieved(data, part, nats, args.quick) for part in ("validation", "test")}

    def tried(arm, rate):
        return perplexity(learned(data, ARMS[arm], 1000, rate, epochs=1), *choosing(ARMS[arm].get("turns", 2)))

    def tested(arm, seed):
        model, (turns, replies) = learned(data, ARMS[arm], seed, chosen[arm], epochs), testing(ARMS[arm].get("turns", 2))
        row = {
            "perplexity": perplexity(model, turns, replies),
            "right before": right_before(model.log_likelihood, turns, replies),
            "right reply": first_share(model.rank(turns, with_distractors(replies), 1.0)),
        }
        if arm in (BEST, PLAIN):
            row["BLEU"] = ranked(model, lists, wanted)
        if arm == BEST:
            row["BLEU without"] = ranked(silenced(model), lists, wanted)
        return row

    found, chosen = {}, {}
    for arm in ARMS:
        scores = evidence.finished(args, f"rates of {arm}", {str(rate): partial(tried, arm, rate) for rate in rates})
        chosen[arm] = float(min(scores, key=scores.get))
        found[arm] = list(evidence.finished(args, arm, {str(seed): partial(tested, arm, seed) for seed in args.seeds}).values())
    rankings = {name: [row["BLEU"] for row in found[name]] for name in (BEST, PLAIN)}
    rankings["no model"] = [row["BLEU without"] for row in found[BEST]]
    sizes = {"words": 1500, "embedding_size": 48, "units": 64, "context_units": 64, "features": 1}
    small = learned(data, ARMS[BEST], 0, chosen[BEST], epochs, **sizes)
    turns, candidates, own, rows = lists["validation"]
    tuned = small.tune(turns, candidates, [wanted["validation"][i] for i in rows], [some[:, :1] for some in own])
    print("shipped:", tuned, small.respond(turns[:5]), flush=True)
    settings = ", ".join(f"{arm} {rate:g}" for arm, rate in chosen.items())
    choice = Choice(f"{HELD_OUT} validation triples, another seed", f"rates: {settings}", dict.fromkeys(ARMS, len(rates)))
    notes = NOTES + summary(found, rankings)
    evidence.publish(small, args, claims(found, rankings, args.seeds), evidence.CHATS, notes, figure(found), choices=[choice])


if __name__ == "__main__":
    main()
