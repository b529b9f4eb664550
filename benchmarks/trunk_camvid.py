"""What a trunk with ImageNet's weights is worth: U-Nets on street scenes, with it, with the same trunk from random weights, and without.

All see the 367 training frames of CamVid, reduced to 80 x 112 pixels, for the same number of epochs; mean IoU is measured on the 233 test
frames.

    ZOO_DATA=... python benchmarks/trunk_camvid.py
"""

import argparse
import time

import keras
import numpy as np

from zoo import datasets, metrics
from zoo.applications import UNet

ARMS = {
    "trunk, ImageNet's weights": {"trunk": "efficientnet_lite0"},
    "trunk, random weights": {"trunk": "efficientnet_lite0", "trunk_weights": None},
    "U-Net's own path": {},
}
CLASSES, BATCH = len(datasets.CAMVID_CLASSES), 8


def frames():
    """Training and test frames: the middle 80 x 112 of 90 x 120 pixels."""
    train, _, test = (datasets.reduced(*part, 2) for part in datasets.camvid())
    return tuple(tuple(array[:, 5:85, 4:116] for array in part) for part in (train, test))


def trained(arm, train, seed, epochs, rate):
    """A U-Net of 16 filters and five levels."""
    keras.utils.set_random_seed(seed)
    images, masks = train
    model = UNet(CLASSES, 3, filters=16, padding="same", dropout=0.2, **ARMS[arm])
    steps = epochs * -(-len(images) // BATCH)
    model.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)))
    counted = masks != datasets.CAMVID_VOID
    model.fit(images, np.where(counted, masks, 0), BATCH, epochs, 2, sample_weight=counted.astype("float32"))
    return model


def mean_iou(model, test):
    """Over the classes, in percent."""
    kept = test[1] != datasets.CAMVID_VOID
    found = model.predict(test[0], batch_size=16, verbose=0).argmax(-1)
    return 100 * np.nanmean(metrics.iou(test[1][kept], found[kept], CLASSES))


def main():
    """Train all networks and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=2e-3, help="of Adam at the start; falls as a cosine")
    args = parser.parse_args()
    train, test = frames()
    scores = {arm: [] for arm in ARMS}
    for seed in range(args.seeds):
        for arm, found in scores.items():
            start = time.perf_counter()
            found.append(mean_iou(trained(arm, train, seed, args.epochs, args.rate), test))
            print(f"seed {seed}, {arm}: mean IoU {found[-1]:.2f} % after {time.perf_counter() - start:.0f} s", flush=True)
    for arm, found in scores.items():
        print(f"{arm}: {np.mean(found):.2f} +- {np.std(found, ddof=1):.2f} %")


if __name__ == "__main__":
    main()
