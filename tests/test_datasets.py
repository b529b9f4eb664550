"""Digits that packages ship, and files from packages, folders and the network."""

import hashlib

import numpy as np
import pytest

from zoo import datasets, files


@pytest.mark.parametrize(("load", "side", "sizes"), [(datasets.digits_8x8, 8, (1347, 450)), (datasets.mnist_5k, 28, (4000, 1000))])
def test_digits(load, side, sizes):
    (x, y), (x_test, y_test) = load(seed=1)
    assert (len(x), len(x_test)) == sizes and x.shape[1:] == (side, side, 1)
    assert x.dtype == np.float32 and y.dtype == np.int32 and x.min() == 0 and x.max() == 1
    assert np.ptp(np.bincount(y) / len(y) - np.bincount(y_test) / len(y_test)) < 0.01
    known = {image.tobytes() for image in x}
    assert sum(image.tobytes() in known for image in x_test) == 0
    again, other = load(seed=1)[0][0], load(seed=2)[0][0]
    assert (x == again).all() and (x != other).any()


def test_packaged_names_the_command():
    assert files.packaged("numpy", "numpy/__init__.py").exists()
    with pytest.raises(ImportError, match="pip install no-such-package"):
        files.packaged("no-such-package", "a.csv")
    with pytest.raises(ImportError, match="pip install -U numpy"):
        files.packaged("numpy", "numpy/no_such_file.csv")


def test_fetch_prefers_the_folder_then_the_cache(tmp_path, monkeypatch):
    source, sum_ = tmp_path / "source.csv", hashlib.sha256(b"1,2").hexdigest()
    source.write_bytes(b"1,2")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    fetched = files.fetch("set/a.csv", source.as_uri(), sum_)
    assert fetched.read_bytes() == b"1,2" and fetched == tmp_path / "home" / "zoo" / "data" / "set" / "a.csv"
    source.unlink()
    assert files.fetch("set/a.csv", source.as_uri(), sum_) == fetched
    own = tmp_path / "own" / "set" / "a.csv"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"1,3")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "own"))
    with pytest.raises(ValueError, match="SHA-256"):
        files.fetch("set/a.csv", source.as_uri(), sum_)
