"""Golden arrays of pydensecrf (Krähenbühl and Koltun's code) for the tests of the dense CRF.

Runs in an environment of its own: `pip install pydensecrf2 numpy`, then `python tests/oracles/pydensecrf_golden.py`.
"""

from pathlib import Path

import numpy as np
import pydensecrf.densecrf as dcrf

HEIGHT, WIDTH, CLASSES = 18, 14, 3
SXY, SRGB, SPATIAL = 6.0, 20.0, 2.0


def scene(rng):
    """Three noisy regions, uint8, and logits that know little of them."""
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    region = (row + column > 14).astype(int) + (row > 12)
    colours = rng.integers(20, 235, (CLASSES, 3))
    image = np.clip(colours[region] + rng.normal(0, 12, (HEIGHT, WIDTH, 3)), 0, 255).astype("uint8")
    logits = 1.5 * np.eye(CLASSES)[region] + rng.normal(size=(HEIGHT, WIDTH, CLASSES))
    return image, logits.astype("float32")


def infer(image, logits, steps, bilateral, spatial, normalization):
    """Beliefs `(height, width, classes)` after mean-field steps."""
    crf = dcrf.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
    crf.setUnaryEnergy(np.ascontiguousarray(-logits.reshape(-1, CLASSES).T))
    if bilateral:
        crf.addPairwiseBilateral(sxy=SXY, srgb=SRGB, rgbim=image, compat=bilateral, normalization=normalization)
    if spatial:
        crf.addPairwiseGaussian(sxy=SPATIAL, compat=spatial, normalization=normalization)
    return np.array(crf.inference(steps)).T.reshape(HEIGHT, WIDTH, CLASSES)


def main():
    """Write the file."""
    image, logits = scene(np.random.default_rng(25))
    symmetric, after, without = dcrf.NORMALIZE_SYMMETRIC, dcrf.NORMALIZE_AFTER, dcrf.NO_NORMALIZATION
    arrays = {
        "image": image,
        "logits": logits,
        "thetas": np.array([SXY, SRGB, SPATIAL], "float32"),
        "one_raw_bilateral_step": infer(image, logits, 1, 0.5, 0, without),
        "one_raw_spatial_step": infer(image, logits, 1, 0, 0.5, without),
        "ten_symmetric_bilateral_steps": infer(image, logits, 10, 5.0, 0, symmetric),
        "five_after_bilateral_steps": infer(image, logits, 5, 2.0, 0, after),
        "ten_steps_of_both": infer(image, logits, 10, 1.0, 0.5, symmetric),
    }
    np.savez_compressed(Path(__file__).parent.parent / "golden" / "crf_as_rnn.npz", **arrays)


if __name__ == "__main__":
    main()
