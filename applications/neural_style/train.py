"""Neural style with random filters: do Gram matrices hold a texture, and does a painted image have style and content at once?

The preset is a network of VGG's shape with random, normalised weights: no weights of VGG travel with the library, a small network that
learned from a few pictures held textures worse than its random start, and random filters are known to do well (Ustyuzhaninov et al. 2016,
arXiv 1606.00021). Textures are synthesised, and photographs painted, after windows of the right thirds of pictures; the distance to the
whole third is measured by texture descriptors that the method does not know: local binary patterns with local variance (Ojala,
Pietikainen, Maenpaa 2002), of grey values at three scales.
"""

import keras
import numpy as np
from rich.progress import track
from scipy import optimize
from skimage import exposure, feature, io, metrics, transform

from zoo import evidence, files, plots
from zoo.applications import NeuralStyle
from zoo.losses import style_loss

TEXTURES = ("brick", "grass", "gravel", "ihc", "coins")
PHOTOGRAPHS = ("chelsea", "astronaut", "rocket", "coffee")
PICTURES = (*TEXTURES, *PHOTOGRAPHS, "hubble_deep_field", "retina", "camera", "cell")
PAIRS = (("chelsea", "ihc"), ("astronaut", "gravel"), ("rocket", "grass"), ("coffee", "brick"))
CONFIG = {
    "blocks": ((32, 32), (64, 64), (64, 64), (64,)),
    "content_layers": ("conv4_1",),
    "style_layers": ("conv1_1", "conv2_1", "conv3_1", "conv4_1"),
    "alpha": 0.02,
    "mean": (110.0, 110.0, 110.0),
    "std": (60.0, 60.0, 60.0),
}
CROP, SIDE, PAINTED = 48, 96, 128
RATE, STEPS = 0.08, 150
GREY = np.array([0.299, 0.587, 0.114], "float32")
RADII, BINS = (1, 2, 4), 8
DATA = """Thirteen pictures that scikit-image ships, CC0, in the public domain or without known copyright restrictions: brick, grass,
gravel, tissue under the microscope, coins, four photographs, the Hubble deep field, a retina and two more. Each is cut in thirds: the
filters are scaled on the left ones, settings were chosen on the middle ones, and the styles of the claims are the right ones."""
NOTES = f"""The network has 170 thousand random weights; the paper's VGG has 20 million, trained on ImageNet. With
`from_pretrained("vgg19_imagenet")` the same class has the paper's network. A network of this shape that was trained to tell the pictures
apart held textures worse, so it is no longer shipped. Each search has {STEPS} evaluations of the loss, the paper's has some 500. Textures
start from faint noise around the mean colour, paintings from the content. Filters are scaled to a mean activation of 1, style layers so
that two textures differ by 1 in each. The distance is the chi-square distance of joint histograms of local binary patterns and local
variance, at radii of 1, 2 and 4 pixels; another window of the same third has {{real}}. Widths, layers, `alpha`, Adam's rate and the
distance itself were chosen on the middle thirds; an earlier judge, a network, took noise of the right spectrum for texture. A blend of
pixels contains the style's pixels themselves, which is why local patterns find it so near; it has the structure of both pictures and the
colours of neither. The painted images' structural similarity to the content is {{kept}}; blends were made to have the same one."""


def picture(name, side):
    """A picture of scikit-image as `(height, width, 3)` in [0, 1], its longer side `side` pixels."""
    ending = ".jpg" if name in ("hubble_deep_field", "retina", "rocket") else ".png"
    image = io.imread(files.packaged("scikit-image", f"skimage/data/{name}{ending}")).astype("float32") / 255
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
    image = transform.rescale(image, side / max(image.shape[:2]), channel_axis=-1, anti_aliasing=True)
    return np.clip(image, 0, 1).astype("float32")


def third(image, n):
    """The left, middle or right third (0, 1, 2) of an image."""
    width = image.shape[1] // 3
    return image[:, n * width : (n + 1) * width]


