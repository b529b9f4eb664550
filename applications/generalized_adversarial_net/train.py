"""Generalised adversarial training on a plane and on MNIST: what the prior pi changes; and where scheduled sampling leads.

    KERAS_BACKEND=jax python applications/generalized_adversarial_net/train.py

The plane: the paper's figure by exact integration, then the game itself with the defaults of the class, a Gaussian generator on a mixture
of three. MNIST: dense players on the digits' first components. Scheduled sampling: a recurrent network on sequences of a hidden Markov
model, so short that all of them can be enumerated, and with them the point to which training leads.
"""

import itertools

import keras
import numpy as np
from keras import layers
from scipy import optimize, special, stats

from zoo import datasets, evidence, metrics, plots
from zoo.applications import GeneralizedAdversarialNet
from zoo.callbacks import ScheduledSamplingDecay
from zoo.evidence import Choice, Claim
from zoo.layers import ScheduledSampling
from zoo.plots.figure import new_figure

PRIORS = (0.1, 0.5, 0.9)
# random seeds begin here; smaller ones were for trials. MNIST and sequences take the first few
FIRST_SEED, FEW = 10, 5
# the plane: a mixture, and the paper's correlated target; cells of the integrals
CENTRES, SHARES, SPREAD = np.array([[-1.5, -1.0], [1.5, -0.5], [0.0, 1.8]]), np.array([0.5, 0.3, 0.2]), 0.35
CORRELATED = np.array([[1.5, 1.2], [1.2, 1.5]])
TICKS = np.linspace(-7, 7, 141)
GRID = np.stack(np.meshgrid(TICKS, TICKS), axis=-1).reshape(-1, 2)
CELL = (TICKS[1] - TICKS[0]) ** 2
POINTS, EPOCHS = 10000, 60
# MNIST
COMPONENTS, IMAGES, SMALL, WIDE, NOISE, DIGIT_EPOCHS, RATE, JUDGED = 30, 20000, 32, 128, 0.3, 40, 1e-3, 2000
# sequences: two hidden states, three symbols
LENGTH, SYMBOLS, SEQUENCES = 4, 3, 100000
START, MOVE = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
EMIT = np.array([[0.8, 0.15, 0.05], [0.05, 0.25, 0.7]])
DATA = f"""Points of a mixture of three Gaussians, drawn for each seed; {IMAGES} training images of MNIST (CC BY-SA 3.0), and {JUDGED}
test images to judge by; {SEQUENCES} sequences of a hidden Markov model, drawn for each seed. The shipped weights are those of MNIST with
pi = 0.5 and seed 0."""
NOTES = f"""All arms of a comparison are the same class with the same settings but for pi, and the same data and start for a seed. On the
plane these are the defaults of the class: a Gaussian generator, {EPOCHS} epochs over {POINTS} points; what the players reach is a local
optimum, which for pi = 0.5 and 0.9 often covers two modes where exact integration finds that one is better. On MNIST both players know
the first {COMPONENTS} components of the pixels by a fixed projection. The generator is small (one hidden layer of {SMALL} units), the
discriminator ({WIDE}, {WIDE}), since the paper speaks of models that cannot be right: in trials with two hidden layers of 256 units pi =
0.1 and 0.9 had precisions of 0.66 and 0.68 and recalls of 0.57 and 0.65 among the components, no trade at all. Without the projection and
without noise (here a standard deviation of {NOISE} of the components) the discriminator wins within an epoch, and the exact loss then
teaches nothing: in a trial on pixels JS_0.5 reached log 2 and all samples looked alike. Sizes, rate and noise were set on trials with
another seed before the run, the same for all pi; the trade was seen there among the components, less clearly among the features of the
LeNet. Precision and recall are those of Kynkaanniemi et al. 2019, by three neighbours among {JUDGED} images each: once among the
components, once among the features of a LeNet (`zoo.evidence.mnist_judge`). For scheduled sampling the point that training leads to is
computed by enumeration: each conditional is that of the true token given all that was read, where what was read is a mixture of true
tokens and of samples. With samples alone these say nothing of the sequence, and the conditionals become marginals.
What came out: nine of ten runs with pi = 0.9 end at the two modes of all runs with 0.5, so that these two differ by one run alone. The
features of the LeNet do not show the trade; why was not looked into."""


