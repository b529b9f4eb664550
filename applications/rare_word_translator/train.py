"""Rare words in translation, German to English: do symbols that point to the source, and a dictionary, help a translator of few words?

    KERAS_BACKEND=jax python applications/rare_word_translator/train.py

Descriptions of pictures of Multi30k, of at most 12 words. All arms are one network; they differ in what is done to targets before training
and to translations after it. BLEU counts the words of the original references in lower case, on held-out pairs.
"""

from functools import partial

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, text
from zoo.applications import RareWordTranslator
from zoo.evidence import Choice, Claim
from zoo.metrics import bleu
from zoo.plots.figure import new_figure

LONGEST, FEW, MANY, PARTS_LONGEST = 12, 500, 2000, 18
NETWORK = {"embedding_size": 64, "units": 128, "dropout": 0.1}
EPOCHS, BATCH, RATE, BEAMS = 6, 32, 3e-3, 5
# treatment and size of the vocabulary of each language; sub-words have as many parts in both languages together
ARMS = {
    "none": ("none", FEW),
    "copy": ("copy", FEW),
    "posall": ("posall", FEW),
    "posunk": ("posunk", FEW),
    "none, many words": ("none", MANY),
    "posunk, many words": ("posunk", MANY),
    "sub-words": ("sub-words", MANY),
}
# whether `<unknown>` may stay in translations
DECODINGS = (False, True)
ENSEMBLE = 3
DATA = """Multi30k (Elliott et al. 2016, CC BY-NC-SA 4.0, so that the weights are for non-commercial use), descriptions of at most 12 words
in both languages, German to English."""
NOTES = f"""All arms: {EPOCHS} epochs of Adam at {RATE:g} over 13,064 pairs in batches of {BATCH}. Rate and batch are one for all; they
were looked at before with PosUnk and 1000 words (two rates, two sizes of batches), not for each arm. Links of words are eflomal's, learned
once from the training pairs. An ensemble has {ENSEMBLE} models of neighbouring seeds, so that its values are not independent of one
another. The network is far smaller than the paper's (1000 units, 4 or 6 layers, 12 million pairs), and so are its BLEU and its memory of
where a word stood. PosAll, whose targets are twice as long, loses most by that: it writes worse where few words are rare, and is behind
Copy. Copy is near PosUnk: with {FEW} words in both languages 78 % of the unknown words of targets belong to unknown words of sources, and
96 % to any. With {MANY} symbols all arms are far from learned after as many epochs, the plain one too, whose BLEU is that of PosUnk: that
sub-words are behind there says that they need more training, not that pointing beats them. No arm gains by leaving `<unknown>` in its
translations, so that all avoid it; that helps the network without treatment, too."""


def pairs(part, most):
    """German and English descriptions, as words, of those that are short enough."""
    english, german = datasets.multi30k(part)
    lines = [(g, e) for g, e in zip(text.tokenize(german), text.tokenize(english)) if 0 < len(g) <= LONGEST and 0 < len(e) <= LONGEST]
    return [" ".join(g) for g, _ in lines][:most], [" ".join(e) for _, e in lines][:most]


def read(quick):
    """Pairs to train, to validate and to test; links and dictionary of the first."""
    data = {
        "train": pairs("train", 600 if quick else None),
        "validation": pairs("val", 30 if quick else 300),
        "test": pairs("test_2016_flickr", 30 if quick else None),
    }
    data["links"] = text.align(*data["train"])
    data["dictionary"] = text.learn_dictionary(*data["train"], data["links"])
    return data


