"""CRFasRNN on CamVid: does training through the CRF beat the network alone, and the same CRF put behind it afterwards?

    ZOO_DATA=folder python applications/crf_as_rnn/train.py

A small fully convolutional network with scores for every eighth pixel learns the 367 training frames in 60 x 80 pixels. From there two
copies go on for the same number of epochs: one alone, one with the CRF behind it, end to end. Mean IoU is measured on the 233 test frames,
over all pixels and near the borders of the classes. The CRF put behind the network afterwards has the weights that the other starts from.
"""

import keras
import numpy as np
from rich.progress import track
from scipy import ndimage

from zoo import datasets, evidence, metrics, plots
from zoo.applications import CRFasRNN

VOID, CLASSES = datasets.CAMVID_VOID, datasets.CAMVID_CLASSES
FACTOR, BATCH, BAND = 3, 8, 2
NETWORK = {"filters": (16, 32, 64), "convolutions": (1, 2, 2), "head": 64, "stride": 8, "batch_normalization": True, "dropout": 0.2}
CRF = {
    "theta_alpha": 10.0,
    "theta_beta": 15.0,
    "theta_gamma": 1.5,
    "iterations": 5,
    "inference_iterations": 5,
    "bilateral_weight": 2.0,
    "spatial_weight": 0.5,
}
FIRST_EPOCHS, EPOCHS, FIRST_RATE, RATE = 10, 2, 5e-3, 2e-3
DATA = """CamVid (Brostow, Fauqueur, Cipolla 2009: "Semantic object classes in video: a high-definition ground truth database"), for
research, in the split and the eleven classes of the SegNet authors; the 233 test frames are held out. Reduced to 60 x 80 pixels."""

NOTES = f"""The network has 1, 2 and 2 convolutions of 16, 32 and 64 channels and a head of 64; scores come for every eighth pixel. Adam:
{FIRST_EPOCHS} epochs alone from a rate of {FIRST_RATE}, then {EPOCHS} from {RATE} with the CRF or without it, each falling as a cosine;
each frame also mirrored; {CRF["iterations"]} mean-field iterations throughout. No weights from ImageNet. The CRF's widths and starting
weights are those that serve the network alone best on validation frames, which favours the CRF put behind afterwards. An epoch through
the CRF takes longer: the budget is equal in updates, not in time. What the jointly trained network gives without its CRF has a mean IoU of
{{own:.1f}} %. The figure shows the first seed."""


def frames(quick):
    """Training, validation and test frames in 60 x 80 pixels; the training frames also mirrored."""
    train, validation, test = (datasets.reduced(*part, FACTOR) for part in datasets.camvid())
    train = tuple(np.concatenate([a, a[:, :, ::-1]]) for a in train)
    return (
        [tuple(a[::step] for a in part) for part, step in ((train, 16), (validation, 8), (test, 8))] if quick else [train, validation, test]
    )