def main():
    """Integrate, train over the seeds, compare, publish."""
    args = evidence.arguments(__doc__, "generalized_adversarial_net_mnist", seeds=10)
    fits = figure_fits(args.quick)
    plane, gaussians = on_the_plane(args)
    digits, model, codes = on_digits(args)
    ends = on_sequences(args)
    choice = Choice("trials on MNIST with another seed", "sizes and noise", {"pi = 0.1": 6, "pi = 0.9": 6})
    evidence.publish(
        model,
        args,
        claims(plane, digits, ends, args.seeds),
        DATA,
        NOTES + summary(plane, digits, ends),
        figure(fits, gaussians, digits, codes),
        choices=[choice],
    )


# --- the plane ---


def mixture(points):
    """Log-density of the mixture."""
    parts = [np.log(w) + stats.multivariate_normal(m, SPREAD**2).logpdf(points) for w, m in zip(SHARES, CENTRES)]
    return special.logsumexp(parts, axis=0)


def correlated(points):
    """Log-density of one Gaussian that no round one fits."""
    return stats.multivariate_normal([0, 0], CORRELATED).logpdf(points)


def cells(log_density):
    """Probabilities of the cells of the grid; what lies outside of it is lost, and the rest sums to one."""
    p = np.exp(log_density(GRID)) * CELL
    return p / p.sum()


def divergence(p, q, pi):
    """JS_pi, or for pi of 0 and 1 its limits KL[P||Q] and KL[Q||P], nats."""
    if pi in (0, 1):
        # nothing is 0 but for rounding
        return special.rel_entr(*((p, q + 1e-300) if pi == 0 else (q, p + 1e-300))).sum()
    return metrics.jensen_shannon_divergence(p, q, pi) / (pi * (1 - pi))


