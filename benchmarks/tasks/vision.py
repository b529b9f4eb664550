"""Images: classification, segmentation, detection, synthesis."""

import keras
import numpy as np
from keras import ops
from sklearn.linear_model import RidgeClassifier

from tasks import SEED, Task, majority
from zoo import applications, datasets, losses, metrics

CLASSES, VOID = len(datasets.CAMVID_CLASSES), datasets.CAMVID_VOID


# --- data ---


def mnist(test=2000):
    """The whole of MNIST and its first held-out images."""
    train, (x, y) = datasets.mnist()
    return train, (x[:test], y[:test])


def cifar10(train=8000, test=1000):
    """Random images of CIFAR-10, training and held out."""
    rng = np.random.default_rng(SEED)
    chosen = ((part, rng.permutation(len(part[1]))[:size]) for part, size in zip(datasets.cifar10(), (train, test)))
    return [(x[places], y[places]) for (x, y), places in chosen]


def _standardised(train, test):
    """Images with the mean and the deviation of each channel of the training images removed."""
    mean, deviation = train.mean((0, 1, 2)), train.std((0, 1, 2))
    return (train - mean) / deviation, (test - mean) / deviation


def camvid(test=12):
    """CamVid in 180 x 240 pixels: training frames and labels, some test frames spread over the sequence."""
    train, _, (x, y) = datasets.camvid()
    chosen = np.linspace(0, len(x) - 1, test).astype(int)
    return train, (x[chosen], y[chosen])


# --- scores ---


def _accuracy(model, x, y, trivial, batch_size=64):
    def score():
        found = model.predict(x, batch_size=batch_size, verbose=0)
        found = found if isinstance(found, np.ndarray) else found["probabilities"]
        return "accuracy", float(np.mean(found.argmax(-1) == y)), trivial, True

    return score


def _mean_iou(model, train_labels, x, y, void=None, batch_size=2):
    """Mean intersection over union; the trivial map is the most frequent class everywhere."""
    kept = np.ones_like(y, bool) if void is None else y != void
    counts = np.bincount(train_labels.ravel())
    classes = len(counts) if void is None else void
    common = np.full_like(y, counts[:classes].argmax())

    def iou(found):
        return float(np.nanmean(metrics.iou(y[kept], found[kept], classes)))

    return lambda: ("mean IoU", iou(model.predict(x, batch_size=batch_size, verbose=0).argmax(-1)), iou(common), True)


# --- tasks: classifiers ---


def _classification(cls, data, fit, standardised=False, **arguments):
    (x, y), (x_test, y_test) = data
    if standardised:
        x, x_test = _standardised(x, x_test)
    model = cls(**arguments)
    return Task(model, {"x": x, "y": y, **fit}, _accuracy(model, x_test, y_test, majority(y, y_test)))


def task_early_inference():
    """Digits, learned without back-propagation."""
    (x, y), (x_test, y_test) = mnist()
    model = applications.EarlyInference()
    push = {"x": x_test[:64], "y": y_test[:64]}
    verbs = {"classify": lambda: model.classify(x_test[:64]), "early_inference": lambda: model.early_inference(**push)}
    return Task(model, {"x": x, "y": y}, _accuracy(model, x_test, y_test, majority(y, y_test)), verbs)


def task_elu_net():
    """Digits, the network of eight layers."""
    return _classification(applications.ELUNet, mnist(), {"batch_size": 64, "epochs": 4})


def task_elu_net_cifar11():
    """CIFAR-10, the network of eleven convolutions."""
    return _classification(applications.ELUNet, cifar10(), {"batch_size": 100, "epochs": 4}, True, architecture="cifar11")


def task_elu_net_autoencoder():
    """Digits through thirty numbers; the trivial reconstruction is the mean image."""
    (x, _), (x_test, _) = mnist()
    model = applications.ELUNet("autoencoder")
    trivial = float(np.sum((x_test - x.mean(0)) ** 2, axis=(1, 2, 3)).mean())

    def score():
        return "squared error", float(np.sum((model.predict(x_test, verbose=0) - x_test) ** 2, axis=(1, 2, 3)).mean()), trivial, False

    return Task(model, {"x": x, "batch_size": 64, "epochs": 4}, score, {"encode": lambda: model.encode(x_test[:64])})


def task_gradient_noise_net():
    """Digits."""
    return _classification(applications.GradientNoiseNet, mnist(), {"batch_size": 64, "epochs": 25})


def task_lsuv_net():
    """CIFAR-10, standardised as the method wants."""
    return _classification(applications.LSUVNet, cifar10(), {"batch_size": 128, "epochs": 4}, True)


