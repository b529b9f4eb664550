"""Pages of `zoo demo NAME`: a call of each kind, one over HTTP, one in a browser, and what is refused."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import zoo.demo
from zoo import cli, index, presets
from zoo.demo import kinds

pytest.importorskip("gradio")
from zoo.demo import images, pages, texts  # noqa: E402

NAMES = {preset["class"]: name for name, preset in presets.shipped().items()}
# one method a kind
FIRST = {kind: name for name, kind in reversed(kinds.KINDS.items())}


def opened(kind, method=None):
    name = NAMES[method or FIRST[kind]]
    return pages.page(presets.load(presets.resolve(name)), name)


def drawn_one():
    """A vertical stroke, as a sketchpad gives it."""
    sketch = np.zeros((280, 280, 4), "uint8")
    sketch[40:240, 60:84, 3] = 255
    return {"composite": sketch}


def test_every_method_with_a_page_exists_and_ships_a_preset():
    assert set(kinds.KINDS) <= {entry.name for entry in index.ENTRIES} & set(NAMES)
    assert all(hasattr(texts, kind) != hasattr(images, kind) for kind in FIRST)


@pytest.mark.parametrize(
    "kind, found",
    [
        ("questions", "garden"),
        ("translation", " gras"),
        ("tasks", "ein mann"),
        ("summary", "array"),
        ("continuation", "a man"),
        ("text_class", "English"),
        ("tags", "DET"),
        ("spans", "NOUN"),
    ],
)
def test_texts(kind, found):
    """The answer to the first example of the page."""
    made = opened(kind)
    example = made.examples[0]
    assert found in str(made.fn(*(example if isinstance(example, list) else [example])))


def test_digit():
    assert opened("digit", "DeepLDA").fn(drawn_one()) == {"1": 1.0}
    made = opened("digit", "GradNet")
    shares = made.fn(drawn_one())
    assert max(shares, key=shares.get) == "1" and len(shares) == 10 and sum(shares.values()) == pytest.approx(1)
    from gradio import Error

    with pytest.raises(Error, match="draw a digit"):
        made.fn({"composite": np.zeros((280, 280, 4), "uint8")})


def test_read_digit():
    model = presets.load(presets.resolve("lrp_mnist"))
    stroke = images.read_digit(drawn_one(), model)
    photograph = np.full((280, 280, 4), 255, "uint8")
    photograph[40:240, 60:84, :3] = 0
    rows, columns = np.nonzero(stroke[0, ..., 0] > 0.5)
    # 20 pixels high, in the middle, whether it was drawn or is dark on a bright picture
    assert (
        stroke.shape == (1, 28, 28, 1)
        and abs(np.ptp(rows) + 1 - 20) <= 1
        and abs(rows.mean() - 13.5) <= 1
        and abs(columns.mean() - 13.5) <= 1
    )
    np.testing.assert_allclose(images.read_digit(photograph, model), stroke, atol=1e-6)


@pytest.mark.parametrize("kind, arguments", [("attack", ("7",)), ("explanation", ("1",))])
def test_pictures_of_a_digit(kind, arguments):
    read, changed, *told = opened(kind).fn(drawn_one(), *arguments)
    assert read.shape == changed.shape == (224, 224, 3) and not np.array_equal(read, changed)
    assert not told or "pixels changed" in told[0]


def test_samples():
    made = opened("samples")
    first, same, other = (made.fn(4, seed) for seed in (0, 0, 1))
    assert len(first) == 4 and np.ptp(first[0]) > 100
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_membranes_and_faces():
    made = opened("membranes")
    example = np.repeat((255 * images.micrograph()[0][:, 256:]).astype("uint8"), 3, axis=-1)
    shown, told = made.fn(example)
    mask = images.micrograph()[1][:, 256:]
    red = shown[..., 0].astype(int) - shown[..., 1]
    assert shown.shape == example.shape and red[mask == 1].mean() > 4 * max(1, red[mask == 0].mean()) and "membrane" in told
    skimage = pytest.importorskip("skimage.data")
    photograph, told = opened("faces").fn(skimage.astronaut(), 0.5)
    assert max(photograph.size) == 512 and int(told.split()[0]) >= 1


def test_chat_knows_what_was_said_before():
    class Echo:
        def respond(self, conversations):
            return [" | ".join(conversations[0])]

    reply = texts.chat(Echo()).fn
    said = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in (("user", "hello"), ("assistant", "hi"))]
    assert reply("and you?", said) == "hello | hi | and you?" and reply("hello", []) == "hello"


def test_chat_in_a_browser():
    """The command, its address, and what a person sees."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    browsers = pytest.importorskip("playwright.sync_api")
    command = [sys.executable, "-m", "zoo.cli", "demo", "neural_conversational_model", "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = next((line.split()[2].strip(";") for line in process.stdout if " at http://" in line), None)
        assert address, process.stdout.read()
        with browsers.sync_playwright() as play:
            page = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
            page.goto(address)
            box = page.get_by_role("textbox").last
            for count, said in enumerate(("hello , how are you ?", "do you like music ?"), start=1):
                box.fill(said)
                box.press("Enter")
                bot = page.locator(".bot.message")
                browsers.expect(bot).to_have_count(count, timeout=60_000)
                browsers.expect(bot.last).not_to_be_empty(timeout=60_000)
            assert "Neural conversational model" in page.content()
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("name, part", [("TRPO", "has a page"), ("no such thing", "a preset or a method")])
def test_what_has_no_page_is_refused_before_keras(name, part):
    done = subprocess.run([sys.executable, "-m", "zoo.cli", "demo", name], capture_output=True, text=True)
    assert done.returncode == 2 and part in done.stderr and done.stderr.count("\n") == 1


def test_error_without_gradio(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("pages", "texts", "images"):
        monkeypatch.delitem(sys.modules, f"zoo.demo.{name}")
        monkeypatch.delattr(zoo.demo, name)
    assert cli.main(["demo", "unet_em"]) == 2
    assert "pip install 'zoo-keras[demo]'" in capsys.readouterr().err