def round_fit(p, pi, starts):
    """Mean and logarithm of the deviation of the round Gaussian that minimises a divergence from `p`, by integration (figure 1)."""

    def loss(theta):
        return divergence(p, cells(round_gaussian(theta)), pi)

    bounds = [(-3, 3), (-3, 3), (-2, 1)]
    found = [optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    return min(found, key=lambda one: one.fun).x


def round_gaussian(theta):
    """Its log-density."""
    return lambda points: stats.multivariate_normal(theta[:2], np.exp(2 * theta[2])).logpdf(points)


def figure_fits(quick):
    """The paper's figure: for each target the fits by KL[P||Q], JS_pi and KL[Q||P]."""
    starts = [(0, 0, 0.3), (-1.5, -1, -1), (1.5, -0.5, -1)][: 1 if quick else 3]
    targets = {"mixture": mixture, "correlated": correlated}
    return {name: (target, [round_fit(cells(target), pi, starts) for pi in (0, *PRIORS, 1)]) for name, target in targets.items()}


def on_the_plane(args):
    """For each pi and seed what the game of the default class reaches: modes, precision, both divergences; and its Gaussians of seed 0."""
    p, found, gaussians = cells(mixture), {}, {}
    for seed, pi in itertools.product(args.seeds, PRIORS):
        rng = np.random.default_rng(FIRST_SEED + seed)
        x = CENTRES[rng.choice(3, POINTS, p=SHARES)] + SPREAD * rng.normal(size=(POINTS, 2))
        keras.utils.set_random_seed(FIRST_SEED + seed)
        model = GeneralizedAdversarialNet(pi)
        model.compile(steps_per_execution=20)
        model.fit(x.astype("float32"), epochs=2 if args.quick else EPOCHS, verbose=0)
        modes, near = metrics.mode_coverage(model.sample(2000, seed=seed), CENTRES, 3 * SPREAD)
        kernel, bias = model.generator_network.get_weights()
        normal = stats.multivariate_normal(bias, kernel.T @ kernel)
        q = cells(normal.logpdf)
        values = {"modes": modes, "near": near, "forward": divergence(p, q, 0), "reverse": divergence(p, q, 1)}
        values["js"] = metrics.jensen_shannon_divergence(p, q, pi)
        for name, value in values.items():
            found.setdefault(name, {}).setdefault(pi, []).append(float(value))
        gaussians.setdefault(pi, normal.logpdf)
        print(f"plane, seed {seed}, pi {pi}: {values}", flush=True)
    return found, gaussians


# --- MNIST ---


def projection(images):
    """Mean, directions and scale of the first components of pixels."""
    x = images.reshape(len(images), -1)
    mean = x.mean(0)
    vectors = np.linalg.eigh(np.cov((x - mean).T))[1][:, ::-1][:, :COMPONENTS]
    return mean, vectors, ((x - mean) @ vectors).std()


def players(mean, vectors, scale):
    """A generator and a discriminator of images; both know fixed projections from and to the components."""
    z = x = keras.Input((COMPONENTS,), name="z")
    x = layers.Dense(SMALL, "relu", name="generator_hidden")(x)
    x = layers.Dense(COMPONENTS, name="generator_components")(x)
    pixels = layers.Dense(784, trainable=False, name="generator_pixels")
    generator = keras.Model(z, layers.Reshape((28, 28, 1))(pixels(x)), name="generator")
    pixels.set_weights([scale * vectors.T, mean])
    image = keras.Input((28, 28, 1), name="image")
    components = layers.Dense(COMPONENTS, trainable=False, name="discriminator_components")
    x = components(layers.Flatten()(image))
    components.set_weights([vectors / scale, -mean @ vectors / scale])
    for i in range(2):
        x = layers.LeakyReLU(0.2)(layers.Dense(WIDE, name=f"discriminator_hidden_{i}")(x))
    return generator, keras.Model(image, layers.Dense(1, name="discriminator_logit")(x), name="discriminator")


def on_digits(args):
    """For each pi and seed precision and recall of digits; the model of seed 0 and pi = 0.5, and samples of each pi."""
    (images, _), (test, _) = datasets.mnist()
    images, test = images[:IMAGES], test[:JUDGED]
    mean, vectors, scale = projection(images)
    judge, found, samples, shipped = evidence.mnist_judge(), {}, {}, None
    seen = judge.look(test)[0]

    def components(x):
        return (x.reshape(len(x), -1) - mean) @ vectors / scale

    for seed, pi in itertools.product(args.seeds[:FEW], PRIORS):
        keras.utils.set_random_seed(FIRST_SEED + seed)
        generator, discriminator = players(mean, vectors, scale)
        # white noise of pixels is white noise of the components
        model = GeneralizedAdversarialNet(pi, generator=generator, discriminator=discriminator, noise=float(NOISE * scale))
        epochs = 1 if args.quick else DIGIT_EPOCHS
        rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * IMAGES // model.default_batch_size)
        model.compile(keras.optimizers.Adam(rate, beta_1=0.5), steps_per_execution=50)
        model.fit(images, epochs=epochs, verbose=0)
        drawn = model.sample(JUDGED, seed=seed)
        features, chances = judge.look(np.clip(drawn, 0, 1))
        precision, recall = metrics.precision_recall(components(test), components(drawn))
        by_judge = metrics.precision_recall(seen, features)
        values = {"precision": precision, "recall": recall, "judged_precision": by_judge[0], "judged_recall": by_judge[1]}
        values |= {"confidence": chances.max(1).mean(), "score": metrics.classifier_score(chances)}
        for name, value in values.items():
            found.setdefault(name, {}).setdefault(pi, []).append(float(value))
        samples.setdefault(pi, np.clip(drawn[:18], 0, 1))
        shipped = model if pi == 0.5 and seed == 0 else shipped
        print(f"digits, seed {seed}, pi {pi}: {values}", flush=True)
    return found, shipped, samples


# --- sequences ---


def hidden_markov():
    """All sequences `(symbols ** length, length)` and their probabilities, by the forward algorithm."""
    sequences = np.array(list(itertools.product(range(SYMBOLS), repeat=LENGTH)), "int32")
    forward = START * EMIT[:, sequences[:, 0]].T
    for t in range(1, LENGTH):
        forward = (forward @ MOVE) * EMIT[:, sequences[:, t]].T
    return sequences, forward.sum(1)


def end_of_training(p, truth):
    """The distribution at which scheduled sampling rests, of all sequences.

    At each place the loss is a cross-entropy of the true token given all that was read, and its minimum is that conditional. What is read
    next is then the true token with probability `truth`, else a draw of that conditional.

    Args:
        p: probabilities of all sequences.
        truth: probability of true tokens.
    """
    # of the true tokens so far, and those that were read
    joint, q = np.ones((1, 1)), np.ones(1)
    for t in range(LENGTH):
        ahead = p.reshape(SYMBOLS**t, SYMBOLS, -1).sum(2)
        ahead = ahead / ahead.sum(1, keepdims=True)
        learned = np.einsum("tr,ta->ra", joint, ahead) / joint.sum(0)[:, None]
        q = (q[:, None] * learned).reshape(-1)
        drawn = (1 - truth) * np.einsum("tr,ta,rb->tarb", joint, ahead, learned)
        same = truth * np.einsum("tr,ta,ab->tarb", joint, ahead, np.eye(SYMBOLS))
        joint = (drawn + same).reshape(SYMBOLS ** (t + 1), -1)
    return q


def marginals(p):
    """The product of the distributions of each token."""
    p = p.reshape((SYMBOLS,) * LENGTH)
    each = [p.sum(tuple(j for j in range(LENGTH) if j != t)) for t in range(LENGTH)]
    return np.einsum("a,b,c,d->abcd", *each).reshape(-1)


def on_sequences(args):
    """For each way to train and each seed the divergences of the truth, and of the computed ends, from what was learned."""
    sequences, p = hidden_markov()
    ends = {name: end_of_training(p, truth) for name, truth in (("likelihood", 1.0), ("half", 0.5), ("decay", 0.0))}
    np.testing.assert_allclose(ends["likelihood"], p, atol=1e-12)
    np.testing.assert_allclose(ends["decay"], marginals(p), atol=1e-12)
    found = {}
    for seed, name in itertools.product(args.seeds[:FEW], ends):
        n = 1000 if args.quick else SEQUENCES
        x = sequences[np.random.default_rng(FIRST_SEED + seed).choice(len(p), n, p=p)]
        keras.utils.set_random_seed(FIRST_SEED + seed)
        layer = ScheduledSampling(SYMBOLS, units=16, embedding_size=4, true_probability=0.5 if name == "half" else 1.0)
        model = keras.Sequential([keras.Input((LENGTH,), dtype="int32"), layer])
        rate = keras.optimizers.schedules.CosineDecay(5e-3, n // 50)
        model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        decay = [ScheduledSamplingDecay("inverse_sigmoid", k=100)] if name == "decay" else []
        model.fit(x, x, batch_size=100, epochs=2, verbose=0, callbacks=decay)
        q = np.exp(layer.log_likelihood(sequences).astype("float64"))
        values = {"truth": special.rel_entr(p, q).sum(), "end": special.rel_entr(ends[name], q).sum()}
        values["computed"] = special.rel_entr(p, ends[name]).sum()
        for key, value in values.items():
            found.setdefault(key, {}).setdefault(name, []).append(float(value))
        print(f"sequences, seed {seed}, {name}: {values}", flush=True)
    return found


# --- what came out ---


def claims(plane, digits, ends, seeds):
    """What the paper says, and what came out."""

    def pair(text, table, metric, data, higher, ours, theirs, matters):
        values = (table[theirs], table[ours], seeds[: len(table[ours])])
        return Claim(text, "by theory, figure 1", data, metric, higher, f"pi = {theirs}", *values, matters=matters)

    near, mnist = "a mixture of three Gaussians", f"{JUDGED} test images of MNIST"
    share, judge = "share of samples within 3 deviations of a mode", ", by a LeNet's features"
    likely = "pi = 0.1 is nearer to the data in the divergence of likelihood than 0.9"
    reverse = "pi = 0.9 is nearer to the data in the reverse divergence than 0.1"
    found = [
        pair("pi = 0.1 covers more modes than 0.5", plane["modes"], "share of modes", near, True, 0.1, 0.5, 0.1),
        pair("pi = 0.5 covers more modes than 0.9", plane["modes"], "share of modes", near, True, 0.5, 0.9, 0.1),
        pair("Samples of pi = 0.5 are more often near a mode than those of 0.1", plane["near"], share, near, True, 0.5, 0.1, 0.05),
        pair("Samples of pi = 0.9 are more often near a mode than those of 0.5", plane["near"], share, near, True, 0.9, 0.5, 0.05),
        pair(likely, plane["forward"], "KL of the data from the model, nats", near, False, 0.1, 0.9, 0.1),
        pair(reverse, plane["reverse"], "KL of the model from the data, nats", near, False, 0.9, 0.1, 0.1),
        pair("Digits: pi = 0.1 covers more than 0.9", digits["recall"], "recall, components", mnist, True, 0.1, 0.9, 0.02),
        pair("Digits: pi = 0.9 is more precise than 0.1", digits["precision"], "precision, components", mnist, True, 0.9, 0.1, 0.02),
        pair(f"Digits: pi = 0.1 covers more than 0.9{judge}", digits["judged_recall"], "recall", mnist, True, 0.1, 0.9, 0.02),
        pair(f"Digits: pi = 0.9 is more precise than 0.1{judge}", digits["judged_precision"], "precision", mnist, True, 0.9, 0.1, 0.02),
    ]
    chain, truth = "all sequences of a hidden Markov model", "KL of the truth from the model, nats"
    inconsistent = "Scheduled sampling that ends without true tokens is inconsistent: maximum likelihood comes nearer to the truth"
    half = "So is scheduled sampling with every other token true"
    rests = "It rests at the product of marginals: the model is nearer to it than to the truth"
    few = seeds[:FEW]
    likelihood, decay = ends["truth"]["likelihood"], ends["truth"]["decay"]
    return [
        *found,
        Claim(inconsistent, "proved", chain, truth, False, "decay", decay, likelihood, few, matters=0.02),
        Claim(half, "proved", chain, truth, False, "half", ends["truth"]["half"], likelihood, few, matters=0.02),
        Claim(rests, "proved", chain, "KL, nats", False, "to the truth", decay, ends["end"]["decay"], few, matters=0.02),
    ]


def summary(plane, digits, ends):
    """All mean figures."""
    lines = ["", ""]
    heads = ("modes", "near a mode", "KL[P\\|\\|Q]", "KL[Q\\|\\|P]", "own JS_pi")
    lines += [f"| plane | {' | '.join(heads)} |", "|---" * 6 + "|"]
    lines += [f"| pi = {pi} | " + " | ".join(f"{np.mean(plane[name][pi]):.3f}" for name in plane) + " |" for pi in PRIORS]
    heads = ("precision", "recall", "precision, LeNet", "recall, LeNet", "LeNet's confidence", "classifier score")
    lines += ["", f"| digits | {' | '.join(heads)} |", "|---" * 7 + "|"]
    lines += [f"| pi = {pi} | " + " | ".join(f"{np.mean(digits[name][pi]):.3f}" for name in digits) + " |" for pi in PRIORS]
    lines += ["", "| sequences | KL of the truth from the model | computed by enumeration | KL of the computed end from the model |"]
    lines += ["|---|---|---|---|"]
    words = {"likelihood": "maximum likelihood", "half": "every other token true", "decay": "no true tokens in the end"}
    for name, text in words.items():
        lines.append(f"| {text} | {' | '.join(f'{np.mean(ends[key][name]):.4f}' for key in ('truth', 'computed', 'end'))} |")
    return "\n".join(lines)


def figure(fits, gaussians, digits, samples):
    """The paper's figure, what the game found, and digits."""
    drawn = new_figure(13, 7)
    top, bottom = drawn.subfigures(2, 1, height_ratios=(1.5, 1))
    titles = ["data", "KL[P||Q]", *(f"JS, pi = {pi}" for pi in PRIORS), "KL[Q||P]"]
    rows = {f"{name}, exact": [target, *(round_gaussian(theta) for theta in found)] for name, (target, found) in fits.items()}
    # the game has no limits of pi; their places stay empty
    rows["the game"] = [mixture, mixture, *gaussians.values(), mixture]
    axes = top.subplots(3, 6)
    plots.draw_densities(axes, rows, titles, -3.5, 3.5)
    for axis in (axes[2, 1], axes[2, 5]):
        axis.remove()
    for axis, (pi, images) in zip(bottom.subplots(1, 3), samples.items()):
        tiles = images.reshape(3, 6, 28, 28).transpose(0, 2, 1, 3).reshape(84, 168)
        axis.imshow(tiles, cmap="gray", vmin=0, vmax=1)
        scores = f"precision {np.mean(digits['precision'][pi]):.2f}, recall {np.mean(digits['recall'][pi]):.2f}"
        axis.set(xticks=[], yticks=[], title=f"pi = {pi}: {scores}")
    return drawn


if __name__ == "__main__":
    main()
