"""Bayesian SegNet on CamVid: do samples of dropout masks beat weight averaging, and does the variance show the errors?

A small SegNet with dropout in its central units learns the 367 training frames in 60 x 80 pixels. On the 233 test frames the mean over
random passes is compared with one pass of averaged weights, of the same network, for 1 to 50 passes. Uncertainty, the mean variance over
classes, is compared between wrong and right pixels. The preset is the network of the first seed.
"""

import keras
import numpy as np
from rich.progress import track
from sklearn.metrics import roc_auc_score

from zoo import datasets, evidence, losses, metrics, plots
from zoo.applications import BayesianSegNet

VOID = datasets.CAMVID_VOID
NETWORK = {"architecture": "basic", "filters": 32, "kernel_size": 3, "dropout": 0.25}
FACTOR, EPOCHS, RATE = 3, 12, 5e-3
FEW = 7
DATA = """CamVid (Brostow, Fauqueur, Cipolla 2009: "Semantic object classes in video: a high-definition ground truth database"), for
research, in the split and the eleven classes of the SegNet authors; the 233 test frames are held out. Reduced to 60 x 80 pixels."""
NOTES = """The paper's Basic layout with 32 channels and kernels of 3 instead of 64 and 7, Adam instead of SGD, no weights from ImageNet,
each frame also mirrored. Settings were chosen by the mean IoU of averaged weights on the 101 validation frames, where the paper's dropout
of 0.5 was too much for so small a network (26 % after 12 epochs, 40 % with 0.25), and the layout of VGG-16 with 12 to 96 channels was
worse (29 %)."""


def frames():
    """Training and test frames in 60 x 80 pixels; the training frames also mirrored."""
    train, _, test = (datasets.reduced(*part, FACTOR) for part in datasets.camvid())
    return tuple(np.concatenate([a, a[:, :, ::-1]]) for a in train), test


def trained(train, seed, epochs):
    """The network of one seed."""
    keras.utils.set_random_seed(seed)
    weights = losses.median_frequency_weights(train[1], len(datasets.CAMVID_CLASSES), VOID)
    model = BayesianSegNet(len(weights), **NETWORK, class_weights=weights, ignore_class=VOID)
    steps = epochs * -(-len(train[0]) // 8)
    model.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)))
    model.fit(*train, batch_size=8, epochs=epochs, verbose=2)
    return model


def mean_iou(probabilities, labels):
    """Over the classes, in percent."""
    kept = labels != VOID
    return 100 * np.nanmean(metrics.iou(labels[kept], probabilities.argmax(-1)[kept], probabilities.shape[-1]))


def sampled(model, test, samples):
    """Mean IoU after each further sample, then mean and variance over all."""
    total = squares = 0
    curve = []
    for _ in range(samples):
        one, _ = model.predict_with_uncertainty(test[0], samples=1, batch_size=32)
        total, squares = total + one, squares + one.astype("float64") ** 2
        curve.append(mean_iou(total, test[1]))
    mean = total / samples
    return curve, mean, squares / samples - mean.astype("float64") ** 2


def measured(model, test, samples):
    """All figures of one network."""
    averaged = model.predict(test[0], batch_size=32, verbose=0)
    curve, mean, variance = sampled(model, test, samples)
    kept = test[1] != VOID
    uncertainty, wrong = variance.mean(-1)[kept], (mean.argmax(-1) != test[1])[kept]
    return {
        "averaged": mean_iou(averaged, test[1]),
        "curve": curve,
        "wrong": uncertainty[wrong].mean(),
        "right": uncertainty[~wrong].mean(),
        "auc": roc_auc_score(wrong, uncertainty),
        "accuracy": 100 * (1 - wrong.mean()),
        "rejection": rejection(uncertainty, wrong),
    }


def rejection(uncertainty, wrong):
    """Accuracy in percent of the pixels that are left when 0, 5, ..., 95 % of them, the least certain, are set aside."""
    right = ~wrong[np.argsort(uncertainty)]
    return [100 * right[: round(len(right) * (1 - share / 20))].mean() for share in range(20)]


def picture(model, test, found):
    """The graphs, and three test frames: those with the fewest errors, the median and the ninth tenth."""
    mean, variance = model.predict_with_uncertainty(test[0], batch_size=32)
    errors = ((mean.argmax(-1) != test[1]) & (test[1] != VOID)).mean((1, 2))
    order = np.argsort(errors)
    rows = [
        {
            "test frame": test[0][i],
            "truth": test[1][i],
            "mean of 50 samples": mean[i].argmax(-1),
            "wrong": ((mean[i].argmax(-1) != test[1][i]) & (test[1][i] != VOID)).astype("float32"),
            "uncertainty": variance[i].mean(-1),
        }
        for i in order[[0, len(order) // 2, 9 * len(order) // 10]]
    ]
    curves, averaged, rejections = ([f[k] for f in found] for k in ("curve", "averaged", "rejection"))
    return plots.sampled_segmentation(curves, averaged, rejections, rows, datasets.CAMVID_CLASSES, VOID)


def main():
    """Train and measure over the seeds, write the preset."""
    args = evidence.arguments(__doc__, "bayesian_seg_net_camvid")
    train, test = frames()
    epochs, samples = (1, FEW) if args.quick else (EPOCHS, 50)
    if args.quick:
        train, test = tuple(a[::8] for a in train), tuple(a[::16] for a in test)
    found, first = [], None
    for seed in track(args.seeds, description="seeds"):
        model = trained(train, seed, epochs)
        first = first or model
        found.append(measured(model, test, samples))
        print(f"seed {seed}:", {k: np.round(v, 4) for k, v in found[-1].items() if k != "rejection"})
    mean = {k: np.mean([f[k] for f in found]) for k in ("auc", "accuracy")}
    text = f"""{NOTES} The sampled mean is right in {mean["accuracy"]:.1f} % of pixels. As a detector of wrong pixels the
variance has an area under the ROC curve of {mean["auc"]:.3f}. The figure's frames are the preset's best, its median and one that nine
in ten surpass."""
    evidence.publish(first, args, claims(found, args.seeds, samples), DATA, text, picture(first, test, found))


def claims(found, seeds, samples):
    """The paper's claims, and what came out."""
    iou = {
        "dataset": "the 233 test frames of CamVid",
        "metric": "mean IoU in percent",
        "higher_is_better": True,
        "baseline": "weight averaging, the same network",
        "baseline_values": [f["averaged"] for f in found],
        "seeds": seeds,
    }
    return [
        evidence.Claim(
            f"The mean of {samples} samples segments better than weight averaging",
            paper_value="CamVid: better (section 4)",
            values=[f["curve"][-1] for f in found],
            **iou,
        ),
        evidence.Claim(
            f"{FEW} samples are enough for that",
            paper_value="above about 6 samples (figure 3)",
            values=[f["curve"][FEW - 1] for f in found],
            **iou,
        ),
        evidence.Claim(
            "The model is less certain where it errs",
            paper_value="shown in figures 5 to 7; accuracy falls as uncertainty rises (table 6)",
            dataset="the 233 test frames of CamVid",
            metric="mean variance of the class probabilities",
            higher_is_better=True,
            baseline="the pixels it gets right",
            baseline_values=[f["right"] for f in found],
            values=[f["wrong"] for f in found],
            seeds=seeds,
        ),
    ]


if __name__ == "__main__":
    main()
