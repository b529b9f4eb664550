"""Doctor AI against NumPy: loss, visits that are padding, labels, the skip-gram's neighbourhoods, and the verbs."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import datasets
from zoo.applications.doctor_ai import DoctorAI, _neighbourhoods

WORLD = {"num_conditions": 5, "num_symptoms": 4, "num_routine": 3, "base_gap": 120.0}


def doctor(**arguments):
    keras.utils.set_random_seed(0)
    return DoctorAI(**{**DoctorAI.example_config(), **arguments})


def records():
    return datasets.PatientSimulator("a", **WORLD).simulate(40, seed=1)


def small(**arguments):
    found = records()
    keras.utils.set_random_seed(0)
    options = {"embedding_size": 6, "units": [5], "dropout": 0.0, "max_visits": 8, "max_codes": 16}
    return DoctorAI(found.vocabulary, **{**options, **arguments}), found


def example():
    codes = np.array([[[1, 4, 0], [2, 0, 0], [4, 5, 6], [0, 0, 0]], [[3, 0, 0], [6, 1, 0], [0, 0, 0], [0, 0, 0]]], "int32")
    return {"codes": codes, "days": np.array([[0, 30, 7, 0], [0, 365, 0, 0]], "float32"), "visits": np.array([3, 2], "int32")}


@pytest.mark.parametrize("weighted", [False, True])
def test_loss(weighted):
    model, x = doctor(time_weight=0.7, l2=0.0, dropout=0.0), example()
    y = {name: ops.convert_to_numpy(part).astype("float64") for name, part in model(x).items()}
    places = {name: i for i, name in enumerate(sorted({"250", "401", "428", "V70"}))}
    weight = np.array([2.0, 0.5]) if weighted else np.ones(2)
    total = 0.0
    for i in range(2):
        for t in range(x["visits"][i] - 1):
            names = {model.labels[code - 1] for code in x["codes"][i, t + 1] if code}
            target = np.isin(np.arange(4), [places[name] for name in names])
            p = y["probabilities"][i, t]
            entropy = -np.sum(np.where(target, np.log(p), np.log(1 - p)))
            error = (np.log1p(x["days"][i, t + 1]) - y["log_days"][i, t]) ** 2 / 2
            total += weight[i] * (entropy + 0.7 * error)
    found = model.compute_loss(x, None, model(x), weight.astype("float32") if weighted else None)
    np.testing.assert_allclose(float(found), total / 3, rtol=1e-4)


def test_padding_and_the_order_of_codes_do_not_matter():
    model, x = doctor(dropout=0.0), example()
    y = ops.convert_to_numpy(model(x)["probabilities"])
    other = {name: part.copy() for name, part in x.items()}
    other["codes"][0, 0], other["codes"][0, 3], other["days"][0, 3] = [0, 4, 1], [5, 5, 5], 99
    z = ops.convert_to_numpy(model(other)["probabilities"])
    np.testing.assert_allclose(z[0, :3], y[0, :3], rtol=1e-5)
    assert float(model.compute_loss(x, None, model(x))) == pytest.approx(float(model.compute_loss(other, None, model(other))), rel=1e-5)


def test_time_is_read_only_if_told():
    x = example()
    later = {**x, "days": 3 * x["days"]}
    for use_time in (True, False):
        model = doctor(use_time=use_time)
        same = np.allclose(ops.convert_to_numpy(model(x)["probabilities"]), ops.convert_to_numpy(model(later)["probabilities"]))
        assert same is not use_time
    assert set(doctor(predict_time=False)(x)) == {"probabilities"}


def test_neighbourhoods():
    codes = example()["codes"]
    own, near = _neighbourhoods(codes, np.array([3, 2]), 1)
    assert own.tolist() == [[1, 4, 0], [2, 0, 0], [4, 5, 6], [3, 0, 0], [6, 1, 0]]
    assert [set(row[row > 0].tolist()) for row in near] == [{1, 2, 4}, {1, 2, 4, 5, 6}, {2, 4, 5, 6}, {1, 3, 6}, {1, 3, 6}]
    np.testing.assert_array_equal(near[:, :3], own)


def test_skip_gram_brings_codes_together_that_have_the_same_company():
    model = doctor(embedding_size=8)
    codes = np.zeros((200, 4, 3), "int32")
    for i, pair in enumerate(([1, 3], [2, 3], [4, 6], [5, 6])):
        codes[i::4, 0, :2] = pair
    x = {"codes": codes, "days": np.zeros((200, 4), "float32"), "visits": np.ones(200, "int32")}
    history = model.pretrain_embeddings(x, epochs=60, learning_rate=0.02).history["loss"]
    assert history[-1] < history[0]
    vectors = model.network.get_layer("code_vectors").get_weights()[0][1:]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    close = unit @ unit.T
    assert min(close[0, 1], close[3, 4]) > max(close[0, 3], close[0, 4], close[1, 3], close[1, 4]) + 0.3


def test_given_vectors():
    model = doctor(tune_embeddings=False)
    assert model.load_code_vectors({"428.0": np.arange(5.0), "V70": np.ones(5)}) == pytest.approx(2 / 6)
    table = model.network.get_layer("code_vectors").get_weights()[0]
    np.testing.assert_array_equal(table[4], np.arange(5))
    assert not any("code_vectors" in v.path for v in model.trainable_variables)


def test_recall_and_r2_are_those_of_the_outputs():
    model, found = small()
    scores = model.evaluate_records(found, k=[2, 5], batch_size=7)
    several = found.take(found.counts > 1)
    x = model.encode(several)
    y = {name: ops.convert_to_numpy(part) for name, part in model(x).items()}
    hits, times = {2: [], 5: []}, []
    for i in range(len(several)):
        for t in range(x["visits"][i] - 1):
            true = set((x["codes"][i, t + 1][x["codes"][i, t + 1] > 0] - 1).tolist())
            places = [model.label_names.index(model.vocabulary[code]) for code in true]
            order = np.argsort(-y["probabilities"][i, t], kind="stable")
            for k in hits:
                hits[k].append(len(set(order[:k].tolist()) & set(places)) / len(places))
            times.append((np.log1p(x["days"][i, t + 1]), y["log_days"][i, t]))
    truth, guess = np.array(times).T
    assert scores["recall@2"] == pytest.approx(np.mean(hits[2])) and scores["recall@5"] == pytest.approx(np.mean(hits[5]))
    assert scores["r2"] == pytest.approx(1 - np.sum((truth - guess) ** 2) / np.sum((truth - truth.mean()) ** 2), abs=1e-4)


def test_learns_and_predicts_next():
    model, found = small(units=[8])
    model.compile(keras.optimizers.Adam(0.02))
    losses = model.fit(model.encode(found), epochs=15, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    answers = model.predict_next(found.take([0, 3, 5]), k=4, batch_size=2)
    assert len(answers) == 3
    chances = [chance for _, chance in answers[1]["labels"]]
    assert len(chances) == 4 and chances == sorted(chances, reverse=True) and answers[1]["days"] >= 0
    x = model.encode(found.take([3]))
    last = ops.convert_to_numpy(model(x)["probabilities"])[0, x["visits"][0] - 1]
    assert chances[0] == pytest.approx(float(last.max()), rel=1e-5)


def test_bad_arguments():
    for message, arguments in (
        ("vocabulary", {"vocabulary": ["a", "a"]}),
        ("labels", {"labels": ["a"]}),
        ("units", {"units": []}),
        ("dropout", {"dropout": 1.0}),
    ):
        with pytest.raises(ValueError, match=f"`{message}`"):
            doctor(**arguments)
    model, found = small(max_codes=1)
    with pytest.raises(ValueError, match="`max_codes`"):
        model.encode(found)
    with pytest.raises(ValueError, match="`records`"):
        model.evaluate_records(found.take(found.counts < 1))
