"""The whole way on a real microscopy image: load, segment, fine-tune, search, export, serve, query, compare.

The image is a strip of an electron micrograph that no preset was trained on: its left half stands for data of one's own, which the
fine-tuning and the search use; the right half is held out.
"""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from zoo import applications, serving, tuning
from zoo.demo.micrograph import micrograph

PRESET = "unet_em"
TOLERANCE = 1e-5


def run(out="demo"):
    """Run the demonstration.

    Args:
        out: folder for the overlay, the fine-tuned preset, the search and the SavedModel.

    Returns:
        0 if the served answer equals the local one, else 1.
    """
    report = _Report()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    _require_plots()
    image, mask = micrograph()
    own, held_out = (image[:, :256], mask[:, :256]), (image[:, 256:], mask[:, 256:])

    with report.step(f"load UNet.from_pretrained({PRESET!r})") as note:
        model = applications.UNet.from_pretrained(PRESET)
        note(f"{model.count_params():,} parameters")
    with report.step("segment the held-out half, 256 x 256 pixels") as note:
        found = model.segment(held_out[0])
        _save_overlay(held_out[0], found, out / "segmentation.png")
        note(f"membrane IoU {_iou(found, held_out[1]):.3f}; {out / 'segmentation.png'}")
    with report.step("fine-tune on the other half, 3 epochs") as note:
        patches, masks = _patches(model, *own)
        model.compile(optimizer=keras.optimizers.Adam(3e-4))
        # membranes are few pixels, so they weigh twice
        model.fit(patches, masks, sample_weight=1.0 + masks, batch_size=4, epochs=3)
        model.save_pretrained(out / "fine_tuned")
        note(f"membrane IoU {_iou(model.segment(held_out[0]), held_out[1]):.3f}; {out / 'fine_tuned'}")
    with report.step("search with keras-tuner, 3 trials") as note:
        search = tuning.search(
            applications.UNet,
            {"x": patches, "y": masks, "batch_size": 4},
            max_trials=3,
            epochs=2,
            directory=out / "search",
            overwrite=True,
            filters=8,
            depth=model.depth,
            padding=model.padding,
        )
        note(f"best dropout {search.best_config['dropout']:.1f}, learning rate {search.best_learning_rate:.2g}; {out / 'search'}")
    with report.step("export as a SavedModel") as note:
        serving.export(model, out / "unet")
        note(str(out / "unet"))
    local = model.segment(held_out[0])
    with _server(out / "unet", report) as url, report.step("query over HTTP") as note:
        answer = _query(url, held_out[0])
        difference = float(np.abs(answer - local).max())
        note(f"largest difference from the local result {difference:.1e}")
    return report.conclude(difference)


def _require_plots():
    try:
        import matplotlib  # noqa: F401 - is needed for the overlay, at the end of a step
    except ImportError as error:
        raise ImportError("the demonstration draws a figure: pip install 'zoo-keras[plots]'") from error


def _patches(model, image, mask):
    """Four overlapping corners and their mirror images, of a size that the network takes."""
    side = max(n for n in range(128, 193) if model.valid_size(n, n) == (n, n))
    corners = [(r, c) for r in (0, 256 - side) for c in (0, 256 - side)]
    images = np.stack([image[r : r + side, c : c + side] for r, c in corners])
    masks = np.stack([mask[r : r + side, c : c + side] for r, c in corners])
    return np.concatenate([images, images[:, :, ::-1]]), np.concatenate([masks, masks[:, :, ::-1]])


def _iou(probabilities, mask):
    found, true = probabilities.argmax(-1) == 1, mask == 1
    return (found & true).sum() / max((found | true).sum(), 1)


def _save_overlay(image, probabilities, file):
    from zoo import plots

    figure = plots.overlay(image[..., 0], probabilities.argmax(-1), title="membranes found by U-Net")
    figure.savefig(file, dpi=100)


@contextlib.contextmanager
def _server(folder, report):
    """`zoo serve` as a process of its own; gives its address."""
    command = [sys.executable, "-m", "zoo.cli", "serve", str(folder), "--port", "0", "--name", "unet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with report.step("start zoo serve") as note:
            line = process.stdout.readline()
            if "http://" not in line:
                raise OSError(f"zoo serve did not start: {process.stderr.read().strip()}")
            url = line.rsplit(maxsplit=1)[-1]
            note(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _query(url, image):
    body = json.dumps({"signature_name": "segment", "instances": [{"image": image.tolist()}]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return np.array(json.load(response)["predictions"][0]["probabilities"], "float32")


class _Report:
    """Prints steps as they run, and a table of them at the end."""

    def __init__(self):
        self.console, self.rows, self.started = Console(highlight=False), [], time.perf_counter()

    @contextlib.contextmanager
    def step(self, name):
        self.console.print(f"[bold cyan]{len(self.rows) + 1}[/] {name}")
        notes, started = [], time.perf_counter()
        yield notes.append
        self.rows.append((name, "; ".join(notes), time.perf_counter() - started))

    def conclude(self, difference):
        table = Table("step", title="zoo demo", title_justify="left")
        table.add_column("result", overflow="fold")
        table.add_column("seconds", justify="right")
        for name, note, seconds in self.rows:
            table.add_row(name, note, f"{seconds:.1f}")
        equal = difference <= TOLERANCE
        verdict = "[green]served and local answers are equal[/]" if equal else "[red]served and local answers DIFFER[/]"
        table.add_section()
        table.add_row("all", verdict, f"{time.perf_counter() - self.started:.1f}")
        self.console.print()
        self.console.print(table)
        return 0 if equal else 1
