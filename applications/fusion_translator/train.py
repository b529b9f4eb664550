"""Shallow and deep fusion, German to English: does text of one language help a translator that has little of two?

    KERAS_BACKEND=jax python applications/fusion_translator/train.py

Descriptions of pictures of Multi30k. The translator learns from 1000 or from 5000 pairs, the language model from 20,000 other English
descriptions, whose German side nobody sees, or from as many sentences of the Brown corpus. All arms of a seed share the translator, all
seeds the two language models. BLEU counts words in lower case, on 1000 held-out pairs. The preset is a small model of its own.
"""

from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import FusionTranslator
from zoo.evidence import Choice, Claim
from zoo.metrics import bleu
from zoo.plots.figure import new_figure

LONGEST, WORDS, PAIRS, MONOLINGUAL = 20, 3000, {"1000 pairs": 1000, "5000 pairs": 5000}, 20000
EPOCHS, LM_EPOCHS, FUSION_EPOCHS = {"1000 pairs": 30, "5000 pairs": 10}, 4, {"1000 pairs": 10, "5000 pairs": 5}
# three settings an arm, chosen with a seed of their own on validation pairs
POWERS, WEIGHTS, RATES = (0.0, 0.5, 1.0), (0.05, 0.1, 0.3), (1e-3, 3e-3, 1e-2)
SMALL = {"embedding_size": 32, "units": 64, "lm_units": 64}
ARMS = ("none", "shallow", "deep")
# the deep output learns on by itself, for most pairs: what of the gain is not the language model's
CONTROL, CONTROLLED = "deep, language model of zeros", "5000 pairs"
ELSEWHERE = "shallow, language model of Brown"
DATA = """Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0), descriptions of at most 20 words in both languages; sentences of the Brown corpus
for the language model from elsewhere."""
NOTES = f"""The class as it is by default. Words are the {WORDS} most frequent of the 5000 pairs in each language. Translators stop when
300 validation pairs become less likely ({EPOCHS["1000 pairs"]} and {EPOCHS["5000 pairs"]} epochs at most), the language models have
{LM_EPOCHS} epochs, the deep output {FUSION_EPOCHS["1000 pairs"]} and {FUSION_EPOCHS["5000 pairs"]}. All seeds share the language models.
The paper has hundreds of thousands of pairs and a hundred million sentences or more: sizes here are as far apart, a hundredth of the pairs
and a thousandth of the sentences. The shipped model, which the list of differences is of, is a small one (64 units, 900 words a language,
5000 pairs); the figures are those of the default sizes. Deep fusion is ahead because its output goes on learning where the translator has
stopped: with a language model that says nothing, the gain is as large. What is fused adds nothing to it here."""


def pairs(part):
    """German and English descriptions, as words, of those that are short enough."""
    english, german = datasets.multi30k(part)
    lines = [(g, e) for g, e in zip(text.tokenize(german), text.tokenize(english)) if max(len(g), len(e)) <= LONGEST and g and e]
    return [" ".join(g) for g, _ in lines], [" ".join(e) for _, e in lines]


def read(quick):
    """Pairs to train, to validate and to test, and two monolingual corpora."""
    german, english = pairs("train")
    order = np.random.default_rng(0).permutation(len(german))
    german, english = [german[i] for i in order], [english[i] for i in order]
    most, more = (300, 500) if quick else (max(PAIRS.values()), MONOLINGUAL)
    brown = [" ".join(line[:LONGEST]).lower() for document in datasets.brown() for line in document.sentences if len(line) > 3]
    brown = [brown[i] for i in np.random.default_rng(0).permutation(len(brown))[:more]]
    held_out = {"validation": pairs("val"), "test": pairs("test_2016_flickr")}
    held_out = {
        name: tuple(side[: 30 if quick else {"validation": 300, "test": 1000}[name]] for side in both) for name, both in held_out.items()
    }
    return {"train": (german[:most], english[:most]), "more": english[most : most + more], "elsewhere": brown, **held_out}


def encoded(model, sources, targets):
    """Ids without the places that no text needs."""
    return {name: text.trimmed(ids) for name, ids in model.encode(sources, targets).items()}


def vocabularies(data, words=WORDS):
    """The most frequent words of both languages."""
    return [text.learn_vocabulary([line.split() for line in side], words) for side in data["train"]]


def translator(data, size, seed, quick, words=WORDS, small=False):
    """A translator of so many pairs, others for each seed."""
    keras.utils.set_random_seed(seed)
    model = FusionTranslator(*vocabularies(data, words), **(SMALL if small or quick else {}))
    rows = np.random.default_rng(seed).permutation(len(data["train"][0]))[: PAIRS[size]]
    chosen = tuple([side[i] for i in rows] for side in data["train"])
    patience = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    validation = (encoded(model, *data["validation"]), None)
    epochs = 2 if quick else EPOCHS[size]
    model.fit(encoded(model, *chosen), epochs=epochs, validation_data=validation, callbacks=[patience], verbose=0)
    return model, chosen