def task_grad_net():
    """Digits."""
    return _classification(applications.GradNet, mnist(), {"batch_size": 64, "epochs": 4})


def task_re_net():
    """Digits."""
    return _classification(applications.ReNet, mnist(), {"batch_size": 32, "epochs": 1})


def task_max_pooling_dropout_net():
    """Digits."""
    return _classification(applications.MaxPoolingDropoutNet, mnist(), {"batch_size": 100, "epochs": 4})


def task_deep_lda():
    """Digits, in batches of a thousand as in the paper."""
    task = _classification(applications.DeepLDA, mnist(), {"batch_size": 1000, "epochs": 4})
    # the classifier is fitted when training ends; a run that the clock cuts short fits it here
    score, model, x, y = task.score, task.model, task.fit["x"], task.fit["y"]
    task.score = lambda: (model.fit_lda(x[:5000], y[:5000]), score())[1]
    task.verbs["classify"] = lambda: model.classify(x[:64])
    return task


def task_dynamic_capacity_net():
    """A digit among pieces of others, 100 x 100 pixels."""
    (x, y), (x_test, y_test) = mnist()
    (x, y, _), (x_test, y_test, _) = datasets.cluttered_digits(x, y, 12000), datasets.cluttered_digits(x_test, y_test, 1000, seed=1)
    task = _classification(applications.DynamicCapacityNet, ((x, y), (x_test, y_test)), {"batch_size": 64, "epochs": 3})
    task.verbs["attend"] = lambda: task.model.attend(x_test[:16])
    return task


def perceptron(units=(1200, 1200), normalised=True):
    """The network of the semi-supervised MNIST experiment of VAT's authors; gives logits."""
    parts = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
    for width in (*units, 10):
        parts.append(keras.layers.Dense(width))
        parts += [keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-6)] if normalised else []
        parts += [keras.layers.ReLU()] if len(parts) < 2 + (3 if normalised else 2) * len(units) else []
    return keras.Sequential([*parts, keras.layers.Activation("linear", dtype="float32")])


def task_vat():
    """Digits, a hundred of them with a label; the trivial answer is that of the same network from the labels alone."""
    (x, y), (x_test, y_test) = mnist()
    rng = np.random.default_rng(SEED)
    few = np.concatenate([rng.permutation(np.flatnonzero(y == c))[:10] for c in range(10)])
    alone = perceptron()
    alone.compile(keras.optimizers.Adam(2e-3), keras.losses.SparseCategoricalCrossentropy(True))
    alone.fit(x[few], y[few], batch_size=100, epochs=100, verbose=0)
    trivial = _accuracy(alone, x_test, y_test, None)()[1]
    model = applications.VAT(perceptron(), from_logits=True)
    verbs = {
        "virtual_adversarial_perturbation": lambda: model.virtual_adversarial_perturbation(x_test[:16]),
        "local_distributional_smoothness": lambda: model.local_distributional_smoothness(x_test[:16]),
    }
    labels = np.full_like(y, -1)
    labels[few] = y[few]
    return Task(model, {"x": x, "y": labels, "epochs": 12}, _accuracy(model, x_test, y_test, trivial), verbs)


def task_distillation():
    """Digits: a student of 800 units learns from a teacher that has seen all of them; the trivial answer is one class."""
    (x, y), (x_test, y_test) = mnist()
    teacher = perceptron(normalised=False)
    teacher.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    teacher.fit(x, y, batch_size=256, epochs=1, verbose=0)
    model = applications.Distillation(perceptron((800, 800), normalised=False), teacher, from_logits=True, teacher_from_logits=True)
    return Task(model, {"x": x, "y": y, "batch_size": 64, "epochs": 2}, _accuracy(model, x_test, y_test, majority(y, y_test)))


# --- tasks: segmentation, detection ---


def _street(cls, batch_size, **arguments):
    (x, y), (x_test, y_test) = camvid()
    model = cls(num_classes=CLASSES, ignore_class=VOID, **arguments)
    score = _mean_iou(model, y[y != VOID], x_test, y_test, VOID)
    return Task(model, {"x": x, "y": y, "batch_size": batch_size, "epochs": 4}, score)


def task_crf_as_rnn():
    """Street scenes, a frame a step."""
    task = _street(applications.CRFasRNN, 1)
    task.verbs["segment"] = lambda: task.model.segment(task.fit["x"][0])
    return task


