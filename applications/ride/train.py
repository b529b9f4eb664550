"""RIDE: does memory over two dimensions tell the pixels of photographs better than what is around them, and by how much?

    KERAS_BACKEND=jax python applications/ride/train.py

Photographs of BSDS500 in grey: 150 train, 20 validate, 30 test. The spatial LSTM in front of the mixture is compared with the mixture on
the same neighbourhood, with the mixture on a larger one, and with the best linear prediction; all take as many updates, and a rate is
chosen for each on validation patches. Small patches without their mean have a Gaussian of all their covariances beside them. The preset is
the model of photographs of the first seed.
"""

import keras
import numpy as np
from rich.progress import track
from scipy import stats

from zoo import datasets, evidence
from zoo.applications import RIDE
from zoo.evidence import Choice, Claim
from zoo.plots.figure import new_figure

GREY = np.array([0.299, 0.587, 0.114], "float32")
BATCH, STEPS, SMALL_STEPS, TRIAL, TUNING = 50, 1500, 600, 300, 60
RATES = (1.0, 0.5)
ARMS = {
    "RIDE": {},
    "MCGSM": {"units": 0},
    "MCGSM, neighbourhood of 9": {"units": 0, "neighborhood": 9},
    "linear": {"units": 0, "components": 1, "scales": 1, "features": 1},
}
DATA = "BSDS500 (Arbelaez et al. 2011, for research with citation), in grey levels."
NOTES = f"""The paper trains on patches that grow from 8 to 22 pixels over many epochs; here {STEPS} updates of {BATCH} patches of 16 x 16
pixels ({SMALL_STEPS} of 8 x 8), with a rate that falls to 0 as a cosine, and {TUNING} evaluations of L-BFGS for the mixture, for every
arm. Bits are those of a pixel with noise of a grey level, given its whole neighbourhood, so that borders do not count (neighbourhoods
differ in size: all arms are measured on the same pixels, those that have the largest one). With 400 updates the LSTM was no better than the
mixture (4.859 bits both, on other test patches). Textures were not measured."""


def photographs():
    """Grey photographs: to train, to validate, to test."""
    grey = [np.round(255 * (image @ GREY)) / np.float32(255) for image in datasets.bsds("train")]
    return grey[:150], grey[150:170], grey[170:]


def patches(images, n, size, rng):
    """Random squares `(n, size, size, 1)`."""
    found = np.empty((n, size, size, 1), "float32")
    for k, which in enumerate(rng.integers(len(images), size=n)):
        image = images[which]
        i, j = (rng.integers(side - size + 1) for side in image.shape)
        found[k, ..., 0] = image[i : i + size, j : j + size]
    return found


