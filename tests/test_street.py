"""CamVid from a folder and from its repository, both on small files."""

import numpy as np
import pytest
from PIL import Image

from zoo import datasets
from zoo.datasets import street


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """A repository of two frames a part in the original size, and its addresses."""
    rng = np.random.default_rng(0)
    for part in street._SIZES:
        names = []
        for i in range(2):
            for folder, array in (
                (part, rng.integers(0, 256, (360, 480, 3), "uint8")),
                (f"{part}annot", rng.integers(0, 12, (360, 480), "uint8")),
            ):
                file = tmp_path / "CamVid" / folder / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(file)
                names.append(f"/SegNet/CamVid/{folder}/{i}.png")
        (tmp_path / "CamVid" / f"{part}.txt").write_text(" ".join(names))
    monkeypatch.setattr(street, "_URL", tmp_path.as_uri() + "/")
    monkeypatch.setattr(street, "_SIZES", dict.fromkeys(street._SIZES, 2))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    return tmp_path / "CamVid"


def test_download_reduces_frames(frames):
    for part, (images, labels) in zip(street._SIZES, datasets.camvid()):
        assert images.shape == (2, 180, 240, 3) and images.dtype == np.float32 and labels.dtype == np.int32
        original = np.asarray(Image.open(frames / part / "1.png"), "float32") / 255
        np.testing.assert_allclose(images[1], original.reshape(180, 2, 240, 2, 3).mean((1, 3)), atol=1.01 / 255)
        truth = np.asarray(Image.open(frames / f"{part}annot" / "1.png")).reshape(180, 2, 240, 2)
        assert (truth == labels[1][:, None, :, None]).any((1, 3)).all()
    (frames / "train" / "0.png").unlink()
    assert len(datasets.camvid()[0][0]) == 2, "the cache serves"


def test_a_local_copy_is_checked(frames, monkeypatch):
    frames.rename(frames.with_name("camvid_240x180"))
    monkeypatch.setenv("ZOO_DATA", str(frames.parent))
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.camvid()
    monkeypatch.setattr(street, "_LOCAL_SHA256", street._digest(frames.with_name("camvid_240x180")))
    assert len(datasets.camvid()[2][1]) == 2
    monkeypatch.setattr(street, "_SIZES", dict.fromkeys(street._SIZES, 3))
    with pytest.raises(ValueError, match="must hold 3 frames"):
        datasets.camvid()