def task_bayesian_seg_net():
    """Street scenes, with the weights of the classes that the paper takes."""
    (_, y), _ = camvid()
    task = _street(applications.BayesianSegNet, 4, class_weights=losses.median_frequency_weights(y, CLASSES, VOID))
    task.verbs["predict_with_uncertainty"] = lambda: task.model.predict_with_uncertainty(task.fit["x"][:1], samples=5)
    return task


def task_dilated_context_net():
    """Street scenes."""
    task = _street(applications.DilatedContextNet, 1)
    task.verbs["segment"] = lambda: task.model.segment(task.fit["x"][0])
    return task


def task_unet():
    """Membranes in electron micrographs, a tile a step."""
    (x, y), (x_test, y_test) = datasets.isbi_em()
    model = applications.UNet()
    side = model.valid_size(256, 256)[0]
    tiles = [(n, r, c) for n in range(len(x)) for r in (0, 512 - side) for c in (0, 512 - side)]
    order = np.random.default_rng(SEED).permutation(len(tiles))
    images, masks = (np.stack([a[n, r : r + side, c : c + side] for n, r, c in (tiles[i] for i in order)]) for a in (x, y))
    truth = y_test[:4, :side, :side]
    height, width = model.output_size(side, side)
    top, left = (side - height) // 2, (side - width) // 2
    inner = truth[:, top : top + height, left : left + width]
    score = _mean_iou(model, masks, x_test[:4, :side, :side], inner)
    return Task(
        model,
        {"x": images, "y": masks, "batch_size": 1, "epochs": 4},
        score,
        {"segment": lambda: model.segment(x_test[0, :256, :256])},
    )


class _Draws(keras.utils.PyDataset):
    """Batches that a function of a random generator draws."""

    def __init__(self, draw, steps):
        super().__init__()
        self.draw, self.steps, self.rng = draw, steps, np.random.default_rng(SEED)

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return self.draw(self.rng)


def _balanced(found, truth):
    return float((np.mean(found[truth == 1] > 0) + np.mean(found[truth == 0] <= 0)) / 2)


def task_deep_mask():
    """Is there a nucleus in the middle of a patch: accuracy on as many patches with one as without."""
    image, instances = datasets.nuclei()
    image = np.repeat(np.sqrt(image)[..., None], 3, axis=-1)
    model = applications.DeepMask()
    train, test = (datasets.MaskPatches(image[None, :, part], instances[None, :, part]) for part in (slice(0, 336), slice(336, None)))
    sizes = model.size, model.mask_size
    x_test, y_test = test.draw(16, 16, *sizes, np.random.default_rng(1))

    def score():
        return "balanced accuracy", _balanced(model.predict(x_test, batch_size=8, verbose=0)["score"], y_test["object"]), 0.5, True

    draws = _Draws(lambda rng: train.draw(8, 8, *sizes, rng), 400)
    return Task(model, {"x": draws}, score, {"propose": lambda: model.propose(image[:120, :160], n=5, scales=[1.0])})


def task_ddfd():
    """Faces pasted on street scenes: accuracy on as many windows with one as without."""
    faces = datasets.orl_faces()
    (frames, _), (test_frames, _) = camvid()

    def windows(people, street, seed):
        scenes = datasets.face_scenes(faces[people].reshape(-1, 112, 92), street.mean(-1)[::20], 40, seed=seed)
        return lambda rng, positives, negatives: _coloured(
            datasets.training_windows(scenes[0], scenes[1], positives, negatives, model.window, rng)
        )

    model = applications.DDFD()
    train, test = windows(slice(0, 32), frames, 0), windows(slice(32, 40), test_frames, 1)
    x_test, y_test = test(np.random.default_rng(1), 24, 24)

    def score():
        found = np.reshape(ops.convert_to_numpy(model.predict(x_test, batch_size=16, verbose=0)), (len(x_test), -1))[:, -1]
        return "balanced accuracy", _balanced(found - 0.5, y_test), 0.5, True

    # the network takes sides from 227 pixels up
    scene = np.kron(test_frames[0], np.ones((2, 2, 1), "float32"))
    return Task(model, {"x": _Draws(lambda rng: train(rng, 16, 48), 400)}, score, {"detect": lambda: model.detect(scene)})


def _coloured(pair):
    return np.repeat(pair[0][..., None], 3, axis=-1), pair[1]


# --- tasks: images ---


