"""Sentence VAE on short sentences of fiction: does the code survive, what does it cost or bring, and do gaps get filled well?

    python applications/sentence_vae/train.py

As in table 2 of the paper, autoencoder and language model are compared with a decoder that reads words and with one that does not; a third
pair is the autoencoder without its two tricks. Then both fill in removed endings, and classifiers tell what they wrote from the originals.
All arms have the same sizes, budget and data. The preset is the autoencoder of the first seed.
"""

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, plots, text
from zoo.applications import SentenceVAE
from zoo.evidence import Claim
from zoo.metrics import adversarial_error

GENRES = ["fiction", "mystery", "science_fiction", "adventure", "romance", "humor"]
WORDS, SHORTEST, LENGTH, BATCH, EPOCHS, RATE = 1500, 4, 10, 64, 9, 6e-3
SIZES = {"length": LENGTH, "embedding_size": 64, "units": 96, "right_to_left": True}
TRICKS = {"word_keep_rate": 0.62, "kl_midpoint": 350, "kl_width": 35}
# share of the words that is removed, and the fewest: the mark at the end is one of them
REMOVED, FEWEST = 0.4, 2
ARMS = {
    "VAE": {"latent_dim": 16, **TRICKS},
    "VAE without tricks": {"latent_dim": 16, "word_keep_rate": 1.0, "kl_schedule": "constant"},
    "RNNLM": {"latent_dim": 0, "word_keep_rate": 1.0},
    "inputless VAE": {"latent_dim": 16, **TRICKS, "word_keep_rate": 0.0},
    "inputless RNNLM": {"latent_dim": 0, "word_keep_rate": 0.0},
}
DATA = f"""The Brown corpus (Francis, Kucera 1964; redistribution permitted), its six genres of fiction: sentences of {SHORTEST} to {LENGTH}
words and marks, without quotation marks, and with doubled marks written once. Documents are split at random, once: 75 % train (about 5200
sentences), 10 % served to choose settings, 15 % are held out. The {WORDS} most frequent words are known."""
NOTES = f"""Word vectors of {SIZES["embedding_size"]} numbers, {SIZES["units"]} cells, codes of 16; {EPOCHS} epochs of Adam at {RATE} for
every arm. The weight of the divergence is 1/2 after {TRICKS["kl_midpoint"]} steps; {TRICKS["word_keep_rate"]} of the words are kept. The
language model keeps all its words, which was better on the sentences for choosing. Sentences are written from their end, as in the paper's
imputation, so that a removed ending is guessed before the given words are seen. The paper removes the last 20 % of longer sentences; here
it is {round(100 * REMOVED)} %, two words or more, none of them unknown. Beams as in the paper: 15 for the language model, three searches
of 5 for the autoencoder. Endings by the
autoencoder are easier to tell here: its code holds about one nat, which says little about an ending that is not seen, and a beam of 5 finds
less than one of 15."""


def sentences(documents):
    """Short sentences of documents, in lower case."""
    lines = []
    for document in documents:
        for words in document.sentences:
            plain = [word.lower() for word in words if word not in ("``", "''")]
            # the corpus prints each mark of question, exclamation and colon twice
            lines.append(" ".join(b for a, b in zip(["", *plain], plain) if a != b or b[0].isalnum()))
    return [line for line, words in zip(lines, text.tokenize(lines)) if SHORTEST <= len(words) <= LENGTH]


def split():
    """Sentences to train, to choose settings, and to test, from different documents."""
    documents = datasets.brown(GENRES)
    order = np.random.default_rng(0).permutation(len(documents))
    parts = np.split(order, [int(0.75 * len(order)), int(0.85 * len(order))])
    return [sentences([documents[i] for i in part]) for part in parts]


