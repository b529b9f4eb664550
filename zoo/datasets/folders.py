"""Folders of images of one's own: a class for each folder, or a mask for each image."""

import re
from pathlib import Path

import numpy as np

# what `read_images` and `read_masks` take for images
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def read_images(folder, size=None, grayscale=False):
    """Images of classes, one folder for each class.

    Args:
        folder: holds a folder for each class (its name is that of the class), and in these the images, at any depth.
        size: `(height, width)` to scale all images to; `None` keeps their own, which must then be one.
        grayscale: whether to give one channel instead of three.

    Returns:
        Images `(n, height, width, channels)` float32 in [0, 1], labels `(n,)` int32, and the names of the classes in the order of the
        labels, which is that of the alphabet. Hidden files and folders are left out.

    Raises:
        ValueError: naming the folder or file, if there is no image, one cannot be read, or they differ in size.
    """
    names = sorted(path.name for path in _folder(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    paths = [(path, label) for label, name in enumerate(names) for path in _image_files(Path(folder) / name)]
    if not paths:
        raise ValueError(f"`folder` must hold a folder of images for each class. Received: {folder}, with none in {names}")
    images = _stacked([path for path, _ in paths], "L" if grayscale else "RGB", size)
    return images, np.array([label for _, label in paths], "int32"), names


def read_masks(images, masks, size=None, values=None, grayscale=False):
    """Images and, for each, the class of every pixel.

    Args:
        images: folder of images.
        masks: folder of masks, one of the same name (any suffix) for each image; their pixels are numbers (grey or of a palette), not
            colours.
        size: `(height, width)` to scale to, masks by nearest neighbour; `None` keeps the files' own, which must then be one.
        values: pixel values of the masks in the order of the classes, such as `(0, 255)`; `None` takes the pixels as classes.
        grayscale: whether to give one channel instead of three.

    Returns:
        Images `(n, height, width, channels)` float32 in [0, 1] and masks `(n, height, width)` int32, by name.

    Raises:
        ValueError: naming the file, if one has no mate, cannot be read, is a mask in colours, or has another size or value.
    """
    first, second = ({_stem(path, folder): path for path in _image_files(_folder(folder))} for folder in (images, masks))
    if not first or set(first) != set(second):
        alone = [first.get(name) or second[name] for name in sorted(set(first) ^ set(second))]
        raise ValueError(f"`images` and `masks` must hold files of the same names. Received: {len(alone)} without mate, {alone[:3]}")
    names = sorted(first, key=_natural)
    x = _stacked([first[name] for name in names], "L" if grayscale else "RGB", size)
    y = [_mask(second[name], size, values) for name in names]
    for name, image, mask in zip(names, x, y):
        if image.shape[:2] != mask.shape:
            raise ValueError(f"`{second[name]}` must have the size of its image, {image.shape[:2]}. Received: {mask.shape}")
    return x, np.stack(y)


def pixels(file, mode=None, size=None, nearest=False):
    """The pixels of an image file as an array `(height, width[, channels])`.

    Args:
        file: path, or a binary stream.
        mode: of Pillow, to convert to; `None` keeps the file's.
        size: `(height, width)` to scale to by averages; `None` keeps the file's.
        nearest: whether to take the nearest pixel instead of averages.

    Raises:
        ImportError: with the pip command, if Pillow is not installed.
        ValueError: naming the file, if it is no image.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Reading images needs pillow: pip install 'zoo-keras[image]'") from error
    try:
        with Image.open(file) as image:
            if mode is not None and image.mode.startswith(("I", "F")):
                raise ValueError(f"pixels of kind {image.mode}, not of 8 bits a channel")
            image = image if mode in (None, image.mode) else image.convert(mode)
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.NEAREST if nearest else Image.Resampling.BOX)
            return np.asarray(image)
    # Pillow raises many kinds for damaged files
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"`{file}` must be an image that Pillow reads. Received: {error}") from error


def _natural(name):
    """A key that sorts the numbers in names as numbers: `a2` before `a10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(name))]


def checked_size(size):
    """`size` as (height, width) of positive ints, or `None`; raises a `ValueError` for anything else."""
    if size is None:
        return None
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise ValueError(f"`size` must be (height, width) in pixels, or None for the files' own. Received: {size!r}")
    return tuple(size)


def _folder(folder):
    if not Path(folder).is_dir():
        raise ValueError(f"`{folder}` must be a folder. Received: {'a file' if Path(folder).exists() else 'nothing there'}")
    return Path(folder)


def _image_files(folder):
    found = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted((p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)), key=_natural)


def _stem(path, folder):
    return path.relative_to(folder).with_suffix("").as_posix()


def _stacked(paths, mode, size):
    """Images of one size, float32 in [0, 1] with a last axis of channels."""
    size, found = checked_size(size), None
    for i, path in enumerate(paths):
        image = pixels(path, mode, size)
        image = image.reshape(*image.shape[:2], -1)
        if found is None:
            found = np.empty((len(paths), *image.shape), "float32")
        if image.shape != found.shape[1:]:
            raise ValueError(
                f"`{path}` must have the size of the images before it, {found.shape[1:3]}; give `size`. Received: {image.shape[:2]}"
            )
        found[i] = image
    return np.divide(found, 255, out=found)


def _mask(path, size, values):
    mask = pixels(path, size=checked_size(size), nearest=True)
    if mask.ndim != 2:
        raise ValueError(f"`{path}` must be a mask of one channel, or with a palette. Received: {mask.shape[2]} channels")
    if values is None:
        return mask.astype("int32")
    classes = np.full(mask.shape, -1, "int32")
    for label, value in enumerate(values):
        classes[mask == value] = label
    if classes.min() < 0:
        raise ValueError(f"`{path}` must hold only the values {tuple(values)}. Received: {sorted(set(mask[classes < 0].tolist()))[:5]}")
    return classes
