"""SA-LSTM on passages of the Brown corpus: does learning from texts without labels help where labels are few?

    python applications/sa_lstm/train.py

The class of a passage of 64 words is the group of genres of its document. Passages of all training documents serve without labels, 500
passages of some of them have labels, and passages of the other training documents choose the best epoch. A seed stands for these choices,
for initial weights and for the order of the batches. The classifier starts at random, from a sequence autoencoder, from a language model,
from the language model's word vectors alone, or from a language model of a quarter of the documents with as many updates. Labels at every
word (linear gain) and joint training are tried as well. Classifiers are trained two or three times from new weights of what was not
pre-trained. The preset is the first one that starts from the sequence autoencoder.
"""

import keras
import numpy as np
from keras import ops
from rich.progress import track
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from zoo import datasets, evidence, plots, text
from zoo.applications import SALSTM
from zoo.evidence import Claim

CLASSES = ["press", "general prose", "learned", "fiction"]
WORDS, LENGTH = 2000, 64
NETWORK = {"num_classes": 4, "length": LENGTH, "embedding_size": 64, "units": 64, "hidden": 32, "class_names": CLASSES}
# of 375 training documents, 250 have this many labelled passages, and the others this many to choose the epoch; all have 20 without labels
LABELLED_DOCUMENTS, LABELLED, CHOOSING = 250, 2, 4
UNLABELLED, PASSES, PRETRAINING_RATE, PRETRAINING_BATCH = 20, 2, 3e-3, 32
EPOCHS, BATCH, RUNS, VARIANT_RUNS = 10, 25, 3, 2
RANDOM, AUTOENCODER, LANGUAGE_MODEL, QUARTER = "random start", "sequence autoencoder", "language model", "language model of a quarter"
VECTORS, GAIN, JOINT, BAG = "word vectors of the language model", "language model, linear gain", "joint training", "bag of words"
# learning rate, word dropout and dropout of word vectors: the best of one grid for each kind of start, see the notes
FROM_RANDOM, FROM_PRETRAINED = (3e-3, 0.2, 0.3), (1e-3, 0.0, 0.0)
SETTINGS = dict.fromkeys([AUTOENCODER, LANGUAGE_MODEL, QUARTER, VECTORS, GAIN], FROM_PRETRAINED) | {RANDOM: FROM_RANDOM, JOINT: FROM_RANDOM}
# passages without a class beside each labelled one in joint training
JOINT_SHARE = 3
PENALTIES = (10, 100)
DATASET = "passages of held-out documents"
DATA = f"""The Brown corpus (Francis and Kucera 1964; redistribution permitted), cut into passages of {LENGTH} words; the classes are the
corpus's own four groups of genres: {", ".join(CLASSES)}. Every fourth document is held out. Of each of the 375 others up to {UNLABELLED}
passages serve without labels; {LABELLED} passages of each of {LABELLED_DOCUMENTS} of them are labelled, and {CHOOSING} of each of the
rest choose the epoch."""


NOTES = f"""Word vectors of {NETWORK["embedding_size"]} numbers, {NETWORK["units"]} cells, {WORDS} words (the paper: 512 and 1024).
Pre-training makes {PASSES} passes with Adam at {PRETRAINING_RATE}, classifiers are trained for {EPOCHS} epochs, and the epoch with the
highest accuracy on labelled passages of other training documents counts, for all starts alike; a pass of the autoencoder takes half as
long again as one of the language model. Each value of a seed is the mean of {RUNS} classifiers (variants {VARIANT_RUNS}, joint training
1). Settings were chosen on training documents alone, with other held-out ones: rates of 0.001 and 0.003 without dropout and with dropout
of 0.2 of the words and 0.3 of the word vectors, in runs of one or two seeds; not every pair was tried for every start (four settings of
the random start, two of the autoencoder, five of the language model). The best for a random start is 0.003 with dropout (50.6 percent at
the best epoch; 47.4 without, 46.0 at 0.001 without), for the autoencoder 0.001 without (57.5; 55.9 with dropout), for the language model,
here of three passes, there is no clear winner (56.4 at 0.001 without, 56.8 at 0.003 with). Its word vectors alone had 56.3 there, linear
gain 57.0, logistic regression 59.7. Joint training has the settings of the random start and three passages without a class beside each
with one. Tokens that are not among the {WORDS} words, about a fifth, are all the same to the LSTM, while the logistic regression sees
every word. Held-out documents are the same for all seeds and took no part in any choice. An earlier version classified the sentiment of
single sentences of film reviews, 3000 without and 500 with labels. There a random start was best (65.5 percent against 61.6 of the
language model and 59.5 of the autoencoder), all claims but that on the number of sentences failed, and all of 6500 sentences or the Brown
corpus as texts without labels helped little: sixty thousand words in texts of twenty are too few to learn a language model from, and
single words tell the class. Here the language model of two passes predicts words of other documents better than smoothed pairs of words do
(4.19 nats a word against 4.27; 4.91 from frequencies alone). Which objective it
is, and linear gain, made less difference on the development documents than chance did."""


