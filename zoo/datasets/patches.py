"""Training patches with the mask of the object at their centre (Pinheiro et al. 2015, section 3.2)."""

import numpy as np

from zoo.datasets.crops import accepted, crop, padded

# sides of patches are given as multiples of the object's longer side: 224 pixels for an object of 128
CANONICAL = 224 / 128


class MaskPatches:
    """Draws patches that hold an object in canonical position, and patches that do not, from images with instance masks.

    A positive's object is centred within 16 of 224 pixels, and its longer side is 128 pixels within a factor of `2 ** 0.25`. A negative is
    at least 32 pixels or a factor of 2 away from that of every object. Beyond the border of an image its last pixels are repeated.

    Args:
        images: `(n, height, width)` or `(n, height, width, channels)`.
        instances: `(n, height, width)`, each object has its number, 0 is background.
        least: objects whose longer side has fewer pixels are no positives, as are those that the border of an image cuts.
        jitter: largest shift of a positive as a share of the patch.
        scale_jitter: largest change of a positive's scale, in octaves.
    """

    def __init__(self, images, instances, least=4, jitter=16 / 224, scale_jitter=0.25):
        images, instances = np.asarray(images), np.asarray(instances)
        if images.shape[:3] != instances.shape:
            raise ValueError(f"`instances` must have the shape of the images, {images.shape[:3]}. Received: {instances.shape}")
        # one more pixel on each side: beyond it labels repeat as background, and the image repeats its border
        around = [(0, 0), (1, 1), (1, 1)]
        self.images = np.pad(images, around + [(0, 0)] * (images.ndim - 3), "edge")
        self.instances = np.pad(instances, around)
        self.jitter, self.scale_jitter = jitter, scale_jitter
        owner, label, place, whole = _objects(self.instances)
        self._by_image = padded([place[owner == image] for image in range(len(images))], 3)
        # what the border cuts is not fully contained: no positive, but no negative either
        good = whole & (place[:, 2] >= least)
        self.owner, self.label, self.place = owner[good], label[good], place[good]
        if not len(self.owner):
            raise ValueError(f"`instances` must hold an object of at least {least} pixels inside an image. Received: none")

    def draw(self, positives, negatives, size, mask_size, rng, flip=True):
        """A batch of patches.

        Args:
            positives: number of patches with a centred object.
            negatives: number of patches without.
            size: side of the patches in pixels.
            mask_size: side of the masks in pixels.
            rng: a `numpy.random.Generator`.
            flip: whether to mirror half of the patches.

        Returns:
            Patches `(positives + negatives, size, size[, channels])` float32, and a dict of int32: `mask`
            `(positives + negatives, mask_size, mask_size)`, 0 for a negative, and `object` `(positives + negatives,)`, 1 for a positive.
        """
        pick = rng.integers(len(self.owner), size=positives)
        squares = _squares(self.place[pick], self._shifts(rng, positives, self.jitter), rng.uniform(-1, 1, positives) * self.scale_jitter)
        index, others = self._negatives(negatives, rng)
        index, squares = np.concatenate([self.owner[pick], index]), np.concatenate([squares, others])
        flips = rng.integers(2, size=len(index)) * int(flip) == 1
        found = crop(self.instances, index, squares, mask_size, flips=flips, order=0)
        wanted = np.concatenate([self.label[pick], np.full(negatives, -1)])
        masks = (found == wanted[:, None, None]).astype("int32")
        positive = (np.arange(len(index)) < positives).astype("int32")
        return crop(self.images, index, squares, size, flips=flips), {"mask": masks, "object": positive}

    def _shifts(self, rng, number, largest):
        return rng.uniform(-largest, largest, (number, 2))

    def _negatives(self, number, rng):
        """Squares near an object but off its canonical place or scale; those that suit another object are drawn again."""

        def good(tries):
            pick = rng.integers(len(self.owner), size=tries)
            drawn = _squares(self.place[pick], self._shifts(rng, tries, 1.0), rng.uniform(-1.5, 1.5, tries))
            kept = ~canonical(drawn, self._by_image[self.owner[pick]], 32 / 224, 1.0).any(1)
            return self.owner[pick][kept], drawn[kept]

        index, squares = accepted(good, number)
        if len(index) < number:
            raise ValueError(f"`negatives` must leave room beside the objects. Received: {number}, found {len(index)}")
        return index, squares


def canonical(squares, places, shift, octaves):
    """Whether objects lie in the canonical place and scale of squares, within tolerances.

    Args:
        squares: `(k, 4)`, `(left, top, right, bottom)`.
        places: `(k, m, 3)`: column and row of the objects' centres, longer side (0 for none).
        shift: tolerance of the centre, as a share of the square's side.
        octaves: tolerance of the scale.

    Returns:
        `(k, m)`, bool.
    """
    side = (squares[:, 2] - squares[:, 0])[:, None]
    centre = (squares[:, None, :2] + squares[:, None, 2:]) / 2
    away = np.abs(places[..., :2] - centre).max(-1) / side
    exists = places[..., 2] > 0
    scale = np.log2(side / (CANONICAL * np.where(exists, places[..., 2], 1)))
    return exists & (away < shift) & (np.abs(scale) < octaves)


def _squares(places, shifts, octaves):
    """Patches around objects: centres moved by shares of the side, sides changed by octaves."""
    side = CANONICAL * places[:, 2:] * 2 ** octaves[:, None]
    centre = places[:, :2] + shifts * side
    return np.concatenate([centre - side / 2, centre + side / 2], 1)


def _objects(instances):
    """Image, number, (column, row, longer side) of each object of padded images, and whether it stays clear of the border."""
    from scipy import ndimage

    owner, label, place, whole = [], [], [], []
    for n, one in enumerate(instances):
        for number, box in enumerate(ndimage.find_objects(one), start=1):
            if box is not None:
                owner.append(n)
                label.append(number)
                middle = [(part.start + part.stop) / 2 for part in box]
                place.append([middle[1], middle[0], max(part.stop - part.start for part in box)])
                whole.append(all(part.start > 1 and part.stop < size - 1 for part, size in zip(box, one.shape)))
    return np.array(owner, int), np.array(label, int), np.reshape(place, (-1, 3)).astype("float64"), np.array(whole, bool)
