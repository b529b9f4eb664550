"""Loaders of whole data sets: on small files of the same form, and on the real ones where `ZOO_DATA` holds them."""

import gzip
import importlib.util
import io
import json
import lzma
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repin import repin

from zoo import datasets, files
from zoo.datasets import babi, records, reviews, translations

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in ("mnist", "cifar10", "imdb", "multi30k", "babi", "bsds_train"):
        (tmp_path / name).mkdir()
    return tmp_path


def real(name):
    """Skip unless the real files of a data set, or its copy, lie in `ZOO_DATA`."""
    record = datasets.info(name)
    if not any(files.local(file.name) for file in (*record.files, *record.copies)):
        pytest.skip(f"{name} is not in ZOO_DATA")


def archive(path, contents):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_info_names_what_it_knows():
    record = datasets.info("mnist")
    assert (record.name, record.terms, record.bytes) == ("mnist", "CC BY-SA 3.0", 11490434) and "11.5 MB" == record.size
    assert record.sha256.startswith("731c5ac6") and record.url.endswith("mnist.npz")
    assert record.data_license.startswith("MNIST") and record.data_license.endswith("CC BY-SA 3.0.")
    with pytest.raises(ValueError, match="Did you mean 'mnist'"):
        datasets.info("mnits")


@pytest.mark.parametrize("name", records.records())
def test_every_record_is_whole(name):
    record = datasets.info(name)
    assert hasattr(datasets, name) and record.bytes > 0 and all((record.title, record.terms, record.citation, record.url))
    assert all(file.url or file.package or (records._FILES / file.name).exists() for file in record.files)
    assert all(file.url.startswith("https://") and len(file.sha256) == 64 for file in record.files if file.url)
    assert len({file.name for file in record.files}) == len(record.files)