def passages(documents):
    """Texts, numbers of their documents, classes."""
    texts, owners, genres = datasets.brown_passages(documents, LENGTH)
    return [" ".join(words) for words in texts], owners, datasets.BROWN_GROUPS[genres].astype("int32")


def drawn(owners, documents, count, rng):
    """Indices of `count` random passages of each of `documents`."""
    return np.concatenate([rng.permutation(np.flatnonzero(owners == document))[:count] for document in documents])


def model_of(words, seed, arm=AUTOENCODER, **arguments):
    """A classifier with initial weights of its seed."""
    keras.utils.set_random_seed(seed)
    _, word_dropout, embedding_dropout = SETTINGS[arm]
    return SALSTM(words, **NETWORK, word_dropout=word_dropout, embedding_dropout=embedding_dropout, **arguments)


def pretrained(words, seed, ids, objective, epochs):
    """Weights of word vectors and LSTM after pre-training, and the loss of a word."""
    model = model_of(words, seed)
    # compiling with XLA takes longer than a few updates
    arguments = {"batch_size": PRETRAINING_BATCH, "learning_rate": PRETRAINING_RATE, "verbose": 0, "jit_compile": len(ids) > 1000}
    history = model.pretrain(ids, objective, epochs=epochs, **arguments).history
    return model.reader.get_weights(), history["loss"][-1]


class Trainer:
    """A compiled classifier that can start again and again: to trace its graphs takes longer than to train it."""

    def __init__(self, words, arm, **arguments):
        self.model = model_of(words, 0, arm, **arguments)
        rate = SETTINGS[arm][0]
        self.model.compile(keras.optimizers.Adam(rate, global_clipnorm=self.model.gradient_clip), jit_compile=False)
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = [ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]

    def run(self, weights, data, choosing, test, epochs, batch):
        """Accuracy in percent on `choosing` after each epoch, and on `test` at the best epoch."""
        self.model.set_weights(weights)
        assign(self.model.optimizer.variables, self.start)
        best = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=epochs, restore_best_weights=True)
        arguments = {"validation_data": choosing, "validation_batch_size": 500, "callbacks": [best], "verbose": 0}
        history = self.model.fit(*data, batch_size=batch, epochs=epochs, **arguments).history
        found = self.model.evaluate(*test, batch_size=500, verbose=0, return_dict=True)
        return 100 * np.array(history["val_accuracy"]), 100 * found["accuracy"]


def assign(variables, arrays):
    """Give variables the values of arrays; what has no array stays."""
    for variable, array in zip(variables, arrays):
        variable.assign(array)


def arms_of_a_seed(seed, train, test, trainers, quick):
    """By arm: curves over the epochs and held-out accuracies, one a run each; the classifier to ship; losses of pre-training."""
    texts, owners, classes = train
    rng = np.random.default_rng(seed)
    documents = rng.permutation(np.unique(owners))
    # as few as that of a quick run
    split = min(LABELLED_DOCUMENTS, len(documents) * 2 // 3)
    labelled, choosing = drawn(owners, documents[:split], LABELLED, rng), drawn(owners, documents[split:], CHOOSING, rng)
    words = text.learn_vocabulary(texts, max_words=WORDS)
    encode = model_of(words, seed).encode
    ids, test_ids = encode(texts), encode(test[0])
    unlabelled = [ids[drawn(owners, part, UNLABELLED, rng)] for part in (documents, documents[::4])]
    weights, losses = {}, {}
    # a quarter of the passages gets as many updates
    plan = {LANGUAGE_MODEL: ("language_model", 0, 1), AUTOENCODER: ("autoencoder", 0, 1), QUARTER: ("language_model", 1, 4)}
    for arm, (objective, part, times) in plan.items():
        weights[arm], losses[arm] = pretrained(words, seed, unlabelled[part], objective, 1 if quick else times * PASSES)
    weights[GAIN] = weights[LANGUAGE_MODEL]
    chosen, data = (ids[choosing], classes[choosing]), (ids[labelled], classes[labelled])
    curves, accuracies, kept = {}, {}, None
    epochs = 2 if quick else EPOCHS

    def run(arm, number=0, sample=data, batch=BATCH, **arguments):
        model = model_of(words, RUNS * seed + number, arm, **arguments)
        # only the word vectors of a language model are the first of its reader's weights
        assign(model.reader.weights, weights[LANGUAGE_MODEL][:1] if arm == VECTORS else weights.get(arm, []))
        key = (SETTINGS[arm], *arguments.items())
        trainers[key] = trainers.get(key) or Trainer(words, arm, **arguments)
        curve, accuracy = trainers[key].run(model.get_weights(), sample, chosen, (test_ids, test[2]), epochs, batch)
        curves.setdefault(arm, []).append(curve)
        accuracies.setdefault(arm, []).append(accuracy)
        model.set_weights(trainers[key].model.get_weights())
        return model

    for number in range(1 if quick else RUNS):
        for arm in (RANDOM, AUTOENCODER, LANGUAGE_MODEL):
            model = run(arm, number)
            kept = model if kept is None and arm == AUTOENCODER else kept
    for number in range(1 if quick else VARIANT_RUNS):
        for arm in (QUARTER, VECTORS):
            run(arm, number)
        run(GAIN, number, linear_gain=True)
    others = rng.permutation(len(ids))[: JOINT_SHARE * len(labelled)]
    both = np.concatenate([ids[labelled], ids[others]]), np.concatenate([classes[labelled], np.full(len(others), -1, "int32")])
    run(JOINT, 0, both, BATCH * (1 + JOINT_SHARE), joint_weight=1.0, joint_objective="language_model")
    accuracies[BAG] = [bag_of_words(texts, classes, labelled, choosing, test)]
    return curves, accuracies, kept, losses


def bag_of_words(texts, classes, labelled, choosing, test):
    """Held-out accuracy in percent of logistic regression on tf-idf, whose penalty is chosen as the epochs are."""

    def part(indices):
        return [texts[i] for i in indices], classes[indices]

    bags = [make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=c)) for c in PENALTIES]
    best = max(bags, key=lambda bag: bag.fit(*part(labelled)).score(*part(choosing)))
    return 100 * best.score(test[0], test[2])