def adam(rate, train, epochs):
    """With a rate that falls to zero as a cosine."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * -(-len(train[0]) // BATCH)))


def new_model():
    """Network and CRF, untrained."""
    return CRFasRNN(len(CLASSES), ignore_class=VOID, **NETWORK, **CRF)


def first_stage(train, seed, epochs):
    """The network of one seed, trained alone."""
    keras.utils.set_random_seed(seed)
    model = new_model()
    model.fit_unary(*train, optimizer=adam(FIRST_RATE, train, epochs), batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def second_stage(first, train, seed, epochs, joint):
    """A copy of the first stage, trained on with the CRF behind it or alone."""
    keras.utils.set_random_seed(seed)
    model = new_model()
    model.set_weights(first.get_weights())
    model.compile(optimizer=adam(RATE, train, epochs))
    fit = model.fit if joint else lambda *args, **kwargs: model.fit_unary(*args, optimizer=adam(RATE, train, epochs), **kwargs)
    fit(*train, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def labels_of(model, images, crf):
    """Classes `(n, height, width)`, with or without the CRF."""
    network = model if crf else model.unary
    return network.predict(images, batch_size=16, verbose=0).argmax(-1)


def mean_iou(labels, truth, kept):
    """Over the classes, in percent, on the pixels that are kept."""
    return 100 * np.nanmean(metrics.iou(truth[kept], labels[kept], len(CLASSES)))


def near_borders(truth):
    """Labelled pixels within `BAND` pixels of another class."""
    size = (1, 2 * BAND + 1, 2 * BAND + 1)
    return (ndimage.maximum_filter(truth, size) != ndimage.minimum_filter(truth, size)) & (truth != VOID)


def measured(alone, joint, test):
    """Mean IoU of the network alone, with the CRF afterwards, and trained through it: everywhere, and near borders."""
    found = {
        "alone": labels_of(alone, test[0], crf=False),
        "afterwards": labels_of(alone, test[0], crf=True),
        "joint": labels_of(joint, test[0], crf=True),
        "joint, its network": labels_of(joint, test[0], crf=False),
    }
    pixels, borders = test[1] != VOID, near_borders(test[1])
    return {name: (mean_iou(labels, test[1], pixels), mean_iou(labels, test[1], borders)) for name, labels in found.items()}, found


def main():
    """Train over the seeds, measure, write the preset."""
    args = evidence.arguments(__doc__, "crf_as_rnn_camvid")
    train, _, test = frames(args.quick)
    first_epochs, epochs = (1, 1) if args.quick else (FIRST_EPOCHS, EPOCHS)
    scores, shown = [], None
    for seed in track(args.seeds, description="seeds"):
        first = first_stage(train, seed, first_epochs)
        alone, joint = (second_stage(first, train, seed, epochs, joint) for joint in (False, True))
        result, labels = measured(alone, joint, test)
        scores.append(result)
        shown = shown or (joint, labels)
        print(f"seed {seed}, mean IoU in percent, all and near borders:", {name: np.round(pair, 2) for name, pair in result.items()})
    model, labels = shown
    notes = NOTES.format(own=np.mean([result["joint, its network"][0] for result in scores]))
    evidence.publish(model, args, claims(scores, args.seeds), DATA, notes, picture(labels, test))


def claims(scores, seeds):
    """The paper's claims, and what came out."""

    def claim(text, paper, baseline, name, borders):
        return evidence.Claim(
            text,
            paper_value=paper,
            dataset="the 233 test frames of CamVid" + (f", pixels within {BAND} of another class" if borders else ""),
            metric="mean IoU in percent",
            higher_is_better=True,
            baseline=baseline,
            baseline_values=[result[name][borders] for result in scores],
            values=[result["joint"][borders] for result in scores],
            seeds=seeds,
        )

    alone, after = "the network alone, as many epochs", "the same CRF behind that network, not trained"
    table = "better on Pascal VOC 2012 (table 1)"
    return [
        claim("End-to-end training with the CRF beats the network alone", table, alone, "alone", 0),
        claim("It beats the CRF put behind the network afterwards", table, after, "afterwards", 0),
        claim("It is better near the borders of the classes than the network alone", "shown in figure 4", alone, "alone", 1),
        claim("Near the borders it is better than the CRF put behind afterwards", "not reported", after, "afterwards", 1),
    ]


def picture(labels, test):
    """Three test frames: where end-to-end training repairs most of the network's errors, and at a tenth and half of that order."""
    wrong = {name: ((found != test[1]) & (test[1] != VOID)).mean((1, 2)) for name, found in labels.items()}
    order = np.argsort(wrong["joint"] - wrong["alone"])
    columns = {"network alone": "alone", "CRF afterwards": "afterwards", "trained through the CRF": "joint"}
    rows = [
        {"test frame": test[0][i], "truth": test[1][i], **{heading: labels[name][i] for heading, name in columns.items()}}
        for i in order[[0, len(order) // 10, len(order) // 2]]
    ]
    return plots.class_maps(rows, CLASSES, VOID)


if __name__ == "__main__":
    main()