def task_dcgan():
    """Photographs of CIFAR-10 in 64 x 64 pixels; the distance between thumbnails of drawn and of real images, beside that of noise.

    Batches of 32, a quarter of the paper's, give some hundred updates in minutes; a step of 128 takes 9 s and 3.1 GB.
    """
    (x, _), (x_test, _) = cifar10(4000, 500)
    large, large_test = (2 * np.repeat(np.repeat(a, 2, 1), 2, 2) - 1 for a in (x, x_test))
    model = applications.DCGAN()
    noise = np.random.default_rng(SEED).uniform(-1, 1, large_test.shape).astype("float32")

    def score():
        return "distance of thumbnails", _frechet(model.sample(256, seed=0), large_test), _frechet(noise, large_test), False

    return Task(
        model,
        {"x": large, "epochs": 9, "batch_size": 32},
        score,
        {"sample": lambda: model.sample(16), "features": lambda: model.features(large[:16])},
    )


def task_lapgan():
    """Photographs of CIFAR-10; the distance between thumbnails of drawn and of real images, beside that of noise."""
    (x, _), (x_test, _) = cifar10(8000, 500)
    x, x_test = 2 * x - 1, 2 * x_test - 1
    model = applications.LAPGAN()
    noise = np.random.default_rng(SEED).uniform(-1, 1, x_test.shape).astype("float32")

    def score():
        return "distance of thumbnails", _frechet(model.sample(500, seed=0), x_test), _frechet(noise, x_test), False

    small = model.pyramid(x[:16])[-1]
    return Task(model, {"x": x, "epochs": 4}, score, {"sample": lambda: model.sample(16), "refine": lambda: model.refine(small)})


def task_generalized_adversarial_net():
    """Points of the plane, a mixture of three; the divergence that an exact integral gives, beside that of the untrained Gaussian."""
    rng = np.random.default_rng(SEED)
    centres = np.array([[-1.5, -1.0], [1.5, -0.5], [0.0, 1.8]])
    x = (centres[rng.choice(3, 10000)] + 0.35 * rng.normal(size=(10000, 2))).astype("float32")
    model = applications.GeneralizedAdversarialNet()
    ticks = np.linspace(-6, 6, 121)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    p = sum(np.exp(-((grid - centre) ** 2).sum(1) / (2 * 0.35**2)) for centre in centres)

    def divergence():
        kernel, bias = model.generator_network.get_weights()
        z = (grid - bias) @ np.linalg.inv(kernel)
        q = np.exp(-0.5 * (z**2).sum(1))
        return metrics.jensen_shannon_divergence(p / p.sum(), q / q.sum())

    before = divergence()
    verbs = {"sample": lambda: model.sample(16), "divergence": lambda: model.divergence(x[:1000])}
    return Task(model, {"x": x, "epochs": 60}, lambda: ("JS divergence, nats", divergence(), before, False), verbs)


def _independent_pixels(x, x_test):
    """Nats of a held-out image if pixels know nothing of each other."""
    p = (x.sum(0) + 1) / (len(x) + 2)
    return float(-(x_test * np.log(p) + (1 - x_test) * np.log1p(-p)).sum(1).mean())


def task_made():
    """Digits in black and white; the trivial answer is pixels that know nothing of each other."""
    x, _, x_test = datasets.binarized_mnist()
    model = applications.MADE()

    def score():
        return "nats", float(-model.log_likelihood(x_test[:500]).mean()), _independent_pixels(x, x_test[:500]), False

    return Task(
        model,
        {"x": x, "epochs": 4},
        score,
        {"sample": lambda: model.sample(64), "impute": lambda: model.impute(x_test[:64], np.arange(784) % 2)},
    )


def task_ride():
    """Grey patches of photographs; the trivial answer is a Gaussian given the neighbourhood."""
    photographs, rng = datasets.bsds("train"), np.random.default_rng(SEED)

    def patches(images, each):
        found = []
        for image in images:
            grey = np.round(255 * (image @ np.array([0.299, 0.587, 0.114], "float32"))) / 255
            for _ in range(each):
                i, j = (rng.integers(side - 15) for side in grey.shape)
                found.append(grey[i : i + 16, j : j + 16, None])
        return np.stack(found).astype("float32")

    x, x_test = patches(photographs[:150], 100), patches(photographs[150:], 10)
    model, trivial = applications.RIDE(), applications.RIDE(units=0, components=1, scales=1, features=1)
    trivial.adapt(x)
    trivial.finetune(x[:1000], steps=30, verbose=0)
    return Task(
        model,
        {"x": x, "epochs": 2},
        lambda: ("bits of a pixel", float(model.bits_per_pixel(x_test).mean()), float(trivial.bits_per_pixel(x_test).mean()), False),
        {"sample": lambda: model.sample(4, 16, 16), "log_density": lambda: model.log_density(x_test[:64])},
    )