def main():
    """Pre-train, train, compare, publish."""
    args = evidence.arguments(__doc__, "sa_lstm_brown")
    corpus = datasets.brown()
    train = passages(corpus[::20] if args.quick else [document for i, document in enumerate(corpus) if i % 4 < 3])
    test = passages(corpus[3 :: 40 if args.quick else 4])
    runs, accuracies, shipped, losses, trainers = [], [], None, [], {}
    for seed in track(args.seeds, "seeds"):
        curves, found, model, loss = arms_of_a_seed(seed, train, test, trainers, args.quick)
        runs.append(curves)
        accuracies.append(found)
        losses.append(loss)
        shipped = shipped or model
        print(f"seed {seed}:", {arm: np.round(values, 2).tolist() for arm, values in found.items()}, flush=True)
        print(f"seed {seed}, nats a word:", {arm: round(value, 3) for arm, value in loss.items()}, flush=True)
    shipped.compile()
    evidence.publish(shipped, args, claims(accuracies, args.seeds), DATA, NOTES + table(losses), figure(runs))


def table(losses):
    """Losses of pre-training in a sentence."""
    return " Nats a word after pre-training: " + ", ".join(f"{arm} {np.mean([one[arm] for one in losses]):.2f}" for arm in losses[0]) + "."


def claims(accuracies, seeds):
    """What the paper says, and what came out."""
    means = {arm: [float(np.mean(found[arm])) for found in accuracies] for arm in accuracies[0]}
    spreads = {arm: [float(np.std(found[arm], ddof=len(found[arm]) > 1)) for found in accuracies] for arm in (AUTOENCODER, RANDOM)}

    def claim(text, paper, ours, theirs, values=means, metric="accuracy in percent", higher=True):
        return Claim(text, paper, DATASET, metric, higher, theirs, values[theirs], values[ours], seeds)

    deviation = f"standard deviation of {RUNS} classifiers' accuracies in percent"
    return [
        claim(
            "A classifier that starts from a sequence autoencoder is better than one that starts at random", "better", AUTOENCODER, RANDOM
        ),
        claim("A classifier that starts from a language model is better than one that starts at random", "better", LANGUAGE_MODEL, RANDOM),
        claim("The sequence autoencoder is the better start of the two", "better on most data", AUTOENCODER, LANGUAGE_MODEL),
        claim("After pre-training, results differ less between runs", "more stable", AUTOENCODER, RANDOM, spreads, deviation, False),
        claim("LSTM and word vectors are a better start than the word vectors alone", "better", LANGUAGE_MODEL, VECTORS),
        claim("A language model of more documents is a better start, at the same number of updates", "better", LANGUAGE_MODEL, QUARTER),
        claim("Labels at every word with linear gain help", "on some data, not on other", GAIN, LANGUAGE_MODEL),
        claim("Pre-training is better than joint training", "better", LANGUAGE_MODEL, JOINT),
        claim(
            "With pre-training the LSTM classifies better than logistic regression on tf-idf of words and pairs",
            "better than earlier methods",
            AUTOENCODER,
            BAG,
        ),
    ]


def figure(runs):
    """Accuracy on the passages that choose the epoch, over the epochs."""
    arms = list(runs[0])
    panels = [
        {arm: [(np.arange(1, len(curve) + 1), curve) for curves in runs for curve in curves[arm]] for arm in part}
        for part in (arms[:4], arms[4:])
    ]
    return plots.learning_curves(panels, ["starts", "variants"], "epochs", "accuracy on development documents, %")


if __name__ == "__main__":
    main()
