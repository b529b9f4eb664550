"""What Python refuses the server refuses, in the same words, from nothing but the exported folder."""

import dataclasses
import json

import numpy as np
import pytest
import requests
import served
import tensorflow as tf
from served import ask

import zoo
from zoo import serving
from zoo.fields import PaddedField, SizedField
from zoo.serving.archive import FIELDS, read_fields

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def models():
    classes = (zoo.applications.UNet, zoo.applications.DDFD, zoo.applications.SentenceVAE, zoo.applications.BLSTMTagger)
    return {cls.__name__: cls(**cls.example_config()) for cls in (*classes, zoo.applications.NeuralStyle, zoo.applications.LightFM)}


@pytest.fixture(scope="module")
def server(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("models")
    served.save_toy(folder / "toy")
    served.save_oddities(folder / "odd")
    for name, model in models.items():
        model.export(folder / name)
    with serving.Server(folder, port=0) as server:
        yield server


def refused(server, model, inputs, *words, signature="serve"):
    """Both formats and `SavedModel.run` refuse; the last also in these words."""
    text = json.dumps({"signature_name": signature, "inputs": inputs})
    status, reply = ask(requests, server, text, model)
    assert status == 400 and all(word in reply["error"] for word in words), reply
    with pytest.raises((ValueError, tf.errors.OpError)) as error:
        server.models[model].run({k: np.asarray(v) for k, v in inputs.items()} if isinstance(inputs, dict) else inputs, signature)
    assert not isinstance(error.value, ValueError) or words[0] in str(error.value)
    return reply["error"]


@pytest.mark.parametrize(
    "point, words",
    [
        ("[[0, NaN, 0]]", ["`point` must be finite"]),
        ("[[0, Infinity, 0]]", ["`point` must be finite"]),
        ("[[0, -Infinity, 0]]", ["`point` must be finite"]),
        ("[[0, 1e400, 0]]", ["point", "float32"]),
        ("[[0, -1e39, 0]]", ["point", "float32"]),
        ("[]", ["point", "(any, 3)"]),
        ("[[]]", ["point", "(any, 3)"]),
        ("[[0, 0]]", ["point", "(any, 3)"]),
        ("[0, 0, 0]", ["point", "(any, 3)"]),
        ("0", ["point", "(any, 3)"]),
        ("[[0, true, 0]]", ["point", "float32"]),
        ('[[0, "1", 0]]', ["point", "float32"]),
        ("[[0, null, 0]]", ["point", "float32"]),
        ("null", ["point"]),
    ],
)
def test_numbers_that_python_refuses(server, point, words):
    for body in (f'{{"inputs": {point}}}', f'{{"inputs": {{"point": {point}}}}}'):
        status, reply = ask(requests, server, body, "toy")
        assert status == 400 and all(word in reply["error"] for word in words), reply
        assert "Graph" not in reply["error"] and "node" not in reply["error"]
    # long enough to be read the other way
    if point.startswith("[[0"):
        status, reply = ask(requests, server, f'{{"instances": [{"[0, 0.5, 0], " * 100}{point[1:]}}}', "toy")
        assert status == 400 and words[0] in reply["error"], reply


def test_no_rows(server):
    status, reply = ask(requests, server, {"instances": []}, "toy")
    assert status == 400 and "instances" in reply["error"] and "point" in reply["error"]


@pytest.mark.parametrize("side", [1, 7, 9])
def test_unet_sizes(server, models, side):
    image = np.zeros((1, side, side, 2), "float32")
    assert side == 1 or side % 2
    message = refused(server, "UNet", image.tolist(), "`image` must have sides of")
    with pytest.raises(ValueError) as error:
        models["UNet"].predict(image, verbose=0)
    # the same rule, and the same neighbours that fit
    assert message.split(".")[0].startswith(str(error.value).split(" (padding")[0])
    for neighbour in message.split("fit: ")[1].split(" x ")[0].split(" or "):
        fitting = np.zeros((1, int(neighbour), int(neighbour), 2))
        assert ask(requests, server, {"inputs": fitting.tolist()}, "UNet")[0] == 200
    assert ask(requests, server, {"signature_name": "segment", "inputs": image.tolist()}, "UNet")[0] == 200


def test_sizes_that_only_the_graph_knows(server, tmp_path):
    """Without the rule, what the kernels say names the input and is the client's mistake all the same."""
    folder = server.models["UNet"].folder
    (tmp_path / "bare").mkdir()
    tf.io.gfile.makedirs(str(tmp_path / "bare" / "1"))
    for entry in folder.rglob("*"):
        if entry.is_file() and "extra" not in str(entry):
            target = tmp_path / "bare" / "1" / entry.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(entry.read_bytes())
    with serving.Server(tmp_path / "bare", port=0) as bare:
        for side in (1, 7):
            status, reply = ask(requests, bare, {"inputs": np.zeros((1, side, side, 2)).tolist()}, "bare")
            assert status == 400 and f"`image` of shape (1, {side}, {side}, 2)" in reply["error"], reply
        assert ask(requests, bare, {"inputs": np.zeros((1, 40, 40, 2)).tolist()}, "bare")[0] == 200


def test_other_sizes(server):
    refused(server, "DDFD", np.zeros((1, 34, 40, 1)).tolist(), "`image` must have sides of 35 or more")
    refused(server, "DDFD", np.zeros((1, 34, 40, 1)).tolist(), "`image` must have sides of 35 or more", signature="heat_map")
    refused(server, "DDFD", np.full((1, 35, 35, 1), 1.5).tolist(), "`image` must be at most 1")
    refused(server, "NeuralStyle", np.zeros((1, 3, 9, 3)).tolist(), "`image` must have sides of 4 or more")


def test_rows_of_ids(server, models):
    words = models["SentenceVAE"].example_inputs(2)
    assert ask(requests, server, {"signature_name": "serve_ids", "inputs": words.tolist()}, "SentenceVAE")[0] == 200
    for bad in (words * 0, np.flip(words * [1, 1, 1, 0, 0, 0], 1), words - 10, words + 1000):
        refused(server, "SentenceVAE", bad.tolist(), "`words` must", signature="serve_ids")
        with pytest.raises(ValueError, match="`words` must"):
            models["SentenceVAE"].predict(bad, verbose=0)
    refused(server, "LightFM", {"user": [0, -1], "item": [0, 0]}, "`user` must be at least 0")
    refused(server, "LightFM", {"user": [0], "item": [10**6]}, "`item` must be at most")
    refused(server, "LightFM", {"user": [0], "item": [0, 1]}, "same number of rows")
    word = [[1, 2, 3]]
    refused(server, "BLSTMTagger", {"word": word, "capitals": [[1, 2]]}, "`capitals` of shape (1, 2)", signature="probabilities")


def test_text_must_not_be_empty(server):
    for inputs in ([], [[]]):
        status, reply = ask(requests, server, {"inputs": inputs}, "SentenceVAE")
        assert status == 400 and "text" in reply["error"]


def test_local_runs_check_before_they_convert(server):
    saved = server.models["toy"]
    for x in ([[1e39, 0, 0]], [[np.nan, 0, 0]], [[0, 0]], [[0, 0, 0], [0]], [["a", "b", "c"]], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="`point`"):
            saved.run(x)
    with pytest.raises(ValueError, match="whole numbers"):
        server.models["LightFM"].run({"user": [0.5], "item": [0]})


def test_foreign_models_take_what_their_specs_say(server):
    assert not any(signature.fields for signature in server.models["odd"].signatures.values())
    assert ask(requests, server, '{"inputs": [[NaN, -Infinity]]}') == (200, {"outputs": [[pytest.approx(np.nan, nan_ok=True), -np.inf]]})
    assert ask(requests, server, '{"signature_name": "total", "inputs": []}') == (200, {"outputs": 0.0})
    for literal in ("1e400", "-1e400", "1" + "0" * 400):
        status, reply = ask(requests, server, f'{{"inputs": [[{literal}]]}}')
        assert status == 400 and "input x" in reply["error"]


# --- the file ---


def test_fields_come_back(server, models):
    for name, model in models.items():
        found = read_fields(server.models[name].folder)
        assert found == {key: fields for key, (_, fields) in model.signatures().items()}
        assert server.models[name].signatures["serving_default"].fields == tuple(found["serve"])


def test_numpy_limits_and_own_kinds(tmp_path):
    import toy

    @dataclasses.dataclass(frozen=True)
    class Odd(SizedField):
        colour: str = "red"

    class Own(toy.Toy):
        def input_fields(self):
            return [Odd("point", (3,), low=np.float32(-0.5), high=np.int64(2), least=2)]

    folder = serving.export(Own(), tmp_path / "own")
    assert read_fields(folder) == {"serve": [SizedField("point", (3,), low=-0.5, high=2, least=2)]}
    with pytest.raises(ValueError, match="`point` must be at most 2"):
        serving.load(folder).run([[0, 0, 3]])


@pytest.mark.parametrize(
    "content", ["", "[]", '{"serve": [{}]}', '{"serve": [{"kind": "Field", "name": "spot"}]}', '{"serve": [{"kind": "os"}]}']
)
def test_a_damaged_file_is_refused(tmp_path, content):
    served.save_toy(tmp_path / "toy")
    (tmp_path / "toy" / "1" / FIELDS).write_text(content)
    with pytest.raises(ValueError, match="Received"):
        serving.load(tmp_path / "toy")


def test_sized_field():
    field = SizedField("image", (None, None, 1), least=5, step=4)
    for size in ((5, 5), (9, 13)):
        field.check(np.zeros((2, *size, 1)))
    for size, words in (
        ((4, 5), "4 x 5; the nearest sizes that fit: 5 x 5"),
        ((6, 12), "6 x 12; the nearest sizes that fit: 5 or 9 x 9 or 13"),
    ):
        with pytest.raises(ValueError, match=rf"`image` must have sides of the form 5 \+ 4 k. Received: {words}$"):
            field.check(np.zeros((2, *size, 1)))
    with pytest.raises(ValueError, match="`image` must have shape"):
        field.check(np.zeros((2, 5, 5)))


def test_padded_field():
    field = PaddedField("words", (4,), "int32", 0, 9)
    for _ in range(20):
        field.check(field.sample(5, RNG))
    for row in ([0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0]):
        with pytest.raises(ValueError, match="`words` must hold one or more ids"):
            field.check(np.array([[1, 2, 3, 4], row]))
