"""Recommendation and clinical prediction."""

import numpy as np
from keras import ops
from sklearn.metrics import roc_auc_score

from tasks import SEED, Task
from zoo import datasets, metrics
from zoo.applications import DiagnosisLSTM, DoctorAI, LightFM

HOURS = 48
FINDINGS = {"Creatinine": 2.0, "BUN": 40, "Lactate": 2.5, "WBC": 15, "Bilirubin": 2.0, "ALT": 200, "TroponinT": 0.1, "K": 5.0}


def task_light_fm():
    """Films that a user will like, of a simulated catalogue; a random order has an AUC of one half."""
    catalogue = datasets.latent_catalogue(seed=SEED)
    train, test = datasets.split_interactions(catalogue.interactions, seed=SEED)
    model = LightFM.from_features(catalogue.user_features, catalogue.item_features)
    users = np.arange(train.shape[0])

    def score():
        return "AUC", float(np.nanmean(metrics.auc_score(model.scores, test, train))), 0.5, True

    verbs = {"recommend": lambda: model.recommend(users[:32]), "similar_items": lambda: model.similar_items(users[:32])}
    return Task(model, {"x": train, "epochs": 20}, score, verbs)


def task_diagnosis_lstm():
    """Findings of the laboratory from the vital signs of stays in intensive care, which do not show them."""
    stays = datasets.physionet2012("a")
    series = datasets.icu_series(stays, HOURS).astype("float32")
    measured = stays.hourly(list(FINDINGS), HOURS)
    labels = np.stack([np.any(measured[:, :, i] > limit, axis=1) for i, limit in enumerate(FINDINGS.values())], 1).astype("int32")
    model = DiagnosisLSTM(series.shape[2], len(FINDINGS), label_names=list(FINDINGS))
    cut = int(0.9 * len(series))
    model.adapt(series[:cut])
    x = {"series": series, "steps": np.full(len(series), HOURS, "int32")}

    def score():
        found = model.monitor(series[cut:])[:, -1]
        return "macro AUC", float(roc_auc_score(labels[cut:], found, average="macro")), 0.5, True

    fit = {"x": {name: array[:cut] for name, array in x.items()}, "y": labels[:cut], "batch_size": 32, "epochs": 100}
    return Task(model, fit, score, {"monitor": lambda: model.monitor(series[:32]), "diagnose": lambda: model.diagnose(series[:32])})


def task_doctor_ai():
    """Codes of the next visit of simulated patients; the trivial answer is the most frequent ones."""
    simulator = datasets.PatientSimulator()
    train, test = simulator.simulate(2000, seed=SEED), simulator.simulate(300, seed=SEED + 1)
    model = DoctorAI(train.vocabulary)
    x = model.encode(train)

    def labels(records):
        found = model.encode(records)
        following = np.arange(1, model.max_visits) < found["visits"][:, None]
        return ops.convert_to_numpy(model.multi_hot(found["codes"]))[:, 1:][following]

    truth = labels(test)
    frequent = np.broadcast_to(labels(train.take(np.arange(500))).mean(0), truth.shape)
    trivial = float(np.mean(metrics.top_k_recall(truth, frequent, 10)))

    def score():
        return "recall@10", model.evaluate_records(test, [10], batch_size=32)["recall@10"], trivial, True

    verbs = {"predict_next": lambda: model.predict_next(test.take(np.arange(4)))}
    return Task(model, {"x": x, "batch_size": 100, "epochs": 20}, score, verbs)
