"""Quality of heat maps: destroy what they call relevant and watch the score fall (Samek et al. 2015, arXiv 1509.06321, section III)."""

import io

import keras
import numpy as np

ORDERS = ("morf", "lerf", "random")
REPLACEMENTS = ("uniform", "blur", "mean")


def perturbation_curve(
    score,
    images,
    heatmaps,
    region=9,
    steps=100,
    order="morf",
    replace="uniform",
    draws=10,
    low=0.0,
    high=1.0,
    seed=0,
    verbose=1,
):
    """The score of each image while its regions are replaced one after another (section III, equations of MoRF and LeRF).

    Args:
        score: function from images `(n, height, width, channels)`, in the order of `images`, to scores `(n,)`.
        images: `(n, height, width, channels)`.
        heatmaps: `(n, height, width)`; a region counts by the sum of its pixels.
        region: side of the square regions, in pixels; those at the right and lower border may be cut.
        steps: regions to replace.
        order: `"morf"` (most relevant first), `"lerf"` (least relevant first) or `"random"` (another order for each draw).
        replace: `"uniform"` noise between `low` and `high`, `"blur"` (of one region's width), `"mean"` (of the image), or a number.
        draws: repetitions over which scores of random replacements or orders are averaged.
        low: smallest value of noise.
        high: largest value of noise.
        seed: of the draws; the same seed gives the same noise to every heat map.
        verbose: 1 shows a progress bar.

    Returns:
        Array `(n, steps + 1)`; column k is the score after k regions.

    Raises:
        ValueError: if shapes do not fit, there are fewer regions than `steps`, or an option is unknown.
    """
    images, heatmaps = np.asarray(images, "float32"), np.asarray(heatmaps)
    # regions are ranked in the precision that relevances come in
    heatmaps = heatmaps.astype(np.result_type(heatmaps.dtype, "float32"), copy=False)
    _check(images, heatmaps, region, steps, order, replace, draws)
    rng = np.random.default_rng(seed)
    sums = _region_sums(heatmaps, region)
    ranks = np.argsort(np.argsort(sums if order == "lerf" else -sums, axis=1, kind="stable"), axis=1)
    draws = draws if replace == "uniform" or order == "random" else 1
    curves = np.zeros((len(images), steps + 1))
    bar = keras.utils.Progbar(draws, unit_name="draw", verbose=verbose)
    for _ in range(draws):
        # noise is drawn first, so that methods and orders meet the same
        new = _replacement(images, replace, region, low, high, rng)
        if order == "random":
            ranks = rng.permuted(np.tile(np.arange(sums.shape[1]), (len(images), 1)), axis=1)
        pixels = _spread(ranks, region, images.shape[1:3])
        for k in range(steps + 1):
            curves[:, k] += np.asarray(score(np.where(pixels[..., None] < k, new, images)))
        bar.add(1)
    return curves / draws


def aopc(curves):
    """Area over the perturbation curve: how far the score falls, averaged over steps and images (section III).

    Args:
        curves: `(n, steps + 1)` from `perturbation_curve`.

    Returns:
        A float in the units of the score. Under `"morf"` larger is better, under `"lerf"` smaller is.
    """
    curves = np.asarray(curves, "float64")
    if curves.ndim != 2 or curves.size == 0:
        raise ValueError(f"`curves` must have shape (images, steps + 1). Received: {curves.shape}")
    return float(np.mean(curves[:, :1] - curves))


def heatmap_entropy(heatmaps):
    """Complexity of heat maps: entropy in bits of their 256 grey levels (section IV).

    Args:
        heatmaps: `(n, height, width)`; each is scaled so that 0 is the middle grey and its largest absolute value black or white.

    Returns:
        Array `(n,)`.
    """
    from skimage.measure import shannon_entropy

    return np.array([shannon_entropy(picture) for picture in _grey(heatmaps)])


def heatmap_file_size(heatmaps, format="jpeg"):
    """Complexity of heat maps: bytes of each as a compressed grey image (section IV).

    Args:
        heatmaps: `(n, height, width)`, scaled as in `heatmap_entropy`.
        format: of Pillow: `"jpeg"`, `"png"`, ...

    Returns:
        Array `(n,)` of whole numbers. Every file has a header of some hundred bytes.
    """
    from PIL import Image

    sizes = []
    for picture in _grey(heatmaps):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, format)
        sizes.append(stream.tell())
    return np.array(sizes)


def _check(images, heatmaps, region, steps, order, replace, draws):
    if images.ndim != 4 or not images.size:
        raise ValueError(f"`images` must have shape (n, height, width, channels). Received: {images.shape}")
    if heatmaps.shape != images.shape[:3]:
        raise ValueError(f"`heatmaps` must have shape {images.shape[:3]}. Received: {heatmaps.shape}")
    if not np.all(np.isfinite(heatmaps)):
        raise ValueError("`heatmaps` must be finite. Received: NaN or infinite values")
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {ORDERS}. Received: {order!r}")
    if isinstance(replace, str) and replace not in REPLACEMENTS:
        raise ValueError(f"`replace` must be one of {REPLACEMENTS} or a number. Received: {replace!r}")
    if region < 1 or draws < 1:
        raise ValueError(f"`region` and `draws` must be at least 1. Received: {region}, {draws}")
    count = int(np.prod([-(-length // region) for length in images.shape[1:3]]))
    if not 1 <= steps <= count:
        raise ValueError(f"`steps` must be between 1 and the {count} regions of an image. Received: {steps}")


def _region_sums(heatmaps, region):
    """`(n, regions)`, row by row."""
    down, right = (-length % region for length in heatmaps.shape[1:])
    padded = np.pad(heatmaps, [(0, 0), (0, down), (0, right)])
    n, height, width = padded.shape
    return padded.reshape(n, height // region, region, width // region, region).sum((2, 4)).reshape(n, -1)


def _spread(ranks, region, shape):
    """Ranks of regions `(n, regions)` as ranks of pixels `(n, height, width)`."""
    rows, columns = (-(-length // region) for length in shape)
    grid = ranks.reshape(-1, rows, columns)
    return grid.repeat(region, 1).repeat(region, 2)[:, : shape[0], : shape[1]]


def _replacement(images, replace, region, low, high, rng):
    if replace == "uniform":
        return rng.uniform(low, high, images.shape).astype("float32")
    if replace == "blur":
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(images, (0, region, region, 0))
    return images.mean((1, 2), keepdims=True) if replace == "mean" else np.float32(replace)


def _grey(heatmaps):
    heatmaps = np.asarray(heatmaps, "float64")
    if heatmaps.ndim != 3 or not heatmaps.size:
        raise ValueError(f"`heatmaps` must have shape (n, height, width). Received: {heatmaps.shape}")
    largest = np.abs(heatmaps).max((1, 2), keepdims=True)
    return np.round(127.5 + 127.5 * heatmaps / np.where(largest > 0, largest, 1)).astype("uint8")
