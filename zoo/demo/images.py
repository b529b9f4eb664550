"""Pages for methods that read or make images. Each function takes a model and what is said about it, and gives a Gradio page."""

import gradio as gr
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass, shift
from scipy.special import softmax

from zoo.demo.micrograph import micrograph
from zoo.demo.texts import told

# of a digit in MNIST: the side of the image, and the longer side of what was written
_SIDE, _WRITTEN = 28, 20


def digit(model, **about):
    """A digit is drawn; the probabilities of the classes."""

    def classify(sketch):
        x = read_digit(sketch, model)
        found = model.predict(x, verbose=0)
        if isinstance(found, dict):
            return {str(model.classify(x)[0]): 1.0}
        found = np.asarray(found[0], "float64")
        # some methods give logits
        is_share = found.min() >= 0 and abs(found.sum() - 1) < 1e-3
        return {str(number): float(share) for number, share in enumerate(found if is_share else softmax(found))}

    return gr.Interface(told(classify), _board(), gr.Label(num_top_classes=3, label="digit"), **about)


def attack(model, **about):
    """A digit is drawn; few pixels of it change until the network takes it for another."""

    def change(sketch, target):
        x = read_digit(sketch, model)
        result = model.attack(x, np.array([int(target)]))
        what = "taken" if result.success[0] else "not taken"
        return _enlarged(x[0]), _enlarged(result.samples[0]), f"{result.changed[0]} of {x[0].size} pixels changed; {what} for a {target}"

    return gr.Interface(
        told(change),
        [_board(), gr.Dropdown([str(number) for number in range(10)], value="3", label="to be taken for")],
        [gr.Image(label="read as"), gr.Image(label="changed"), gr.Textbox(label="result")],
        **about,
    )


def explanation(model, **about):
    """A digit is drawn; which pixels speak for a class (red) and against it (blue)."""

    def explain(sketch, label):
        x = read_digit(sketch, model)
        relevance = model.heatmap(x, None if label == "the most probable" else np.array([int(label)]))[0]
        colours = colormaps["seismic"](0.5 + relevance / (2 * np.abs(relevance).max() + 1e-12))[..., :3]
        return _enlarged(x[0]), _enlarged(colours)

    labels = ["the most probable", *(str(number) for number in range(10))]
    return gr.Interface(
        told(explain),
        [_board(), gr.Dropdown(labels, value=labels[0], label="class to explain")],
        [gr.Image(label="read as"), gr.Image(label="relevance")],
        **about,
    )


def samples(model, **about):
    """Images that the model makes, others for another seed."""

    def sample(count, seed):
        images = np.asarray(model.sample(int(count), seed=int(seed)))
        if images.ndim == 2:
            images = images.reshape(-1, _SIDE, _SIDE, 1)
        return [_enlarged((image - low) / (1 - low), 112) for image in images]

    # darkest value; the brightest is 1
    low = model.input_fields()[0].low or 0
    return gr.Interface(
        told(sample),
        [gr.Slider(1, 36, 16, step=1, label="images"), gr.Slider(0, 1000, 0, step=1, label="seed")],
        gr.Gallery(columns=4, label="samples"),
        **about,
    )


def membranes(model, **about):
    """A micrograph in, its membranes in red out."""

    def segment(image):
        gray = np.asarray(Image.fromarray(image).convert("L"), "float32")[..., None] / 255
        share = model.segment(gray, verbose=0)[..., 1:]
        shown = (1 - 0.6 * share) * np.repeat(gray, 3, axis=-1) + 0.6 * share * np.array([1.0, 0.2, 0.1])
        return (255 * shown).astype("uint8"), f"{100 * float((share > 0.5).mean()):.0f} % of the pixels are membrane"

    example = (255 * micrograph()[0][:, 256:, 0]).astype("uint8")
    return gr.Interface(
        told(segment), gr.Image(value=example, label="micrograph"), [gr.Image(label="membranes"), gr.Textbox(label="result")], **about
    )


def faces(model, **about):
    """A photograph in, boxes around faces out."""

    def detect(image, threshold):
        photo = Image.fromarray(image)
        photo.thumbnail((512, 512))
        boxes, scores = model.detect(np.asarray(photo.convert("L"), "float32") / 255, threshold=threshold)
        draw = ImageDraw.Draw(photo)
        for box, score in zip(boxes, scores):
            draw.rectangle(tuple(box), outline=(255, 60, 0), width=3)
            draw.text((box[0] + 4, box[1] + 2), f"{score:.2f}", fill=(255, 60, 0))
        return photo, f"{len(boxes)} found"

    return gr.Interface(
        told(detect),
        [gr.Image(label="photograph"), gr.Slider(0.05, 0.95, 0.5, label="least probability")],
        [gr.Image(label="faces"), gr.Textbox(label="result")],
        **about,
    )


def read_digit(sketch, model):
    """What was drawn as a batch of one image of the model's size, in [0, 1], as MNIST has it: 20 pixels high or wide, weight in the middle.

    Args:
        sketch: value of a Gradio sketchpad: dict with `composite`, an array `(height, width, 4)` of bytes, or such an array.
        model: a classifier of digits.

    Returns:
        float32 array of the shape that the model takes.

    Raises:
        ValueError: if nothing was drawn.
    """
    drawn = np.asarray(sketch["composite"] if isinstance(sketch, dict) else sketch)
    # strokes on nothing, or dark ones on a bright picture
    ink = drawn[..., 3] if drawn[..., 3].min() < 255 else 255 - drawn[..., :3].mean(axis=-1)
    rows, columns = np.nonzero(ink > 40)
    if not len(rows):
        raise ValueError("draw a digit first")
    cut = Image.fromarray(ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype("uint8"))
    scale = _WRITTEN / max(cut.size)
    small = np.asarray(cut.resize([max(1, round(scale * side)) for side in cut.size], Image.Resampling.LANCZOS), "float32") / 255
    image = np.zeros((_SIDE, _SIDE), "float32")
    image[: small.shape[0], : small.shape[1]] = small
    image = shift(image, (_SIDE - 1) / 2 - np.array(center_of_mass(image)), order=1)
    shape = model.input_fields()[0].shape
    if shape[0] != _SIDE:
        image = np.asarray(Image.fromarray(image).resize(shape[:2], Image.Resampling.BOX))
    return np.clip(image, 0, 1).reshape(1, *shape)


def _board():
    return gr.Sketchpad(
        label="choose the brush and draw a digit",
        canvas_size=(280, 280),
        brush=gr.Brush(default_size=20, colors=["#000000"], color_mode="fixed"),
        layers=False,
    )


def _enlarged(image, side=224):
    """An image in [0, 1] as bytes, with square pixels that can be seen."""
    image = np.clip(np.asarray(image), 0, 1)
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    factor = max(1, side // max(image.shape[:2]))
    return (255 * image).astype("uint8").repeat(factor, axis=0).repeat(factor, axis=1)
