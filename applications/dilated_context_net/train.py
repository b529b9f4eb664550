"""The dilated context module on CamVid: does dilation help behind a trained front end, and does it need to start as the identity?

For each seed a small front end learns the 367 training frames in 90 x 120 pixels. Then, from the same weights and for the same number of
further epochs, three networks are trained on: with the context module, with a plain stack of equal size (all dilations 1, also started as
the identity), and with the module started at random (Glorot). Mean IoU is measured on the 233 test frames. The preset is the network with
the context module of the first seed.
"""

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, metrics, plots
from zoo.applications import DilatedContextNet

VOID = datasets.CAMVID_VOID
FACTOR, BATCH = 2, 8
FRONT = {"filters": 8, "convolutions": (1, 2, 2, 2), "head_filters": 64, "head_kernel": 3, "dropout": 0.2, "padding": "same"}
CONTEXTS = {
    "front end": {"context": None},
    "dilated": {"context": "basic"},
    "plain": {"context": "basic", "dilations": (1,) * 8},
    "random": {"context": "basic", "context_initializer": "glorot_uniform"},
}
DATA = """CamVid (Brostow, Fauqueur, Cipolla 2009: "Semantic object classes in video: a high-definition ground truth database"), for
research, in the split and the eleven classes of the SegNet authors; the 233 test frames are held out. Reduced to 90 x 120 pixels."""
NOTES = """The front end has 1, 2, 2 and 2 convolutions of 8 to 64 channels, a stride of 4 and a receptive field of {front} pixels;
with the context module it is {dilated} pixels, with the plain stack {plain}. Of {all:,} weights {module:,} are the module's. Adam:
{first_epochs} epochs for the front end at 3e-3, and {epochs} more for each variant at 2e-3, falling as a cosine, all weights trained
jointly; each frame also mirrored. The paper's front end starts from weights of ImageNet, this one from nothing. Settings were chosen on
the 101 validation frames. The figure's first row is the test frame where the module gains most over the plain stack, the others lie at a
quarter and at half of that order."""


def frames():
    """Training and test frames in 90 x 120 pixels; the training frames also mirrored."""
    train, _, test = (datasets.reduced(*part, FACTOR) for part in datasets.camvid())
    return tuple(np.concatenate([a, a[:, :, ::-1]]) for a in train), test


def trained(train, name, seed, epochs, rate, front=None):
    """A network of `CONTEXTS`, behind the front end of the network `front` if given."""
    keras.utils.set_random_seed(seed)
    model = DilatedContextNet(len(datasets.CAMVID_CLASSES), ignore_class=VOID, **FRONT, **CONTEXTS[name])
    if front is not None:
        model.front_end.set_weights(front.front_end.get_weights())
    steps = epochs * -(-len(train[0]) // BATCH)
    model.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)))
    model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=2)
    return model


def mean_iou(model, test):
    """Over the classes, in percent."""
    kept = test[1] != VOID
    found = model.predict(test[0], batch_size=16, verbose=0).argmax(-1)
    return 100 * np.nanmean(metrics.iou(test[1][kept], found[kept], model.num_classes))


def main():
    """Train front ends and what goes behind them, measure, write the preset."""
    args = evidence.arguments(__doc__, "dilated_context_net_camvid")
    train, test = frames()
    first_epochs, epochs = (1, 1) if args.quick else (10, 4)
    if args.quick:
        train, test = tuple(a[::8] for a in train), tuple(a[::16] for a in test)
    scores, shown = {name: [] for name in CONTEXTS}, {}
    for seed in track(args.seeds, description="seeds"):
        front = trained(train, "front end", seed, first_epochs, 3e-3)
        for name in CONTEXTS:
            model = trained(train, name, seed, epochs, 2e-3, front)
            scores[name].append(mean_iou(model, test))
            shown.setdefault(name, model)
        print(f"seed {seed}, mean IoU in percent:", {name: round(values[-1], 2) for name, values in scores.items()})
    dilated = shown["dilated"]
    notes = NOTES.format(
        front=shown["front end"].receptive_field(),
        dilated=dilated.receptive_field(),
        plain=shown["plain"].receptive_field(),
        module=dilated.context_module.count_params(),
        all=dilated.count_params(),
        first_epochs=first_epochs,
        epochs=epochs,
    )
    evidence.publish(dilated, args, claims(scores, args.seeds), DATA, notes, picture(shown, test))


def claims(scores, seeds):
    """The paper's claims, and what came out."""
    common = {
        "dataset": "the 233 test frames of CamVid",
        "metric": "mean IoU in percent",
        "higher_is_better": True,
        "values": scores["dilated"],
        "seeds": seeds,
    }
    return [
        evidence.Claim(
            "Dilation makes the difference: the context module segments better than a plain stack of equal size",
            paper_value="not compared",
            baseline="all dilations 1",
            baseline_values=scores["plain"],
            **common,
        ),
        evidence.Claim(
            "The context module improves a trained front end",
            paper_value="better on Pascal VOC (table 3)",
            baseline="the front end trained on for as long",
            baseline_values=scores["front end"],
            **common,
        ),
        evidence.Claim(
            "Identity initialisation is better than random initialisation",
            paper_value="said in section 3: random initialisation was not effective",
            baseline="Glorot initialisation of the module",
            baseline_values=scores["random"],
            **common,
        ),
    ]


def picture(shown, test):
    """Test frames by all networks of the first seed: the one where context helps most, and two in between."""
    found = {name: model.predict(test[0], batch_size=16, verbose=0).argmax(-1) for name, model in shown.items()}
    counted = test[1] != VOID
    right = {name: ((labels == test[1]) & counted).sum((1, 2)) for name, labels in found.items()}
    order = np.argsort(right["plain"] - right["dilated"])
    headings = {
        "front end": "front end",
        "plain": "with a plain stack",
        "random": "context, random start",
        "dilated": "context, identity",
    }
    rows = [
        {"test frame": test[0][i], "truth": test[1][i], **{title: found[name][i] for name, title in headings.items()}}
        for i in order[[0, len(order) // 4, len(order) // 2]]
    ]
    return plots.class_maps(rows, datasets.CAMVID_CLASSES, VOID)


if __name__ == "__main__":
    main()
