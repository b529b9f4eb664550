"""Microscopy images with masks: the electron micrographs of ISBI 2012, fluorescent nuclei, and simulated cells that touch."""

import numpy as np

from zoo import files
from zoo.datasets.folders import pixels
from zoo.datasets.records import info


def isbi_em(test_size=6):
    """The 30 annotated sections of the ISBI 2012 challenge (fly larva nerve cord, 4 x 4 nm a pixel, free for research), about 6 MB.

    Downloaded from a pinned commit unless `ZOO_DATA` holds them.

    Args:
        test_size: number of sections held out, the last of the stack.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, 512, 512, 1)` float32 in [0, 1], masks `(n, 512, 512)` int32, 1 on membranes.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says.
    """
    record = info("isbi_em")
    paths = {"/".join(path.parts[-2:]): path for path in files.fetch_all(record.files, record)}

    def stack(kind):
        return np.stack([pixels(paths[f"{kind}/{i}.png"]) for i in range(30)])

    x, y = stack("image")[..., None].astype("float32") / 255, (stack("label") < 128).astype("int32")
    split = len(x) - test_size
    return (x[:split], y[:split]), (x[split:], y[split:])


def nuclei():
    """Fluorescent nuclei that StarDist ships (Schmidt et al. 2018, BSD-3): one image with 125 annotated instances, many of which touch.

    Returns:
        Image `(512, 512)` float32 in [0, 1] (the 0.1th to the 99.9th percentile), instances `(512, 512)` int32, 0 for background.
    """
    record = info("nuclei")
    image, instances = (pixels(files.fetch(file, record)) for file in record.files)
    low, high = np.percentile(image, [0.1, 99.9])
    return np.clip((image - low) / (high - low), 0, 1).astype("float32"), instances.astype("int32")


def touching_cells(n, size=96, seed=0, density=1.0):
    """Simulated microscopy of crowded cells whose shared borders are faint and often interrupted.

    Cells grow from random centres until they meet; cytoplasm is textured, borders are darker, and blur and noise lie over all.

    Args:
        n: number of images.
        size: side in pixels.
        seed: of the simulation.
        density: number of cells in proportion to the default, one try for each 14 x 14 pixels; tries too near a neighbour are dropped.

    Returns:
        Images `(n, size, size, 1)` float32 in about [0, 1], and instances `(n, size, size)` int32, 0 for background.
    """
    rng = np.random.default_rng(seed)
    images, instances = zip(*(_touching_cells(size, max(2, round(density * (size / 14) ** 2)), rng) for _ in range(n)))
    return np.stack(images)[..., None].astype("float32"), np.stack(instances)


def _touching_cells(size, count, rng):
    from scipy import ndimage

    def noise(sigma):
        smooth = ndimage.gaussian_filter(rng.normal(size=(size, size)), sigma, mode="wrap")
        return smooth / smooth.std()

    centres = _spread(rng.uniform(0, size, (count, 2)), 9)
    radii = rng.uniform(7, 11, len(centres))
    pixels = np.stack(np.mgrid[:size, :size], -1) + 1.5 * np.stack([noise(4), noise(4)], -1)
    distance = np.linalg.norm(pixels[:, :, None] - centres, axis=-1) / radii
    nearest = distance.argmin(-1)
    instances = np.where(distance.min(-1) < 1, nearest + 1, 0)
    edge = (ndimage.maximum_filter(instances, 3) != ndimage.minimum_filter(instances, 3)).astype(float)
    brightness = np.concatenate([[0.25], rng.uniform(0.5, 0.75, len(centres))])[instances]
    border = ndimage.gaussian_filter(edge, 0.8) * np.clip(0.6 + 0.5 * noise(5), 0, 1)
    image = ndimage.gaussian_filter(brightness + 0.05 * noise(1.5) - 0.35 * border, 0.7) + 0.05 * rng.normal(size=(size, size))
    return image, _connected(instances).astype("int32")


def _spread(points, least):
    """The points in order, without those that lie nearer than `least` to an earlier one."""
    kept = points[:1]
    for point in points[1:]:
        if np.linalg.norm(kept - point, axis=1).min() >= least:
            kept = np.append(kept, point[None], axis=0)
    return kept


def _connected(instances):
    """Renumber so that each connected region of one object has its own number, and drop specks."""
    from scipy import ndimage

    result, count = np.zeros_like(instances), 0
    for label, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        parts, number = ndimage.label(instances[box] == label)
        for part in range(1, number + 1):
            region = parts == part
            if region.sum() >= 12:
                count += 1
                result[box][region] = count
    return result
