"""Neural style with a small network: do Gram matrices hold a texture, and does a painted image have style and content at once?

A network of VGG's shape learns to tell pictures apart by small crops of their left thirds; it becomes the preset. Textures are synthesised,
and photographs painted, after the right thirds. A judge tells how often they are recognised: a network of another kind, trained on
the middle thirds with another seed, blind to colour, brightness and contrast.
"""

import keras
import numpy as np
from keras import layers
from rich.progress import track
from scipy import optimize
from skimage import exposure, io, metrics, transform

from zoo import evidence, files, plots
from zoo.applications import NeuralStyle
from zoo.losses import style_loss

TEXTURES = ("brick", "grass", "gravel", "ihc", "page", "coins")
PHOTOGRAPHS = ("chelsea", "astronaut", "rocket", "coffee")
PICTURES = (*TEXTURES, *PHOTOGRAPHS, "hubble_deep_field", "retina", "moon", "text", "camera", "cell")
PAIRS = (("chelsea", "ihc"), ("astronaut", "gravel"), ("rocket", "grass"), ("coffee", "brick"))
CONFIG = {
    "blocks": ((24, 24), (48, 48), (64, 64), (96,)),
    "content_layers": ("conv3_1",),
    "style_layers": ("conv1_1", "conv2_1", "conv3_1", "conv4_1"),
    "alpha": 0.02,
    "mean": (110.0, 110.0, 110.0),
    "std": (60.0, 60.0, 60.0),
}
CROP, SIDE, PAINTED = 48, 96, 128
RATE, LEARNING_RATE = 0.02, 5e-4
GREY = np.array([0.299, 0.587, 0.114], "float32")
DATA = """Sixteen pictures that scikit-image ships, CC0, in the public domain or without known copyright restrictions (of the page and the
moon it states no licence): brick, grass, gravel, tissue under the microscope, a printed page, coins, four photographs, the Hubble deep
field, a retina, the moon, handwriting and two more. Each is cut in thirds: the loss network learns from the left ones, the judge from the
middle ones, and the styles of the claims are the right ones."""
NOTES = """The network has 200 thousand weights and has seen sixteen pictures; the paper's VGG has 20 million and ImageNet. Each search
has 150 evaluations of the loss, the paper's has some 500. Textures and reconstructions start from faint noise around the mean colour,
since white noise is so far from any picture that a small network finds no way back; paintings start from the content. Filters are scaled
to a mean activation of 1, style layers so that two textures differ by 1 in each. With `from_pretrained("vgg19_imagenet")` the same class
has the paper's network. Architecture, noise and `alpha` were chosen by looking at crops of the right
thirds as well, so that these are not untouched; Adam's rate was not searched. The trained filters invert badly above `conv2_1`, which
is the likely reason why the first three claims fail: an untrained network of the same shape reconstructs better."""


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


class Crops(keras.utils.PyDataset):
    """Random batches of 32 turned and mirrored crops of images; the label is the place of the image in the list.

    Args:
        images: list of `(height, width, 3)`.
        batches: number of batches an epoch.
        seed: of all draws.
        labels: of the images; their numbers if not given.
        prepare: a function `(crops, labels, rng)` that every batch passes through.
    """

    def __init__(self, images, batches, seed, labels=None, prepare=None):
        super().__init__()
        self.images, self.batches, self.rng, self.prepare = images, batches, np.random.default_rng(seed), prepare
        self.labels = np.arange(len(images)) if labels is None else np.asarray(labels)

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        chosen = self.rng.integers(len(self.images), size=32)
        crops, labels = np.stack([self.crop(self.images[n]) for n in chosen]), self.labels[chosen]
        return self.prepare(crops, labels, self.rng) if self.prepare else (crops, labels)

    def crop(self, image):
        """One crop."""
        row, column = (self.rng.integers(n - CROP + 1) for n in image.shape[:2])
        crop = image[row : row + CROP, column : column + CROP]
        return np.rot90(crop[::-1] if self.rng.integers(2) else crop, self.rng.integers(4))


# --- the loss network ---


def spoiled(crops, labels, rng):
    """Contrast and colours vary, some crops are grey; a quarter gets noise and a label of its own, so that fine patterns matter."""
    grey = rng.random(len(crops)) < 0.3
    crops[grey] = (crops[grey] @ GREY)[..., None]
    mean = crops.mean((1, 2), keepdims=True)
    crops = rng.uniform(0.6, 1.4, (len(crops), 1, 1, 1)) * (crops - mean) + rng.uniform(0.7, 1.3, (len(crops), 1, 1, 3)) * mean
    noisy = rng.random(len(crops)) < 0.25
    crops[noisy] += rng.uniform(0.02, 0.2, (noisy.sum(), 1, 1, 1)) * rng.normal(size=crops[noisy].shape)
    crops = np.clip(crops, 0, 1).astype("float32")
    return crops, {"picture": np.where(noisy, len(PICTURES), labels), "from_3": crops, "from_4": crops}


