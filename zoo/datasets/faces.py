"""Faces: the ORL database, the faces that scikit-image ships, and scenes made of faces on photographs."""

import numpy as np

from zoo import files
from zoo.datasets.crops import crop
from zoo.datasets.records import info


def orl_faces():
    """The ORL database of faces (Samaria and Harter 1994, Olivetti Research Laboratory): 40 people x 10 faces; give credit.

    Read from `ZOO_DATA/orl_faces` if there, else downloaded from a pinned commit, about 4 MB; checksummed in both cases.

    Returns:
        Images `(40, 10, 112, 92)` float32 in [0, 1]: person, picture, rows, columns.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says.
    """
    record = info("orl_faces")
    # by person and picture; a PGM file ends with its pixels
    pixels = np.stack([np.frombuffer(path.read_bytes()[-112 * 92 :], "uint8") for path in files.fetch_all(record.files, record)])
    return pixels.reshape(40, 10, 112, 92).astype("float32") / 255


def lfw_subset():
    """200 crops of scikit-image (from Labeled Faces in the Wild): 100 faces, then 100 that are none.

    Returns:
        Images `(200, 25, 25)` float32 in [0, 1], labels `(200,)` int32, 1 for a face.
    """
    record = info("lfw_subset")
    images = np.load(files.fetch(record.files[0], record), allow_pickle=False)
    return images.astype("float32"), np.repeat([1, 0], 100).astype("int32")


def face_scenes(faces, photos, n, seed=0, size=(128, 160), sides=(28, 56), most=3, rotation=0.0):
    """Scenes of faces on photographs, with pieces of other photographs pasted in the same way so that the pasting itself tells nothing.

    Faces are pasted through a soft oval at places that do not overlap, with random side, contrast and brightness, half of them mirrored.

    Args:
        faces: `(m, 112, 92)`, faces as `orl_faces` gives them.
        photos: `(k, height, width)`, larger than `size`.
        n: number of scenes.
        seed: of the simulation.
        size: height and width of the scenes.
        sides: least and largest side of a face's box in pixels.
        most: largest number of faces in a scene (at least one), and of other pieces.
        rotation: largest rotation of a face in its plane, in radians, to both sides.

    Returns:
        Images `(n, height, width)` float32 in [0, 1], and a list of boxes `(faces, 4)`, `(left, top, right, bottom)` in pixels.
    """
    rng = np.random.default_rng(seed)
    images, boxes = zip(*(_scene(faces, photos, rng, size, sides, most, rotation) for _ in range(n)))
    return np.stack(images), list(boxes)


def _scene(faces, photos, rng, size, sides, most, rotation):
    """One scene: the first places get a face, the others a piece of a photograph."""
    scene, number = _piece(photos, rng, size), rng.integers(1, most + 1)
    boxes = _places(rng, size, sides, 2 * most)
    for i, (left, top, right, bottom) in enumerate(boxes):
        side, source = right - left, faces[rng.integers(len(faces))] if i < number else _piece(photos, rng, (112, 92))
        angle, flip = rng.uniform(-rotation, rotation, 1), rng.integers(2, size=1) == 1
        # of 112 rows the middle 92, as wide as the face; what gets smaller is smoothed first
        patch = crop(_smoothed(source, 92 / side)[None], [0], [[0, 12, 92, 104]], side, angle, flip)[0]
        patch = np.clip(rng.uniform(0.7, 1.2) * (patch - patch.mean()) + rng.uniform(0.35, 0.65), 0, 1)
        mask, part = _oval(side, angle[0]), scene[top:bottom, left:right]
        scene[top:bottom, left:right] = mask * patch + (1 - mask) * part
    scene = np.clip(scene + 0.02 * rng.normal(size=size), 0, 1).astype("float32")
    return scene, np.array(boxes[:number], "float32").reshape(-1, 4)


def _places(rng, size, sides, number):
    """Squares that do not overlap, at most `number`."""
    boxes = []
    for _ in range(4 * number):
        side = int(np.round(np.exp(rng.uniform(*np.log(sides)))))
        left, top = rng.integers(size[1] - side + 1), rng.integers(size[0] - side + 1)
        box = (left, top, left + side, top + side)
        if len(boxes) < number and all(box[0] >= b[2] or box[2] <= b[0] or box[1] >= b[3] or box[3] <= b[1] for b in boxes):
            boxes.append(box)
    return boxes


def _piece(photos, rng, size):
    photo = photos[rng.integers(len(photos))]
    top, left = (rng.integers(whole - part + 1) for whole, part in zip(photo.shape, size))
    piece = photo[top : top + size[0], left : left + size[1]]
    return (piece[:, ::-1] if rng.integers(2) else piece).copy()


def _smoothed(image, factor):
    from scipy import ndimage

    return ndimage.gaussian_filter(image, 0.4 * max(factor - 1, 0))


def _oval(side, angle):
    """A soft oval, 1 inside: three quarters as wide as high, turned by `angle`."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    across, down = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    radius = np.hypot(across / 0.36, down / 0.47)
    return np.clip((1.1 - radius) / 0.2, 0, 1)