def fuse_deeply(model, parallel, size, rate, quick):
    """Train gate and deep output."""
    model.fit_fusion(*parallel, epochs=1 if quick else FUSION_EPOCHS[size], learning_rate=rate, verbose=0)


def score(model, part, fusion, power, beams=5):
    """BLEU of translations."""
    return bleu(model.translate(part[0], beams, power, fusion=fusion), part[1], tokenize="none")


def language_models(data, quick):
    """Weights of a language model of other descriptions, `near`, and of one of Brown, `elsewhere`."""
    keras.utils.set_random_seed(0)
    found, start = {}, None
    model = FusionTranslator(*vocabularies(data), **(SMALL if quick else {}))
    for name, texts in {"near": data["more"], "elsewhere": data["elsewhere"]}.items():
        start = model.language_model.get_weights() if start is None else start
        model.language_model.set_weights(start)
        model.fit_language_model(texts, epochs=1 if quick else LM_EPOCHS, verbose=0)
        found[name] = model.language_model.get_weights()
        print(f"language model, {name}: perplexity {perplexity(model, data['validation'][1]):.1f} in validation", flush=True)
    return found


def perplexity(model, texts):
    """Of a word, or the end, of texts under the language model."""
    words = sum(len(line.split()) + 1 for line in texts)
    return float(np.exp(-model.language_model_log_likelihood(texts).sum() / words))


def chosen_settings(data, near, size, quick):
    """Power of the length, weight of the language model and rate of the deep output, by BLEU on validation pairs."""
    model, parallel = translator(data, size, 1000, quick)
    model.language_model.set_weights(near)
    validation = data["validation"]
    powers = {power: score(model, validation, "none", power) for power in POWERS}
    power = max(powers, key=powers.get)
    weights = model.tune(*validation, weights=WEIGHTS, length_power=power)
    rates, start = {}, [np.array(w) for w in model.get_weights()]
    for rate in RATES:
        model.set_weights(start)
        fuse_deeply(model, parallel, size, rate, quick)
        rates[rate] = score(model, validation, "deep", power)
    print(f"validation, {size}:", powers, weights, rates, flush=True)
    return power, max(weights, key=weights.get), max(rates, key=rates.get)


def arms(size):
    """What is compared for a size."""
    return (*ARMS, ELSEWHERE, *((CONTROL,) if size == CONTROLLED else ()))


def measured(data, known, seeds, settings, quick):
    """BLEU by size and arm, and gates by kind of word."""
    found, extra = {size: {arm: [] for arm in arms(size)} for size in PAIRS}, []
    for seed in track(seeds, "seeds"):
        for size, (power, weight, rate) in settings.items():
            model, parallel = translator(data, size, seed, quick)
            model.shallow_weight.assign(weight)
            model.language_model.set_weights(known["elsewhere"])
            elsewhere = perplexity(model, data["test"][1])
            found[size][ELSEWHERE].append(score(model, data["test"], "shallow", power))
            model.language_model.set_weights(known["near"])
            fuse_deeply(model, parallel, size, rate, quick)
            for arm in ARMS:
                found[size][arm].append(score(model, data["test"], arm, power))
            if CONTROL in found[size]:
                found[size][CONTROL].append(without_language_model(data, size, seed, power, rate, quick))
            extra.append({"elsewhere": elsewhere, "near": perplexity(model, data["test"][1]), **gates_by_kind(model, data["test"])})
            print(f"seed {seed}, {size}:", {arm: round(values[-1], 2) for arm, values in found[size].items()}, extra[-1], flush=True)
    return found, extra


def without_language_model(data, size, seed, power, rate, quick):
    """BLEU of deep fusion with a language model that says nothing: its state is zero, whatever it reads."""
    model, parallel = translator(data, size, seed, quick)
    for weight in model.language_model.weights:
        weight.assign(np.zeros(weight.shape))
    fuse_deeply(model, parallel, size, rate, quick)
    return score(model, data["test"], "deep", power)


def gates_by_kind(model, part):
    """Mean gate before words of closed classes, all others, and the end."""
    closed = set("a an the of in on at with and or to is are by for from his her their its as while that".split())
    found = {"closed": [], "open": [], "end": []}
    for gates, line in zip(model.gates(*part), part[1]):
        for gate, word in zip(gates, line.split()):
            found["closed" if word in closed else "open"].append(gate)
        found["end"].append(gates[-1])
    return {f"gate, {kind}": float(np.mean(values)) for kind, values in found.items()}


