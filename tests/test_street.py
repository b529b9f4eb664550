"""CamVid from a folder and from its repository, both on small files."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from repin import repin

from zoo import datasets, files
from zoo.datasets import records, street


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """A repository of two frames a part in the original size, and its addresses."""
    rng = np.random.default_rng(0)
    wanted = {}
    for file in records.info("camvid").files:
        wanted.setdefault(file.name.split("/")[1], []).append(file.name)
    for part in street._SIZES:
        for folder, shape, limit in ((part, (360, 480, 3), 256), (f"{part}annot", (360, 480), 12)):
            for name in wanted[folder][:2]:
                file = tmp_path / "web" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, limit, shape, "uint8")).save(file)
    monkeypatch.setattr(street, "_SIZES", dict.fromkeys(street._SIZES, 2))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    repin(monkeypatch, "camvid", tmp_path / "web", (tmp_path / "web").as_uri())
    return tmp_path / "web" / "camvid"


def read(folder, part):
    return [np.asarray(Image.open(path)) for path in sorted((folder / part).iterdir())]


def test_download_reduces_frames(frames):
    for part, (images, labels) in zip(street._SIZES, datasets.camvid()):
        assert images.shape == (2, 180, 240, 3) and images.dtype == np.float32 and labels.dtype == np.int32
        original = read(frames, part)[1].astype("float32") / 255
        np.testing.assert_allclose(images[1], original.reshape(180, 2, 240, 2, 3).mean((1, 3)), atol=1.01 / 255)
        truth = read(frames, f"{part}annot")[1].reshape(180, 2, 240, 2)
        assert (truth == labels[1][:, None, :, None]).any((1, 3)).all()
    next((frames / "train").iterdir()).unlink()
    assert len(datasets.camvid()[0][0]) == 2, "the cache serves"


def test_the_resolution_of_the_files(frames, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(frames.parent))
    for part, (images, labels) in zip(street._SIZES, datasets.camvid(size=None)):
        np.testing.assert_array_equal(images, np.stack(read(frames, part)).astype("float32") / 255)
        np.testing.assert_array_equal(labels, read(frames, f"{part}annot"))
    images, labels = datasets.camvid(size=(45, 60))[2]
    assert images.shape == (2, 45, 60, 3) and labels.shape == (2, 45, 60)
    for bad in (180, (0, 2), (1.5, 2), "ab"):
        with pytest.raises(ValueError, match="`size`"):
            datasets.camvid(size=bad)
    assert not (frames.parent.parent / "home").exists(), "nothing was downloaded"


def test_a_local_copy_is_checked(frames, monkeypatch):
    frames.rename(frames.with_name("camvid_240x180"))
    monkeypatch.setenv("ZOO_DATA", str(frames.parent))
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.camvid()
    record = records.info("camvid")
    copy = replace(record.copies[0], sha256=street._digest(frames.with_name("camvid_240x180").rglob("*.png")))
    monkeypatch.setitem(records.records(), "camvid", replace(record, copies=(copy,)))
    assert len(datasets.camvid()[2][1]) == 2
    # it is too small for other sizes, and the message does not offer it
    with pytest.raises(files.DataUnavailable) as caught:
        datasets.camvid(size=None)
    assert "camvid_240x180" not in str(caught.value)
    monkeypatch.setattr(street, "_SIZES", dict.fromkeys(street._SIZES, 3))
    with pytest.raises(ValueError, match="must hold 3 frames"):
        datasets.camvid()