class Arm:
    """A treatment of rare words: how texts become those of the network, and back."""

    def __init__(self, data, name):
        self.data, (self.annotation, words) = data, ARMS[name]
        self.parts = text.Subwords.learn([*data["train"][0], *data["train"][1]], words) if name == "sub-words" else None
        self.annotation = "none" if self.parts else self.annotation
        self.train = [self.split(side) for side in data["train"]]
        self.vocabularies = [text.learn_vocabulary([line.split() for line in side], words) for side in self.train]
        self.length = PARTS_LONGEST if self.parts else LONGEST
        self.decoding, self.models, self.ids = DECODINGS[0], [], None

    def split(self, texts):
        """Texts as the network reads them."""
        return self.parts.split(texts) if self.parts else texts

    def fresh(self):
        """A model that has learned nothing."""
        dictionary = {} if self.annotation == "none" else self.data["dictionary"]
        lengths = {"source_length": self.length, "target_length": self.length}
        model = RareWordTranslator(*self.vocabularies, dictionary, annotation=self.annotation, **lengths, **NETWORK)
        model.compile(keras.optimizers.Adam(RATE, global_clipnorm=5.0))
        return model

    def model(self, place):
        """One of few models, made when it is first asked for: what was compiled for one seed serves for all."""
        while len(self.models) <= place:
            self.models.append(self.fresh())
        return self.models[place]

    def learnt(self, seed, epochs):
        """The first model after a training that began anew, and its weights."""
        keras.utils.set_random_seed(seed)
        model = self.model(0)
        model.set_weights(self.fresh().get_weights())
        for variable in model.optimizer.variables:
            if not variable.path.endswith("learning_rate"):
                variable.assign(np.zeros(variable.shape, variable.dtype))
        self.ids = self.ids or model.encode(*self.train, self.data["links"])
        model.fit(self.ids, batch_size=BATCH, epochs=epochs, verbose=0)
        return model, model.get_weights()

    def ensemble(self, weights):
        """Models with these weights."""
        models = [self.model(place) for place in range(len(weights))]
        for model, values in zip(models, weights):
            model.set_weights(values)
        return models

    def choose(self, model, decodings):
        """Decide whether unknown words may stay, by BLEU on validation pairs."""
        scores = {decoding: self.score(model, "validation", decoding) for decoding in decodings}
        self.decoding = max(scores, key=scores.get)
        return scores

    def translations(self, model, part, decoding=None, others=()):
        """Of all sources of a part of the data, as words."""
        unknown = self.decoding if decoding is None else decoding
        found = model.translate(self.split(self.data[part][0]), BEAMS, unknown=unknown, with_models=list(others) or None)
        return self.parts.join(found) if self.parts else found

    def score(self, model, part, decoding=None, others=()):
        """BLEU of translations."""
        return bleu(self.translations(model, part, decoding, others), self.data[part][1], tokenize="none")


def thirds(data, vocabulary):
    """Places of the test pairs whose references have the smallest, and the largest share of words that are not in the vocabulary."""
    known = set(vocabulary)
    shares = [np.mean([word not in known for word in line.split()]) for line in data["test"][1]]
    order = np.argsort(shares, kind="stable")
    third = len(order) // 3
    return {"few rare words": order[:third], "many rare words": order[-third:]}


def measured(data, seeds, quick):
    """BLEU by arm, of thirds of the test pairs and of ensembles too, how arms decode, and a model to ship."""
    arms, found, shipped = {name: Arm(data, name) for name in ARMS}, {}, None
    rare, wanted = thirds(data, arms["none"].vocabularies[1]), data["test"][1]
    for name, arm in track(arms.items(), "arms"):
        weights = []
        for seed in seeds:
            model, values = arm.learnt(seed, 1 if quick else EPOCHS)
            weights.append(values)
            if seed == seeds[0]:
                print(name, "validation:", arm.choose(model, DECODINGS[: 1 if quick else None]), flush=True)
            lines = arm.translations(model, "test")
            found.setdefault(name, []).append(bleu(lines, wanted, tokenize="none"))
            for third, rows in rare.items():
                score = bleu([lines[i] for i in rows], [wanted[i] for i in rows], tokenize="none")
                found.setdefault(f"{name}, {third}", []).append(score)
            print(name, "seed", seed, round(found[name][-1], 2), flush=True)
        if name in ("none", "posunk"):
            for i in range(len(seeds)):
                model, *others = arm.ensemble([weights[(i + k) % len(seeds)] for k in range(ENSEMBLE)])
                found.setdefault(f"{name}, ensemble", []).append(arm.score(model, "test", others=others))
        if name == "posunk":
            shipped = arm.ensemble(weights[:1])[0]
            # the trainings of other seeds began anew
            shipped.fits.records = shipped.fits.records[:1]
    return found, {name: arm.decoding for name, arm in arms.items()}, shipped