def learnt(vocabulary, options, seed, epochs, train, test):
    """A model after training, and its history."""
    keras.utils.set_random_seed(seed)
    model = SentenceVAE(vocabulary, **SIZES, **options)
    model.compile(keras.optimizers.Adam(RATE))
    x = model.encode(train)
    # whole batches only, or the last one is compiled anew
    x = x[: len(x) // BATCH * BATCH]
    held_out = (model.encode(test), None)
    history = model.fit(x, batch_size=BATCH, epochs=epochs, validation_data=held_out, validation_batch_size=256, verbose=0).history
    return model, history


def gaps(vocabulary, texts):
    """Sentences whose ending is known words, and the same with blanks for it."""
    known, found = set(vocabulary), []
    for words in text.tokenize(texts):
        number = max(FEWEST, round(REMOVED * len(words)))
        if number < len(words) - 1 and known.issuperset(words[-number:]):
            found.append((" ".join(words), " ".join(words[:-number] + ["_"] * number)))
    return [list(part) for part in zip(*found)]


def imputation(models, originals, blanked, seed):
    """Adversarial errors of both models' endings in percent, their nats by the language model, and the endings."""
    real, result, written = models["RNNLM"].encode(originals), {}, {}
    for name in ("VAE", "RNNLM"):
        written[name] = models[name].impute(blanked)
        fake = models[name].encode(written[name])
        result[name] = {kind: 100 * adversarial_error(real, fake, kind, seed) for kind in ("unigram", "lstm")}
        result[name]["nats"] = -float(models["RNNLM"].log_likelihood(written[name]).mean())
    return result, written


def main():
    """Train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "sentence_vae_brown")
    train, _, test = split()
    epochs = 1 if args.quick else EPOCHS
    if args.quick:
        train, test = train[:1280], test[:200]
    vocabulary = text.learn_vocabulary(train, WORDS)
    originals, blanked = gaps(vocabulary, test)
    table, histories, endings, shipped, examples = {}, {}, [], None, ""
    for seed in track(args.seeds, "seeds"):
        models = {}
        for name, options in ARMS.items():
            models[name], history = learnt(vocabulary, options, seed, epochs, train, test)
            last = {key[4:]: values[-1] for key, values in history.items() if key.startswith("val_")}
            table.setdefault(name, []).append(last)
            histories.setdefault(name, []).append(history)
            print(f"seed {seed}, {name}:", {key: round(value, 2) for key, value in last.items()}, flush=True)
        found, written = imputation(models, originals, blanked, seed)
        endings.append(found)
        print(f"seed {seed}, {len(originals)} endings:", found, flush=True)
        if shipped is None:
            shipped, examples = models["VAE"], shown(models["VAE"], originals, blanked, written)
    shipped.compile()
    notes = NOTES + summary(table, endings) + examples
    evidence.publish(shipped, args, claims(table, endings, args.seeds), DATA, notes, figure(histories, epochs))


def summary(table, endings):
    """All mean figures: the paper's tables 2 and 3."""
    lines = ["", "", "| model | reconstruction, nats | divergence, nats | sum | perplexity |", "|---|---|---|---|---|"]
    for name, runs in table.items():
        mean = {key: np.mean([run[key] for run in runs]) for key in runs[0]}
        lines.append(f"| {name} | {mean['reconstruction']:.2f} | {mean['kl']:.2f} | {mean['loss']:.2f} | {mean['perplexity']:.1f} |")
    lines += ["", "| endings | told by unigrams, % above 50 | told by an LSTM | nats by the RNNLM |", "|---|---|---|---|"]
    for name in endings[0]:
        mean = {key: np.mean([run[name][key] for run in endings]) for key in endings[0][name]}
        lines.append(f"| {name} | {mean['unigram']:.1f} | {mean['lstm']:.1f} | {mean['nats']:.1f} |")
    return "\n".join(lines)


def shown(model, originals, blanked, written):
    """Sentences for the card: draws, one walk, endings."""
    walk = model.interpolate(originals[0], originals[7], steps=7, beams=5)
    groups = {
        "Drawn codes, the best sentence of each": model.sample(6, beams=5, seed=0),
        "Drawn codes, drawn words": model.sample(4, temperature=0.7, seed=1),
        f"From the code of *{originals[0]}* to that of *{originals[7]}*": list(dict.fromkeys(walk)),
        "Endings (original, VAE, RNNLM)": [
            f"{gap}: *{real}* / *{ours}* / *{theirs}*"
            for gap, real, ours, theirs in list(zip(blanked, originals, written["VAE"], written["RNNLM"]))[:25:6]
        ],
    }
    # an underscore by itself would be markup
    lines = [f"\n{title}:\n\n" + "\n".join(f"- {line}" for line in group).replace("_", r"\_") for title, group in groups.items()]
    return "\n" + "\n".join(lines)


def claims(table, endings, seeds):
    """What the paper says, and what came out."""

    def claim(text, paper, metric, ours, theirs, key, higher=False):
        values, others = ([run[key] for run in table[name]] for name in (ours, theirs))
        return Claim(text, paper, "the held-out sentences", metric, higher, theirs, others, values, seeds)

    def endings_claim(kind, title):
        values, others = ([run[name][kind] for run in endings] for name in ("VAE", "RNNLM"))
        return Claim(
            f"Endings that the autoencoder fills in are harder to tell from the originals, {title}",
            "harder, by both classifiers",
            "endings of held-out sentences",
            "accuracy above 50 %, percent",
            False,
            "RNNLM, one beam of 15",
            others,
            values,
            seeds,
        )

    nats = "nats of a sentence (bound)"
    return [
        claim(
            "Annealing and word dropout keep the divergence, which collapses without them",
            "collapses without, stays with them",
            "divergence of codes, nats of a sentence",
            *("VAE", "VAE without tricks", "kl", True),
        ),
        claim(
            "The code that they keep makes words easier to reconstruct",
            "not measured by itself",
            "reconstruction, nats of a sentence",
            *("VAE", "VAE without tricks", "reconstruction"),
        ),
        claim(
            "A plain language model has a slightly better likelihood than the autoencoder's bound",
            "slightly better",
            nats,
            *("RNNLM", "VAE", "loss"),
        ),
        claim(
            "With a decoder that reads no words, the autoencoder is better than the language model",
            "clearly better",
            nats,
            *("inputless VAE", "inputless RNNLM", "loss"),
        ),
        endings_claim("unigram", "by counts of words"),
        endings_claim("lstm", "by an LSTM"),
    ]


def figure(histories, epochs):
    """Divergence and perplexity over the epochs (the paper's figure 2 shows the first)."""
    grid = np.arange(1, epochs + 1)
    panels = [
        {name: [(grid, run["val_kl"]) for run in runs] for name, runs in histories.items() if "VAE" in name},
        # the start of annealing, where codes cost nothing, is far above
        {name: [(grid, np.minimum(run["val_perplexity"], 200)) for run in runs] for name, runs in histories.items()},
    ]
    return plots.learning_curves(panels, ["divergence", "perplexity, at most 200"], "epochs", ["nats", "perplexity"], log=[True, False])


if __name__ == "__main__":
    main()