def loss_network(steps):
    """The preset. Its convolutions learn to tell the left thirds of all pictures apart, and to keep what a linear map needs to draw them.

    Then every filter is scaled to a mean activation of 1, and every style layer is weighted so that two textures differ by 1 in it.
    """
    keras.utils.set_random_seed(0)
    model = NeuralStyle(**CONFIG)
    images = [third(picture(name, 320), 0) for name in PICTURES]
    sample = Crops(images, 8, 1)
    plain = np.concatenate([sample[i][0] for i in range(8)])
    model.normalize(plain)
    model.network.trainable = True
    found, targets = model.network.output, {"picture": "sparse_categorical_crossentropy", "from_3": "mse", "from_4": "mse"}
    top = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(found["conv4_1"]))
    heads = {
        "picture": layers.Dense(len(images) + 1, activation="softmax", name="picture")(top),
        "from_3": layers.Conv2DTranspose(3, 8, 4, padding="same", name="from_3")(found["conv3_1"]),
        "from_4": layers.Conv2DTranspose(3, 16, 8, padding="same", name="from_4")(found["conv4_1"]),
    }
    learner = keras.Model(model.network.input, heads)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    weights = {"picture": 1.0, "from_3": 30.0, "from_4": 30.0}
    learner.compile(keras.optimizers.Adam(rate), targets, loss_weights=weights, metrics={"picture": "accuracy"})
    learner.fit(Crops(images, min(steps, 100), 0, prepare=spoiled), epochs=max(steps // 100, 1), verbose=2)
    model.network.trainable = False
    model.normalize(plain)
    grams = [model(square(image, SIDE)[None]) for image in images[: len(TEXTURES)]]
    weights = []
    for name in model.style_layers:
        each = [float(style_loss(a[f"gram_{name}"], b[f"gram_{name}"])[0]) for a in grams for b in grams if a is not b]
        weights.append(round(1 / len(model.style_layers) / np.mean(each), 6))
    final = NeuralStyle(**CONFIG, style_weights=weights)
    final.network.set_weights(model.network.get_weights())
    return final


# --- the judge ---


def colorless(crops, labels=None, rng=None):
    """Grey, each crop of mean 0 and standard deviation 1."""
    grey = crops @ GREY
    mean, deviation = grey.mean((1, 2), keepdims=True), grey.std((1, 2), keepdims=True)
    return ((grey - mean) / (deviation + 0.02))[..., None], labels


def judge(seed, steps):
    """Tells the textures from one another and from photographs by grey crops of the middle thirds."""
    keras.utils.set_random_seed(100 + seed)
    stack = [keras.Input((CROP, CROP, 1))]
    for filters, kernel in ((24, 7), (48, 5), (64, 3)):
        stack += [layers.Conv2D(filters, kernel, strides=2), layers.BatchNormalization(), layers.LeakyReLU()]
    stack += [layers.GlobalAveragePooling2D(), layers.Dropout(0.3), layers.Dense(len(TEXTURES) + 1, activation="softmax")]
    model = keras.Sequential(stack)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)), "sparse_categorical_crossentropy")
    images = [third(picture(name, 320), 1) for name in TEXTURES]
    photographs = [third(picture(name, side), 1) for name in PHOTOGRAPHS for side in (192, 320)]
    # photographs get as many crops as two textures
    images = [*images * 4, *photographs]
    labels = [*list(range(len(TEXTURES))) * 4, *[len(TEXTURES)] * len(photographs)]
    model.fit(Crops(images, steps, seed, labels, prepare=colorless), verbose=0)
    return model


def recognised(model, image, label):
    """The share of 49 crops of an image that the judge takes for the texture `label`."""
    places = np.linspace(0, image.shape[0] - CROP, 7).astype(int)
    crops = np.stack([image[r : r + CROP, c : c + CROP] for r in places for c in places])
    return np.mean(model.predict(colorless(crops)[0], verbose=0).argmax(-1) == label)


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


def of_textures(model, critic, seed, steps):
    """Shares of crops that are recognised: of the pictures themselves, synthesised ones, the lowest layer's, and the pixels' statistics."""
    shares = {"real": [], "synthesised": [], "lowest layer": [], "pixels": []}
    for label, name in enumerate(TEXTURES):
        style = window(third(picture(name, 320), 2), seed)
        images = {
            "real": style,
            "synthesised": model.texture(style, init=faint(style, seed), steps=steps, verbose=0),
            "lowest layer": model.texture(style, layers=model.style_layers[:1], init=faint(style, seed), steps=steps, verbose=0),
            "pixels": same_pixels(style, style.shape[:2], np.random.default_rng(seed)),
        }
        for key, image in images.items():
            shares[key].append(recognised(critic, image, label))
        print(f"seed {seed}, {name}:", {key: round(float(values[-1]), 2) for key, values in shares.items()}, flush=True)
    return {key: np.mean(values) for key, values in shares.items()}


