"""The command line, called as a user calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import cli, index, presets
from zoo.evidence import Claim

CLAIM = Claim("it works", "1", "d", "accuracy", True, "plain", [0.5, 0.5, 0.5], [0.9, 0.9, 0.8], [0, 1, 2]).record()
FAILED = {**CLAIM, "verdict": "no"}


@pytest.fixture
def shipped(monkeypatch):
    """Two presets, whatever the recipes have written so far."""
    records = {
        "unet_em": {"class": "UNet", "parameters": 31_031_685, "folder": Path("x"), "claims": [CLAIM, FAILED]},
        "dcgan_a": {"class": "DCGAN", "parameters": 950, "folder": Path("x"), "claims": []},
        "dcgan_b": {"class": "DCGAN", "parameters": 1200, "folder": Path("x"), "claims": [CLAIM]},
    }
    monkeypatch.setattr(presets, "shipped", lambda: records)
    return records


def run(capsys, *argv):
    code = cli.main([str(a) for a in argv])
    out, err = capsys.readouterr()
    return code, out, err


def command(*argv, **kwargs):
    return subprocess.run([sys.executable, "-m", "zoo.cli", *map(str, argv)], capture_output=True, text=True, **kwargs)


def test_list_json(capsys, shipped):
    code, out, _ = run(capsys, "list", "--json")
    records = json.loads(out)
    assert code == 0 and [r["row"] for r in records] == [e.row for e in index.ENTRIES]
    unet = next(r for r in records if r["name"] == "UNet")
    assert {"row", "name", "task", "paper", "presets", "parameters", "evidence"} <= set(unet)
    assert unet["presets"] == ["unet_em"] and unet["parameters"] == {"unet_em": 31_031_685}
    assert unet["evidence"] == {"yes": 1, "undecided": 0, "no": 1}


def test_list_filters(capsys, shipped):
    names = lambda *argv: [r["name"] for r in json.loads(run(capsys, "list", "--json", *argv)[1])]  # noqa: E731
    assert names("--task", "segmentation") == [entry.name for entry in index.ENTRIES if entry.task == "segmentation"]
    assert "DCGAN" in names("ADVERSARIAL") and "UNet" not in names("adversarial")
    assert names("no such words") == []


@pytest.mark.parametrize("width", [80, 120])
def test_list_has_one_line_a_method(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run(capsys, "list")[1].splitlines()
    assert max(map(len, lines)) <= width
    for entry in index.ENTRIES:
        assert sum(f" {entry.name} " in line for line in lines) == 1
    for text, least in (
        ("UNet", 80),
        ("reinforcement learning", 80),
        ("undecided", 80),
        ("unet_em", 120),
        ("121k", 120),
    ):
        assert any(text in line for line in lines) == (width >= least), text


def test_list_imports_no_backend():
    script = """