def square(image, side):
    """The middle of an image."""
    top, left = ((n - side) // 2 for n in image.shape[:2])
    return image[top : top + side, left : left + side]


# --- the loss network ---


def loss_network():
    """The preset: random filters, each scaled to a mean activation of 1, and style layers weighted so that two textures differ by 1."""
    keras.utils.set_random_seed(0)
    model = NeuralStyle(**CONFIG)
    images = [third(picture(name, 320), 0) for name in PICTURES]
    model.normalize(np.concatenate([crops(image, 20, np.random.default_rng(0)) for image in images]))
    grams = [model(square(image, SIDE)[None]) for image in images[: len(TEXTURES)]]
    weights = []
    for name in model.style_layers:
        each = [float(style_loss(a[f"gram_{name}"], b[f"gram_{name}"])[0]) for a in grams for b in grams if a is not b]
        weights.append(round(1 / len(model.style_layers) / np.mean(each), 6))
    final = NeuralStyle(**CONFIG, style_weights=weights)
    final.network.set_weights(model.network.get_weights())
    return final


def crops(image, n, rng):
    """`n` random squares of `CROP` pixels."""
    rows, columns = (rng.integers(size - CROP + 1, size=n) for size in image.shape[:2])
    return np.stack([image[r : r + CROP, c : c + CROP] for r, c in zip(rows, columns)])


# --- the distance ---


class Texture:
    """What local binary patterns and local variance know of an image, and how far other images are from it.

    Args:
        image: `(height, width, 3)` in [0, 1]; its variances are cut into bins of equal counts.
    """

    def __init__(self, image):
        found = [_patterns(image, radius) for radius in RADII]
        self.bounds = [np.quantile(variances, np.linspace(0, 1, BINS + 1)[1:-1]) for _, variances in found]
        self.histograms = self._histograms(found)

    def distance(self, image):
        """Chi-square distance between 0 and 1, the mean over the scales."""
        found = self._histograms([_patterns(image, radius) for radius in RADII])
        return float(np.mean([0.5 * np.sum((a - b) ** 2 / np.maximum(a + b, 1e-12)) for a, b in zip(self.histograms, found)]))

    def _histograms(self, found):
        joint = [codes * BINS + np.searchsorted(bounds, variances) for (codes, variances), bounds in zip(found, self.bounds)]
        return [np.bincount(each, minlength=10 * BINS) / each.size for each in joint]


def _patterns(image, radius):
    """Rotation-invariant uniform pattern (0 .. 9) and variance of the eight grey values on a circle around each inner pixel."""
    grey = np.round(image @ GREY * 255).astype("uint8")
    codes, variances = (
        feature.local_binary_pattern(grey, 8, radius, method)[radius:-radius, radius:-radius] for method in ("uniform", "var")
    )
    return codes.astype(int).ravel(), np.nan_to_num(variances).ravel()


# --- what the method is compared with ---


def same_pixels(style, shape, rng):
    """A texture with the spectrum and the histograms of `style`: random phases, the same in all channels, then histogram matching."""
    phases = np.angle(np.fft.fft2(rng.normal(size=shape)))
    mean = style.mean((0, 1))
    channels = [np.fft.ifft2(np.fft.fft2(style[..., c] - mean[c]) * np.exp(1j * phases)).real + mean[c] for c in range(3)]
    return exposure.match_histograms(np.stack(channels, axis=-1), style, channel_axis=-1).astype("float32")


def similarity(image, content):
    """Structural similarity of the lightness."""
    return metrics.structural_similarity(image @ GREY, content @ GREY, data_range=1.0)


def blended(content, style, wanted):
    """The mixture of the pixels of content and style that is as similar to the content as is `wanted`."""

    def mix(share):
        return (1 - share) * content + share * style

    def excess(share):
        return similarity(mix(share), content) - wanted

    return mix(1.0 if excess(1.0) >= 0 else optimize.brentq(excess, 0.0, 1.0, xtol=1e-3))


# --- the claims ---


def window(image, seed):
    """A square of an image, another one for each seed."""
    rng = np.random.default_rng(seed)
    row, column = (rng.integers(n - SIDE + 1) for n in image.shape[:2])
    return image[row : row + SIDE, column : column + SIDE]


def faint(image, seed):
    """Noise of small amplitude around the mean colour of an image, of its size."""
    noise = 0.05 * np.random.default_rng(seed).normal(size=image.shape)
    return np.clip(image.mean((0, 1)) + noise, 0, 1).astype("float32")


def of_textures(model, seed, steps):
    """Mean distances to the thirds: of a window of it, synthesised ones, the lowest layer's, the pixels' statistics."""
    distances = {"real": [], "synthesised": [], "lowest layer": [], "pixels": []}
    for name in TEXTURES:
        whole = third(picture(name, 320), 2)
        style, judge = window(whole, seed), Texture(whole)
        start = faint(style, seed)
        images = {
            "real": window(whole, seed + 100),
            "synthesised": model.texture(style, init=start, steps=steps, verbose=0),
            "lowest layer": model.texture(style, layers=model.style_layers[:1], init=start, steps=steps, verbose=0),
            "pixels": same_pixels(style, style.shape[:2], np.random.default_rng(seed)),
        }
        for key, image in images.items():
            distances[key].append(judge.distance(image))
        print(f"seed {seed}, {name}:", {key: round(values[-1], 3) for key, values in distances.items()}, flush=True)
    return {key: np.mean(values) for key, values in distances.items()}


def of_paintings(model, adam, seed, steps):
    """Distances to the style and similarities to the content, the mean over the pairs; losses of L-BFGS and Adam, in % of the start."""
    found = {}

    def note(**values):
        for key, value in values.items():
            found.setdefault(key.replace("_", " "), []).append(value)

    for place, name in PAIRS:
        content, whole = square(picture(place, 192), PAINTED), third(picture(name, 320), 2)
        style, judge = window(whole, seed), Texture(whole)
        for key, painter in (("L_BFGS", model), ("Adam", adam)):
            history = painter.fit(content, style, steps=steps, init="content", log_every=1, verbose=0).history["loss"]
            note(**{key: 100 * history[-1] / history[0]})
        flat = np.pad(style, [(0, PAINTED - SIDE), (0, PAINTED - SIDE), (0, 0)], "symmetric")
        wanted = similarity(model.image, content)
        note(kept=wanted, style_alone=similarity(same_pixels(flat, flat.shape[:2], np.random.default_rng(seed)), content))
        blend = blended(content, flat, wanted)
        note(painted=judge.distance(model.image), content=judge.distance(content), blended=judge.distance(blend))
        print(f"seed {seed}, {place} as {name}:", {key: round(float(values[-1]), 3) for key, values in found.items()}, flush=True)
    return {key: np.mean(values) for key, values in found.items()}


def claims(textures, paintings, seeds):
    """The paper's claims, and what came out."""

    def claim(text, records, ours, baseline, theirs, higher=False, **about):
        values, others = [r[ours] for r in records], [r[theirs] for r in records]
        return evidence.Claim(text, higher_is_better=higher, baseline=baseline, baseline_values=others, values=values, seeds=seeds, **about)

    shown = {"paper_value": "shown in figures 1 to 3, not measured"}
    texture = {
        **shown,
        "dataset": f"synthesised textures after windows of held-out thirds of {len(TEXTURES)} pictures",
        "metric": "distance to the whole third",
    }
    pairs = f"{len(PAIRS)} pairs of photograph and held-out texture"
    style = {**shown, "dataset": pairs, "metric": "distance to the style"}
    return [
        claim(
            "Gram matrices of the network's layers hold a texture beyond its pixels' statistics",
            *(textures, "synthesised", "noise with the same spectrum and histograms", "pixels"),
            **texture,
        ),
        claim(
            "Matching higher layers too gives structures of a larger scale than the lowest layer alone",
            *(textures, "synthesised", "conv1_1 alone", "lowest layer"),
            **texture,
        ),
        claim("A painted image has the style", paintings, "painted", "the photograph", "content", **style),
        claim(
            "A painted image keeps the content",
            *(paintings, "kept", "noise with the style's spectrum and histograms", "style alone", True),
            **{**style, "metric": "structural similarity to the photograph"},
        ),
        claim(
            "A painted image has more of the style than blended pixels that keep as much of the content",
            *(paintings, "painted", "blended pixels of equal structural similarity to the photograph", "blended"),
            **{**style, "paper_value": "not compared"},
        ),
        claim(
            "L-BFGS, the authors' choice, finds images of lower loss than Adam with as many evaluations",
            *(paintings, "L BFGS", f"Adam, learning rate {RATE}", "Adam"),
            **{"paper_value": "not reported", "dataset": pairs, "metric": "loss in % of its value at the start"},
        ),
    ]


def gallery(model, steps):
    """Paintings, and what the layers keep of style and content (figure 1 of the paper)."""
    rows = []
    for place, styles in (("chelsea", ("ihc", "gravel")), ("astronaut", ("brick", "grass"))):
        content, row = square(picture(place, 192), PAINTED), {}
        row["content"] = content
        for name in styles:
            texture = third(picture(name, 320), 2)
            row[f"style: {name}"] = window(texture, 0)
            row[f"painted as {name}"] = model.stylize(content, texture, init="content", steps=steps, verbose=0)
        rows.append(row)
    style, content = window(third(picture("gravel", 320), 2), 0), rows[0]["content"]
    textures, contents = {"style": style}, {"content": content}
    for n, name in enumerate(model.style_layers, 1):
        title = f"style of {name}" if n == 1 else f"... to {name}"
        textures[title] = model.texture(style, layers=model.style_layers[:n], init=faint(style, 0), steps=steps, verbose=0)
        contents[f"content of {name}"] = model.reconstruct(content, layers=(name,), init=faint(content, 0), steps=steps, verbose=0)
    return plots.side_by_side([*rows, textures, contents])


def main():
    """Make the loss network, measure the claims over the seeds, draw, write the preset."""
    args = evidence.arguments(__doc__, "neural_style_random")
    steps = 5 if args.quick else STEPS
    model = loss_network()
    adam = NeuralStyle.from_config(model.get_config())
    adam.network.set_weights(model.network.get_weights())
    adam.compile(optimizer=keras.optimizers.Adam(RATE))
    textures, paintings = [], []
    for seed in track(args.seeds, description="claims"):
        textures.append(of_textures(model, seed, steps))
        paintings.append(of_paintings(model, adam, seed, steps))
        print(f"seed {seed}:", {key: round(float(v), 3) for key, v in {**textures[-1], **paintings[-1]}.items()}, flush=True)
    notes = NOTES.format(
        real=evidence.summary([t["real"] for t in textures]),
        kept=evidence.summary([p["kept"] for p in paintings]),
    )
    evidence.publish(model, args, claims(textures, paintings, args.seeds), DATA, notes, gallery(model, steps))


if __name__ == "__main__":
    main()