def task_flow_vae():
    """Binarised digits: free energy of held-out ones; the trivial code length is that of pixels that are independent."""
    x, _, x_test = datasets.binarized_mnist()
    model = applications.FlowVAE()
    seen = x_test[:2000]

    def score():
        return "free energy, nats", float(model.free_energy(seen, seed=0, verbose=0).mean()), _independent_pixels(x, seen), False

    verbs = {
        "sample": lambda: model.sample(64),
        "encode": lambda: model.encode(x_test[:64]),
        "log_likelihood": lambda: model.log_likelihood(x_test[:4], verbose=0),
    }
    return Task(model, {"x": x, "epochs": 30}, score, verbs)


def task_gmmn():
    """Digits through an auto-encoder's codes; the distance between thumbnails of drawn and of real digits, beside that of noise."""
    return _gmmn(applications.GMMN())


def task_gmmn_pixels():
    """Digits without an auto-encoder."""
    return _gmmn(applications.GMMN(encoder_units=()))


def _gmmn(model):
    (x, _), (x_test, _) = mnist()
    noise = np.random.default_rng(SEED).uniform(0, 1, x_test.shape).astype("float32")

    def score():
        return "distance of thumbnails", _frechet(model.sample(2000, seed=0), x_test), _frechet(noise, x_test), False

    return Task(model, {"x": x[:20000], "epochs": 20}, score, {"sample": lambda: model.sample(1000)})


def task_adversarial_autoencoder():
    """Digits: the distance between thumbnails of drawn and of real images, beside that of noise."""
    (x, _), (x_test, _) = datasets.mnist()
    model = applications.AdversarialAutoencoder()
    real = x_test[:1000]
    noise = np.random.default_rng(SEED).uniform(0, 1, real.shape).astype("float32")

    def score():
        return "distance of thumbnails", _frechet(model.sample(1000, seed=0), real), _frechet(noise, real), False

    verbs = {
        "sample": lambda: model.sample(64),
        "encode": lambda: model.encode(real[:64]),
        "reconstruct": lambda: model.reconstruct(real[:64]),
    }
    return Task(model, {"x": x, "epochs": 2}, score, verbs)


def task_vaegan():
    """Emoji of people; the distance between thumbnails of reconstructed and of real held-out images, beside that of noise."""
    images, _, _, titles = datasets.emoji_people()
    held_out = np.isin(titles, sorted(set(titles))[::5])
    x, x_test = 2 * images[~held_out] - 1, 2 * images[held_out] - 1
    model = applications.VAEGAN()
    noise = np.random.default_rng(SEED).uniform(-1, 1, x_test.shape).astype("float32")

    def score():
        return "distance of thumbnails", _frechet(model.reconstruct(x_test), x_test), _frechet(noise, x_test), False

    verbs = {
        "sample": lambda: model.sample(16),
        "reconstruct": lambda: model.reconstruct(x_test[:16]),
        "distance": lambda: model.distance(x_test[:16], x_test[16:32]),
    }
    return Task(model, {"x": x, "epochs": 1}, score, verbs)


def _frechet(first, second):
    """Fréchet distance between normal distributions of thumbnails of 4 x 4 pixels."""
    from scipy import linalg

    (m, a), (n, b) = ((t.mean(0), np.cov(t.T)) for t in (_thumbnails(first), _thumbnails(second)))
    return float(np.sum((m - n) ** 2) + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real))


def _thumbnails(images):
    side = images.shape[1] // 4
    return images.reshape(len(images), 4, side, 4, side, images.shape[-1]).mean((2, 4)).reshape(len(images), -1)

    return images.reshape(len(images), 4, side, 4, side, 3).mean((2, 4)).reshape(len(images), -1)


def task_wta_autoencoder():
    """Digits without labels; a linear classifier learns from the features of 1000."""
    return _features(applications.WTAAutoencoder(), 4)


def task_wta_autoencoder_convolutional():
    """The same with feature maps, from a part of the digits."""
    return _features(applications.WTAAutoencoder(form="convolutional"), 1, images=4000)


def _features(model, epochs, images=None, labelled=1000):
    (x, y), (x_test, y_test) = mnist()

    def score():
        found = RidgeClassifier(10.0).fit(model.encode(x[:labelled]), y[:labelled]).score(model.encode(x_test), y_test)
        return "accuracy, 1000 labels", float(found), majority(y, y_test), True

    return Task(model, {"x": x[:images], "epochs": epochs}, score, {"encode": lambda: model.encode(x_test[:64])})