import sys
from zoo import cli
cli.main(["list", "--json"])
sys.exit(any(name in sys.modules for name in ("keras", "tensorflow", "jax")))
"""
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL).returncode == 0


def test_info(capsys, shipped, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = run(capsys, "info", "19")
    assert code == 0
    for text in ("Ronneberger", "1505.04597", "unet_em", "it works", "0.8667", "plain", 'from_pretrained("unet_em")'):
        assert text in out, text
    assert json.loads(run(capsys, "info", "unet", "--json")[1])["claims"]["unet_em"] == [CLAIM, FAILED]


@pytest.mark.parametrize(
    "argv, word",
    [
        (["info", "unett"], "did you mean unet"),
        (["list", "--task", "cooking"], "segmentation"),
        (["train", "nothing"], "must be a method"),
        (["tune", "unet", "--data", "no.npz"], "no.npz"),
        (["export", "nothing", "x"], "'nothing'"),
        (["export", "dcgan", "x"], "dcgan_a, dcgan_b"),
        (["export", "vat", "x"], "ships none"),
    ],
)
def test_mistakes_are_one_line(capsys, shipped, argv, word):
    code, out, err = run(capsys, *argv)
    assert code == 2 and out == ""
    assert err.startswith("zoo: error: ") and err.count("\n") == 1 and word in err


USAGE_ERRORS = {
    (): "COMMAND",
    ("fly",): "fly",
    ("serve",): "path",
    ("info",): "name",
    ("train",): "required: name (see",
    ("tune", "unet"): "--data --example",
    ("tune", "unet", "--example", "--trials", "0"): "--trials: must be a whole number, at least 1. Received: '0'",
    ("tune", "unet", "--example", "--epochs", "1.5"): "--epochs",
    ("tune", "unet", "--example", "--tuner", "psychic"): "'hyperband'",
    ("serve", "x", "--port", "many"): "from 0 to 65535",
    ("serve", "x", "--port", "70000"): "from 0 to 65535",
    ("serve", "x", "--max-batch-size", "0"): "--max-batch-size",
    ("serve", "x", "--batch-timeout-ms", "-1"): "at least 0",
    ("serve", "x", "--max-body-mb", "nan"): "above 0",
    ("serve", "x", "--timeout-s", "inf"): "above 0",
}


@pytest.mark.parametrize("argv, word", USAGE_ERRORS.items())
def test_usage_errors_are_one_line(capsys, argv, word):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.startswith("zoo: error: ") and err.count("\n") == 1 and word in err


def test_tuners_are_those_of_the_search():
    from zoo import tuning

    assert cli.TUNERS == tuning.search.__globals__["TUNERS"]


def test_mistakes_are_found_before_keras_is_imported(tmp_path):
    """Importing it takes seconds; a wrong path or file need not wait for that."""
    (tmp_path / "bad.npz").write_text("x,y")
    np.savez(tmp_path / "names.npz", z=np.zeros(3))
    (tmp_path / "preset").mkdir()
    mistakes = {
        ("serve", tmp_path / "missing"): "missing, which does not exist",
        ("serve", tmp_path): "must be a SavedModel",
        ("tune", "unet", "--data", tmp_path / "missing.npz"): "missing.npz, which does not exist",
        ("tune", "unet", "--data", tmp_path / "bad.npz"): "numpy.savez",
        ("tune", "unet", "--data", tmp_path / "names.npz"): "named x, y",
        ("export", tmp_path / "preset", tmp_path / "out"): "folder with SHA256SUMS",
        ("train", "nothing"): "must be a method",
    }
    script = "import sys; from zoo import cli; code = cli.main(sys.argv[1:]); sys.exit(9 if 'keras' in sys.modules else code)"
    for argv, text in mistakes.items():
        done = subprocess.run([sys.executable, "-c", script, *map(str, argv)], capture_output=True, text=True)
        assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1, (argv, done.stderr)


def test_help_of_every_command(capsys):
    for argv in (["--help"], *([name, "--help"] for name in ("list", "info", "train", "tune", "export", "serve", "demo"))):
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == 0 and len(capsys.readouterr().out) > 200


def test_train_runs_the_recipe(tmp_path, monkeypatch, capfd):
    """In a clone the recipe runs with the options; from a wheel the error says where recipes are."""
    monkeypatch.setattr(zoo, "__file__", str(tmp_path / "zoo" / "__init__.py"))
    assert cli.main(["train", "unet", "--quick"]) == 2
    assert "applications/unet/train.py" in capfd.readouterr().err
    (tmp_path / "applications" / "unet").mkdir(parents=True)
    (tmp_path / "applications" / "unet" / "train.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    assert cli.main(["train", "unet", "--quick", "--seeds", "5"]) == 7
    assert "['--quick', '--seeds', '5']" in capfd.readouterr().out


def test_tune_export_serve(toy, tmp_path, capsys):
    """tune on a file, export a folder, refuse to serve nonsense: the real commands on a small method."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(20, 3)).astype("float32"), y=rng.integers(0, 2, 20))
    code, out, err = run(capsys, "tune", "toy", "--data", tmp_path / "data.npz", "--trials", 1, "--epochs", 1, "--out", tmp_path / "search")
    assert code == 0, err
    assert "val_loss" in out and toy(**json.loads((tmp_path / "search" / "best.json").read_text()))
    assert run(capsys, "tune", "toy", "--example", "--trials", 1, "--epochs", 1, "--out", tmp_path / "example")[0] == 0
    np.savez(tmp_path / "bad.npz", z=np.zeros(3))
    assert "named x, y" in run(capsys, "tune", "toy", "--data", tmp_path / "bad.npz", "--out", tmp_path / "bad")[2]
    toy().save_pretrained(tmp_path / "preset")
    code, out, err = run(capsys, "export", tmp_path / "preset", tmp_path / "saved")
    assert code == 0 and "signatures: " in out and (tmp_path / "saved" / "1" / "saved_model.pb").exists(), err
    assert "something else" in run(capsys, "export", tmp_path / "preset", tmp_path)[2]
    assert "must be a SavedModel" in run(capsys, "serve", tmp_path / "preset")[2]
    other = ["tune", "toy", "--data", tmp_path / "data.npz", "--trials", 1, "--epochs", 2, "--out", tmp_path / "search"]
    assert "epochs: 2, there 1" in run(capsys, *other)[2]
    assert run(capsys, *other, "--overwrite")[0] == 0


def test_quiet_in_a_fresh_process(tmp_path):
    """An error after TensorFlow has been imported is still the only line."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    done = command("serve", tmp_path, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""


def test_demo(tmp_path, monkeypatch, capsys):
    """The whole way with an untrained U-Net in place of the preset; a served answer that differs ends with 1."""
    pytest.importorskip("matplotlib")
    from zoo import applications
    from zoo.demo import tour

    query = tour._query

    def altered(url, image):
        answer = query(url, image)
        assert answer.shape == (256, 256, 2) and np.allclose(answer.sum(-1), 1, atol=1e-5)
        return answer + 1e-3

    monkeypatch.setattr(applications.UNet, "from_pretrained", lambda name: applications.UNet(filters=2, depth=2, padding="same"))
    monkeypatch.setattr(tour, "_query", altered)
    assert cli.main(["demo", "--out", str(tmp_path / "demo")]) == 1
    out = capsys.readouterr().out
    assert "DIFFER" in out and "1.0e-03" in out and "zoo demo NAME" in out
    for file in ("segmentation.png", "fine_tuned/SHA256SUMS", "search/best.json", "unet/1/saved_model.pb"):
        assert (tmp_path / "demo" / file).exists()
    assert tour._Report().conclude(0.0) == 0