def claims(found, seeds):
    """What the paper says, and what came out."""
    claim = partial(Claim, metric="BLEU", higher_is_better=True, seeds=seeds)
    result = []
    for size, table in found.items():
        where = f"1000 held-out descriptions, translator of {size}"
        for text_, paper, ours, theirs in (
            (f"Shallow fusion improves the translator of {size}", "tables 2 to 4: +0.1 to +0.9", "shallow", "none"),
            (f"Deep fusion improves the translator of {size}", "tables 2 to 4: +0.4 to +2.0", "deep", "none"),
            (f"Deep fusion is better than shallow ({size})", "tables 2 to 4", "deep", "shallow"),
            (f"A language model of the same kind of text helps more than one from elsewhere ({size})", "section 6.3", "shallow", ELSEWHERE),
        ):
            result.append(claim(text_, paper, where, baseline=theirs, baseline_values=table[theirs], values=table[ours], matters=0.3))
    sentence, table = "The gain of deep fusion is the language model's, not that of more training of the output", found[CONTROLLED]
    where, arm = f"1000 held-out descriptions, translator of {CONTROLLED}", {"baseline": CONTROL, "baseline_values": table[CONTROL]}
    result.append(claim(sentence, "not in the paper", where, values=table["deep"], matters=0.3, **arm))
    few, many = ([a - b for a, b in zip(table["deep"], table["none"])] for table in found.values())
    sentence = "Deep fusion gains more where there are fewer pairs"
    result.append(
        claim(
            sentence, "low resources gain most", "gains of 1000 and of 5000 pairs", baseline="5000 pairs", baseline_values=many, values=few
        )
    )
    return result


def summary(found, extra):
    """All mean figures."""
    lines = ["", "", "| BLEU | " + " | ".join(found) + " |", "|---|" + "---|" * len(found)]
    for arm in arms(CONTROLLED):
        lines.append(f"| {arm} | " + " | ".join(f"{np.mean(table[arm]):.2f}" if arm in table else "" for table in found.values()) + " |")
    mean = {name: np.mean([row[name] for row in extra]) for name in extra[0]}
    lines += [
        "",
        f"Perplexity of held-out descriptions: {mean['near']:.1f} under the language model of descriptions, {mean['elsewhere']:.1f} "
        f"under that of Brown. Mean gate before words of closed classes {mean['gate, closed']:.3f}, before others "
        f"{mean['gate, open']:.3f}, before the end {mean['gate, end']:.3f}.",
    ]
    return "\n".join(lines)


def figure(model, source, target):
    """Where the decoder looks in the source while it writes, and its gate."""
    weights, gates = model.alignment([source], [target])[0], model.gates([source], [target])[0]
    drawn = new_figure(7, 4.6)
    axis, bars = drawn.subplots(1, 2, width_ratios=(4, 1), sharey=True)
    words = [*target.split(), "(end)"]
    axis.imshow(weights, cmap="magma", vmin=0, aspect="auto")
    axis.set_xticks(range(weights.shape[1]), source.split(), rotation=60, fontsize=8)
    axis.set_yticks(range(len(words)), words, fontsize=8)
    axis.set_title("attention", fontsize=9)
    bars.barh(range(len(words)), gates)
    bars.set_title("gate", fontsize=9)
    return drawn


def small_model(data, quick):
    """What is shipped: few words and units, 5000 pairs, both fusions."""
    model, parallel = translator(data, "5000 pairs", 0, quick, words=900, small=True)
    model.fit_language_model(data["more"], epochs=1 if quick else LM_EPOCHS, verbose=0)
    fuse_deeply(model, parallel, "5000 pairs", 1e-3, quick)
    model.tune(*data["validation"], weights=(0.0, *WEIGHTS))
    print("shipped:", {arm: round(score(model, data["validation"], arm, 1.0), 2) for arm in ARMS}, flush=True)
    return model


def main():
    """Choose settings, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "fusion_translator_multi30k")
    data = read(args.quick)
    known = language_models(data, args.quick)
    settings = {size: (1.0, 0.1, 1e-3) if args.quick else chosen_settings(data, known["near"], size, args.quick) for size in PAIRS}
    found, extra = measured(data, known, args.seeds, settings, args.quick)
    shipped = small_model(data, args.quick)
    words = "; ".join(
        f"{size}: power of the length {power:g}, weight of the language model {weight:g}, rate of the deep output {rate:g}"
        for size, (power, weight, rate) in settings.items()
    )
    evidence.publish(
        shipped,
        args,
        claims(found, args.seeds),
        DATA,
        NOTES + summary(found, extra),
        figure(shipped, *(side[0] for side in data["test"])),
        choices=[Choice("300 validation pairs, translators with another seed", words, dict.fromkeys(ARMS, 3))],
    )


if __name__ == "__main__":
    main()