def claims(found, seeds):
    """What the paper says, and what came out."""

    def gain(suffix=""):
        return [ours - theirs for ours, theirs in zip(found[f"posunk{suffix}"], found[f"none{suffix}"])]

    claim = partial(Claim, dataset="descriptions of the test set of 2016, at most 12 words", higher_is_better=True, seeds=seeds)
    up, order = "up to +2.8 BLEU (abstract)", "the order of the paper (section 5)"
    result = [
        claim(said, paper, metric="BLEU", baseline=theirs, baseline_values=found[theirs], values=found[ours], matters=0.3)
        for said, paper, ours, theirs in (
            (f"PosUnk improves a translator of {FEW} words", up, "posunk", "none"),
            (f"PosAll improves a translator of {FEW} words", up, "posall", "none"),
            (f"Copy improves a translator of {FEW} words", up, "copy", "none"),
            ("PosUnk is better than PosAll", order, "posunk", "posall"),
            ("PosAll is better than Copy", order, "posall", "copy"),
            (f"PosUnk with {MANY} words is better than {MANY} sub-words", "not in the paper", "posunk, many words", "sub-words"),
        )
    ]
    for said, paper, ours, theirs in (
        (
            "PosUnk gains more where the vocabulary is smaller",
            "40,000 against 80,000 words",
            ("", f"{FEW} words"),
            (", many words", f"{MANY}"),
        ),
        (
            "PosUnk gains more on sentences with more rare words",
            "figure of rare words",
            (", many rare words", "the third with most"),
            (", few rare words", "the third with fewest"),
        ),
        ("Ensembles gain more by PosUnk than single models", "+2.8 against +2.3", (", ensemble", "ensembles"), ("", "single models")),
    ):
        values, baseline = gain(ours[0]), gain(theirs[0])
        result.append(claim(said, paper, metric="gain of BLEU by PosUnk", baseline=theirs[1], baseline_values=baseline, values=values))
    return result


def summary(found, decodings):
    """All mean figures."""
    lines = ["", "", "| arm | BLEU | third with fewest rare words | third with most | ensemble | `<unknown>` may stay |"]
    lines.append("|---|" + "---|" * 5)
    for name, unknown in decodings.items():
        keys = (name, f"{name}, few rare words", f"{name}, many rare words", f"{name}, ensemble")
        figures = (f"{np.mean(found[key]):.2f}" if key in found else "" for key in keys)
        lines.append(f"| {name} | " + " | ".join(figures) + f" | {'yes' if unknown else 'no'} |")
    return "\n".join(lines)


def figure(found):
    """BLEU of all arms with few words, on all test pairs and on thirds."""
    drawn = new_figure(7, 3)
    axis = drawn.subplots()
    names = ("none", "copy", "posall", "posunk")
    for k, (suffix, label) in enumerate({"": "all", ", few rare words": "few rare words", ", many rare words": "many rare words"}.items()):
        values = [found[name + suffix] for name in names]
        axis.bar(np.arange(4) + 0.27 * (k - 1), [np.mean(v) for v in values], 0.25, yerr=[np.std(v) for v in values], label=label)
    axis.set_xticks(range(4), names)
    axis.set_ylabel("BLEU")
    axis.margins(y=0.25)
    axis.legend(fontsize=8, ncols=3)
    return drawn


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "rare_word_translator_multi30k")
    data = read(args.quick)
    found, decodings, shipped = measured(data, args.seeds, args.quick)
    words = "; ".join(f"{name}: `<unknown>` {'may stay' if unknown else 'is not written'}" for name, unknown in decodings.items())
    tried = Choice("300 validation pairs, the model of the first seed", words, dict.fromkeys(ARMS, len(DECODINGS)))
    evidence.publish(shipped, args, claims(found, args.seeds), DATA, NOTES + summary(found, decodings), figure(found), choices=[tried])


if __name__ == "__main__":
    main()