def trained(options, rate, x, seed, steps, tuning):
    """A model after its training."""
    keras.utils.set_random_seed(seed)
    model = RIDE(**options)
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(rate, steps), momentum=0.9, clipnorm=1.0))
    model.fit(x, batch_size=BATCH, epochs=1, verbose=0)
    model.finetune(x[:: max(1, len(x) // 1500)], steps=tuning, verbose=0)
    return model


def bits(model, x):
    """Bits of the pixels of patches that have a neighbourhood of 9."""
    x = x + (np.random.default_rng(0).random(x.shape, "float32") - np.float32(0.5)) / 255
    nats = model.density_map(x)
    margin = 4 - model.neighborhood // 2
    nats = nats[:, margin:, margin : nats.shape[2] - margin]
    return float((-nats.mean() + np.log(255)) / np.log(2))


def chosen_rates(kind, parts, steps, arms):
    """The rate of each arm that is best on validation patches, with a seed that is not reported."""
    rng, best = np.random.default_rng(1000), {}
    x, validation = patches(parts[0], BATCH * steps, 16, rng), patches(parts[1], 200, 32, rng)
    for name, options in track(arms.items(), f"rates of {kind}"):
        found = {rate: bits(trained({"boundary": "given", **options}, rate, x, 1000, steps, 20), validation) for rate in RATES}
        best[name] = min(found, key=found.get)
        print(f"{kind}, {name}: {found}", flush=True)
    return best


def measured(kind, parts, seeds, rates, steps, tuning, arms):
    """Bits of test pixels `{arm: [one a seed]}`, and the models of the first seed."""
    test, found, models = patches(parts[2], 300, 48, np.random.default_rng(8)), {name: [] for name in arms}, {}
    for seed in track(seeds, kind):
        x = patches(parts[0], BATCH * steps, 16, np.random.default_rng(seed))
        for name, options in arms.items():
            model = trained({"boundary": "given", **options}, rates[name], x, seed, steps, tuning)
            found[name].append(bits(model, test))
            print(f"{kind}, seed {seed}, {name}: {found[name][-1]:.4f} bits", flush=True)
            models.setdefault(name, model)
    return found, models


def small_patches(parts, seeds, rate, quick):
    """Log-densities, in nats, of 8 x 8 patches without their mean, all but the last pixel: RIDE's, that of its mean over eight
    orientations, the mixture's, a Gaussian's."""
    rng, count = np.random.default_rng(8), 2000 if quick else 50 * SMALL_STEPS
    test, found = without_mean(patches(parts[2], 2000, 8, rng), rng), {"RIDE": [], "ensemble": [], "MCGSM": [], "Gaussian": []}
    for seed in track(seeds, "8 x 8"):
        rng = np.random.default_rng(seed)
        x = without_mean(patches(parts[0], count, 8, rng), rng)
        for name, options in (("RIDE", {}), ("MCGSM", {"units": 0})):
            model = trained(
                {"grey_levels": None, "skip_last": True, **options}, rate[name], x, seed, count // BATCH, 5 if quick else TUNING
            )
            found[name].append(float(model.log_density(test).mean()))
            if name == "RIDE":
                # left out is another pixel of a turned patch; what is left has the same volume
                found["ensemble"].append(float(model.log_density(test, orientations=8).mean()))
        found["Gaussian"].append(gaussian(x.reshape(count, 64)[:, :63], test.reshape(-1, 64)[:, :63]))
        print(f"8 x 8, seed {seed}:", {name: round(values[-1], 2) for name, values in found.items()}, flush=True)
    return found


def without_mean(x, rng):
    """Patches with noise of a grey level, less their mean (the paper's protocol)."""
    x = x + (rng.random(x.shape, "float32") - np.float32(0.5)) / 255
    return x - x.mean((1, 2), keepdims=True)


def gaussian(x, test):
    """Mean log-density under the Gaussian with the mean and covariance of `x`."""
    return float(stats.multivariate_normal(x.mean(0), np.cov(x, rowvar=False)).logpdf(test).mean())


def claims(photos, small, seeds):
    """What the paper says, and what came out."""

    def of(text, paper, data, ours, theirs, table, matters=0.005, metric="bits of a pixel"):
        higher = metric == "nats of a patch"
        return Claim(text, paper, data, metric, higher, theirs, table[theirs], table[ours], seeds, matters=matters)

    where = "pixels of 30 held-out photographs"
    found = [
        of("The mixture beats the best linear prediction", "beats Gaussians, table 1", where, "MCGSM", "linear", photos, 0.05),
        of("A spatial LSTM improves on the mixture with its neighbourhood", "improves, table 1", where, "RIDE", "MCGSM", photos),
        of("It improves on a larger neighbourhood as well", "not reported", where, "RIDE", "MCGSM, neighbourhood of 9", photos),
    ]
    patch = "8 x 8 patches of held-out photographs without their mean"
    on_small = [
        ("On small patches RIDE is better than the mixture", "RIDE", "MCGSM", 0.3),
        ("On small patches RIDE is better than a Gaussian", "RIDE", "Gaussian", 3.0),
        ("The mean over eight orientations is better than one", "ensemble", "RIDE", 0.3),
    ]
    for text, ours, theirs, matters in on_small:
        found.append(of(text, "table 1, 8 x 8 patches of BSDS300", patch, ours, theirs, small, matters, "nats of a patch"))
    return found


def words(rates):
    """For the card."""
    return f"rate of SGD ({', '.join(f'{name}: {rate:g}' for name, rate in rates.items())})"


def summary(photos, small):
    """All mean figures."""
    bits_of = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in photos.items())
    nats_of = ", ".join(f"{name} {np.mean(values):.1f}" for name, values in small.items())
    return f"\n\nBits of a pixel: {bits_of}. Nats of 8 x 8 patches: {nats_of}."


def figure(model, photographs):
    """A photograph and what surprises the model in it; pieces of others, with a hole and filled."""
    drawn = new_figure(11, 5.4)
    axes = drawn.subplots(2, 4)
    shown = {"a held-out photograph": (photographs[0], "gray")}
    shown["nats of its pixels"] = (-model.density_map(photographs[0][None, ..., None])[0], "magma")
    missing = np.zeros((48, 48), bool)
    missing[18:30, 18:30] = True
    pieces = np.stack([image[60:108, 60:108] for image in photographs[1:4]])[..., None]
    filled = model.inpaint(pieces, missing, sweeps=5, seed=0, verbose=0)
    for i in range(3):
        shown[f"piece {i + 1}, with a hole"] = (np.where(missing, 0, pieces[i, ..., 0]), "gray")
        shown[f"piece {i + 1}, filled"] = (filled[i, ..., 0], "gray")
    for axis, (title, (image, colors)) in zip(axes.flat, shown.items()):
        axis.imshow(image, cmap=colors, **({"vmin": 0, "vmax": 1} if colors == "gray" else {}))
        axis.set_title(title, fontsize=8)
        axis.axis("off")
    return drawn


def main():
    """Train on photographs and small patches, compare, publish."""
    args = evidence.arguments(__doc__, "ride_bsds")
    steps, trial, tuning = (6, 6, 2) if args.quick else (STEPS, TRIAL, TUNING)
    parts = photographs()
    rates = dict.fromkeys(ARMS, RATES[1]) if args.quick else chosen_rates("photographs", parts, trial, ARMS)
    photos, models = measured("photographs", parts, args.seeds, rates, steps, tuning, ARMS)
    small = small_patches(parts, args.seeds, rates, args.quick)
    evidence.publish(
        models["RIDE"],
        args,
        claims(photos, small, args.seeds),
        DATA,
        NOTES + summary(photos, small),
        figure(models["RIDE"], parts[2]),
        choices=[Choice(f"200 patches of 20 validation photographs, {trial} updates", words(rates), dict.fromkeys(ARMS, len(RATES)))],
    )


if __name__ == "__main__":
    main()