def of_paintings(model, adam, critic, seed, steps):
    """Shares of crops that are recognised as the style, in painted and in blended images; losses of L-BFGS and Adam, in % of the start."""
    shares = {"painted": [], "blended": [], "similarity": [], "L-BFGS": [], "Adam": []}
    for place, style in PAIRS:
        content, texture = square(picture(place, 192), PAINTED), third(picture(style, 320), 2)
        label = TEXTURES.index(style)
        for key, painter in (("L-BFGS", model), ("Adam", adam)):
            history = painter.fit(content, window(texture, seed), steps=steps, init="content", log_every=1, verbose=0).history["loss"]
            shares[key].append(100 * history[-1] / history[0])
        wanted = similarity(model.image, content)
        flat = np.pad(window(texture, seed), [(0, PAINTED - SIDE), (0, PAINTED - SIDE), (0, 0)], "symmetric")
        shares["painted"].append(recognised(critic, model.image, label))
        shares["blended"].append(recognised(critic, blended(content, flat, wanted), label))
        shares["similarity"].append(wanted)
        print(f"seed {seed}, {place} as {style}:", {key: round(float(v[-1]), 3) for key, v in shares.items()}, flush=True)
    return {key: np.mean(values) for key, values in shares.items()}


def claims(textures, paintings, judged, seeds):
    """The paper's claims, and what came out."""
    texture = {
        "dataset": f"synthesised textures after held-out thirds of {len(TEXTURES)} pictures (the pictures themselves: {judged})",
        "metric": "% of crops recognised by the judge",
        "higher_is_better": True,
        "values": [100 * t["synthesised"] for t in textures],
        "seeds": seeds,
    }
    pairs = f"{len(PAIRS)} pairs of photograph and held-out texture"
    return [
        evidence.Claim(
            "Gram matrices of the network's layers hold a texture beyond its pixels' statistics",
            paper_value="shown in figure 1, not measured",
            baseline="noise with the same spectrum and histograms",
            baseline_values=[100 * t["pixels"] for t in textures],
            **texture,
        ),
        evidence.Claim(
            "Matching higher layers too gives structures of a larger scale than the lowest layer alone",
            paper_value="shown in figure 1, not measured",
            baseline="conv1_1 alone",
            baseline_values=[100 * t["lowest layer"] for t in textures],
            **texture,
        ),
        evidence.Claim(
            "Content and style can be separated and recombined: a painted image shows the style while it keeps the content",
            paper_value="shown in figures 2 and 3, not measured",
            dataset=pairs,
            metric="% of crops that the judge takes for the style",
            higher_is_better=True,
            baseline="blended pixels of equal structural similarity to the content",
            baseline_values=[100 * p["blended"] for p in paintings],
            values=[100 * p["painted"] for p in paintings],
            seeds=seeds,
        ),
        evidence.Claim(
            "L-BFGS, the authors' choice, finds images of lower loss than Adam with as many evaluations",
            paper_value="not reported",
            dataset=pairs,
            metric="loss in % of its value at the start",
            higher_is_better=False,
            baseline=f"Adam, learning rate {RATE}",
            baseline_values=[p["Adam"] for p in paintings],
            values=[p["L-BFGS"] for p in paintings],
            seeds=seeds,
        ),
    ]


def gallery(model, steps):
    """Paintings, and what the layers keep of style and content (figure 1 of the paper)."""
    rows = []
    for place, styles in (("chelsea", ("ihc", "gravel")), ("astronaut", ("brick", "page"))):
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
    """Train the loss network, measure the claims over the seeds, draw, write the preset."""
    args = evidence.arguments(__doc__, "neural_style_textures")
    learning, judging, steps = (20, 20, 5) if args.quick else (1000, 600, 150)
    model = loss_network(learning)
    adam = NeuralStyle.from_config(model.get_config())
    adam.network.set_weights(model.network.get_weights())
    adam.compile(optimizer=keras.optimizers.Adam(RATE))
    textures, paintings = [], []
    for seed in track(args.seeds, description="claims"):
        critic = judge(seed, judging)
        textures.append(of_textures(model, critic, seed, steps))
        paintings.append(of_paintings(model, adam, critic, seed, steps))
        print(f"seed {seed}:", {key: round(float(v), 3) for key, v in {**textures[-1], **paintings[-1]}.items()}, flush=True)
    judged = evidence.summary([100 * t["real"] for t in textures])
    kept = evidence.summary([p["similarity"] for p in paintings])
    notes = f"{NOTES} The painted images' structural similarity to the content is {kept}; blends were made to have the same one."
    evidence.publish(model, args, claims(textures, paintings, judged, args.seeds), DATA, notes, gallery(model, 5 if args.quick else 300))


if __name__ == "__main__":
    main()