def test_mnist(folder, monkeypatch):
    images, labels = RNG.integers(0, 256, (3, 28, 28), "uint8"), np.arange(3, dtype="uint8")
    np.savez(folder / "mnist/mnist.npz", x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.mnist()
    repin(monkeypatch, "mnist", folder)
    (x, y), (x_test, y_test) = datasets.mnist()
    np.testing.assert_array_equal(x, images[..., None].astype("float32") / 255)
    assert x.dtype == np.float32 and y.dtype == np.int32 and y.tolist() == [0, 1, 2] and len(x_test) == len(y_test) == 1


def test_mnist_refuses_pickles(folder, monkeypatch):
    np.savez(folder / "mnist/mnist.npz", x_train=np.array([{}], object))
    repin(monkeypatch, "mnist", folder)
    with pytest.raises(ValueError, match="allow_pickle"):
        datasets.mnist()


def test_emoji(folder, monkeypatch):
    """A sheet of three emoji, one with a tone, one of which is not drawn."""
    (folder / "emoji").mkdir()
    sheet = RNG.integers(0, 256, (2 * 66, 2 * 66, 4), "uint8")
    sheet[:66, :, 3], sheet[66:, :, 3] = 255, 0
    Image.fromarray(sheet).save(folder / "emoji/sheet_64.png")

    def row(name, x, y, kind, drawn=True, **more):
        return {"name": name, "sheet_x": x, "sheet_y": y, "category": "c", "subcategory": kind, "has_img_google": drawn, **more}

    dark = {"1F3FF": row("", 1, 0, "")}
    table = [
        row("WOMAN: RED HAIR", 0, 0, "person", skin_variations=dark),
        row("X", 1, 1, "place", drawn=False),
        row("SUN", 0, 1, "sky"),
    ]
    (folder / "emoji/emoji.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.emoji()
    repin(monkeypatch, "emoji", folder)
    found = datasets.emoji()
    assert found.names == ["WOMAN: RED HAIR", "WOMAN: RED HAIR", "SUN"] and found.tones == ["", "dark", ""]
    np.testing.assert_array_equal(found.images[1], sheet[1:65, 67:131, :3].astype("float32") / 255)
    # what is clear is white
    assert found.images.dtype == np.float32 and found.images[2].min() == 1
    images, attributes, names, titles = datasets.emoji_people(found)
    assert images.shape == (1, 64, 64, 3) and titles == ["WOMAN: RED HAIR"]
    assert {name for name, value in zip(names, attributes[0]) if value} == {"dark skin", "woman", "red hair"}
    assert found.take([2]).names == ["SUN"]


def test_whole_emoji():
    if not files.cached("emoji/sheet_64.png").exists():
        real("emoji")
    images, attributes, names, titles = datasets.emoji_people()
    assert images.shape == (1310, 64, 64, 3) and attributes.shape == (1310, len(names)) and len(set(titles)) == 262 - 1
    assert attributes[:, :5].sum(0).tolist() == [262] * 5 and np.all(attributes[:, :5].sum(1) == 1)


def test_whole_mnist():
    real("mnist")
    (x, y), (x_test, y_test) = datasets.mnist()
    assert x.shape == (60000, 28, 28, 1) and x_test.shape == (10000, 28, 28, 1) and x.max() == 1
    assert y[:5].tolist() == [5, 0, 4, 1, 9] and np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def small_cifar(folder):
    images, labels = RNG.integers(0, 256, (6, 2, 32, 32, 3), "uint8"), RNG.integers(0, 10, (6, 2), "uint8")
    rows = np.concatenate([labels[..., None], images.transpose(0, 1, 4, 2, 3).reshape(6, 2, 3072)], -1)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    archive(folder / "cifar10/cifar-10-binary.tar.gz", {f"cifar-10-batches-bin/{n}.bin": row.tobytes() for n, row in zip(names, rows)})
    return images, labels


def small_jpeg(folder):
    images = np.repeat(RNG.integers(0, 256, (4, 1, 1, 3), "uint8"), 32, 1).repeat(32, 2)
    arrays = {}
    for part, chosen in (("train", images[:3]), ("test", images[3:])):
        streams = [io.BytesIO() for _ in chosen]
        for image, stream in zip(chosen, streams):
            Image.fromarray(image).save(stream, "jpeg", quality=95)
        content = [stream.getvalue() for stream in streams]
        arrays |= {f"{part}_jpeg": np.frombuffer(b"".join(content), "uint8"), f"{part}_offsets": np.cumsum([0, *map(len, content)])}
        arrays[f"{part}_labels"] = np.arange(len(chosen), dtype="uint8")
    np.savez(folder / "cifar10/cifar10_jpeg_30k.npz", **arrays)
    return images


def test_cifar10_of_its_author_and_the_copy(folder, monkeypatch):
    jpeg = small_jpeg(folder)
    repin(monkeypatch, "cifar10", folder)
    (x, y), (x_test, y_test) = datasets.cifar10()
    assert x.dtype == np.float32 and y.dtype == np.int32 and y.tolist() == [0, 1, 2] and x_test.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(np.concatenate([x, x_test]), jpeg / 255, atol=4 / 255)
    assert "JPEG" in datasets.info("cifar10").note and "copy in JPEG" in datasets.info("cifar10").data_license
    # what the caller does to the arrays does not reach the next one
    x[:] = 0
    assert datasets.cifar10()[0][0].any()
    images, labels = small_cifar(folder)
    repin(monkeypatch, "cifar10", folder)
    (x, y), (x_test, y_test) = datasets.cifar10()
    np.testing.assert_array_equal(x, images[:5].reshape(10, 32, 32, 3).astype("float32") / 255)
    np.testing.assert_array_equal(x_test, images[5].astype("float32") / 255)
    assert y.tolist() == labels[:5].ravel().tolist() and y_test.tolist() == labels[5].tolist()
    assert not datasets.info("cifar10").note and "JPEG" not in datasets.info("cifar10").data_license


def test_real_cifar10():
    real("cifar10")
    (x, y), (x_test, y_test) = datasets.cifar10()
    each = 2000 if datasets.info("cifar10").note else 5000
    assert np.bincount(y).tolist() == [each] * 10 and np.bincount(y_test).tolist() == [1000] * 10
    assert x.shape[1:] == x_test.shape[1:] == (32, 32, 3) and 0.4 < x_test.mean() < 0.55


def test_imdb_from_archive_and_lines(folder, monkeypatch):
    monkeypatch.setattr(reviews, "_SIZES", dict.fromkeys(reviews._SIZES, 2))
    rows = [(*key, i, f"{key[0]} {key[1]} number {i}, très bien") for key in reviews._SIZES for i in (1, 0)]
    members = {f"aclImdb/{split}/{label}/{i}_7.txt": text.encode() for split, label, i, text in rows}
    archive(folder / "imdb/aclImdb_v1.tar.gz", {"aclImdb/README": b"x", **members, "aclImdb/train/urls_pos.txt": b"x"})
    lines = [json.dumps({"split": s, "label": label, "id": i, "rating": 7, "text": text}) for s, label, i, text in rows]
    repin(monkeypatch, "imdb_reviews", folder)
    (texts, labels), (test, _), unlabelled = found = datasets.imdb_reviews(seed=None)
    assert texts[0] == "train neg number 0, très bien" and labels.tolist() == [0, 0, 1, 1] and labels.dtype == np.int32
    assert test[-1] == "test pos number 1, très bien" and unlabelled[1] == "train unsup number 1, très bien"
    (folder / "imdb/aclImdb_v1.tar.gz").unlink()
    (folder / "imdb/imdb.jsonl.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    repin(monkeypatch, "imdb_reviews", folder)
    again = datasets.imdb_reviews(seed=None)
    assert again[2] == found[2] and all(a[0] == b[0] and (a[1] == b[1]).all() for a, b in zip(again[:2], found[:2]))
    (shuffled, labels), *_ = datasets.imdb_reviews(seed=3)
    assert sorted(shuffled) == sorted(texts) and [("pos" in text) for text in shuffled] == labels.astype(bool).tolist()
    monkeypatch.setattr(reviews, "_SIZES", dict.fromkeys(reviews._SIZES, 3))
    with pytest.raises(ValueError, match="must hold"):
        datasets.imdb_reviews()


def test_real_imdb():
    real("imdb_reviews")
    (texts, labels), (test, test_labels), unlabelled = datasets.imdb_reviews()
    assert (len(texts), len(test), len(unlabelled)) == (25000, 25000, 50000)
    assert labels.sum() == test_labels.sum() == 12500 and 0.4 < labels[:1000].mean() < 0.6
    assert all(texts) and np.mean([len(text.split()) for text in texts]) > 200


def test_multi30k(folder, monkeypatch):
    for language, text in (("en", "A dog.\nTwo cats.\n"), ("de", "Ein Hund.\nZwei Katzen. \n")):
        (folder / f"multi30k/val.{language}.gz").write_bytes(gzip.compress(text.encode()))
    repin(monkeypatch, "multi30k", folder)
    with pytest.raises(ValueError, match="must hold 1014"):
        datasets.multi30k("val")
    monkeypatch.setitem(translations._PARTS, "val", 2)
    assert datasets.multi30k("val") == (["A dog.", "Two cats."], ["Ein Hund.", "Zwei Katzen."])
    with pytest.raises(ValueError, match="`part`"):
        datasets.multi30k("dev")


def test_real_multi30k():
    real("multi30k")
    for part, number in translations._PARTS.items():
        english, german = datasets.multi30k(part)
        assert len(english) == len(german) == number and all(english) and all(german)
    assert english[0] != german[0]


def test_babi(folder, monkeypatch):
    text = "1 Mary moved to the hallway.\n2 Where is Mary? \thallway\t1\n"
    (folder / "babi/qa1_single-supporting-fact_test.txt").write_text(text)
    repin(monkeypatch, "babi", folder)
    stories = babi.read(1, "test")
    assert babi.write(stories) == text and stories[0][1].answer == "hallway"
    for bad in ({"task": 21}, {"task": "1"}, {"task": 1, "part": "valid"}):
        with pytest.raises(ValueError, match="Received"):
            babi.read(**bad)


@pytest.mark.parametrize("task", range(1, 21))
def test_real_babi_files_come_back_byte_by_byte(task):
    real("babi")
    for part in ("train", "test"):
        stories = babi.read(task, part)
        (name,) = [f.name for f in datasets.info("babi").files if f.name.startswith(f"babi/qa{task}_") and f.name.endswith(f"{part}.txt")]
        assert babi.write(stories).encode() == files.local(name).read_bytes()
        questions = babi.examples(stories)
        assert len(questions) == 1000 and all(question.answer and question.support for question in questions)


def test_bsds(folder, monkeypatch):
    shapes = {"bsds_train/2092.jpg": (321, 481), "bsds_train/8049.jpg": (481, 321)}
    for name, shape in shapes.items():
        Image.fromarray(np.full((*shape, 3), 51, "uint8")).save(folder / name)
    repin(monkeypatch, "bsds", folder)
    photos = datasets.bsds()
    assert [photo.shape for photo in photos] == [(321, 481, 3), (481, 321, 3)] and photos[0].dtype == np.float32
    np.testing.assert_allclose(photos[0], 0.2, atol=0.01)
    with pytest.raises(ValueError, match="`part`"):
        datasets.bsds("all")


def test_real_bsds():
    real("bsds")
    photos = datasets.bsds()
    assert len(photos) == 200 and {photo.shape for photo in photos} == {(321, 481, 3), (481, 321, 3)}


def test_loaders_import_no_keras(tmp_path):
    import subprocess
    import sys

    np.savez(tmp_path / "a.npz", x=1)
    code = "import sys; from zoo import datasets; datasets.info('mnist'); datasets.movie_snippets(); assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_the_page_repeats_the_records():
    root = Path(datasets.__file__).parents[2]
    spec = importlib.util.spec_from_file_location("generate", root / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = (root / "docs" / "datasets.md").read_text()
    assert page == generate.datasets_with_table(), "run python docs/generate.py"
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(records.records())
    # the recipes are found by their calls: MemN2N's uses the simulator, not the files
    used = {row[0].strip("| `"): row[-1] for row in rows}
    assert "re_net.md" in used["mnist_5k"] and "td_lstm.md" in used["movie_snippets"] and "sa_lstm.md" in used["brown"]
    assert used["babi.read"] == "- |"
    # all that loads a data set is on the page
    for recipe in (root / "applications").glob("*/train.py"):
        for name in set(re.findall(r"datasets\.(\w+)\(", recipe.read_text())) & set(records.records()):
            assert f"methods/{recipe.parent.name}.md" in used[name]
