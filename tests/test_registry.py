"""Keras loads every saved class of the zoo in a process that has imported nothing but `zoo`."""

import importlib
import json
import pkgutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import zoo
from zoo import index, registry

# what Keras's registry holds in a fresh process comes back before each file, so that each class is found as the first one
LOAD = """
    import json, sys
    {imports}
    import numpy as np
    light = not any(name.startswith(("zoo.model", "zoo.applications", "zoo.layers")) for name in sys.modules)
    known = keras.saving.get_custom_objects()
    fresh = dict(known)
    results = {{}}
    for file in sys.argv[1:]:
        known.clear()
        known.update(fresh)
        model = keras.saving.load_model(file)
        total = sum(float(np.abs(keras.ops.convert_to_numpy(v).astype("float64")).sum()) for v in model.weights)
        results[file] = [f"{{type(model).__module__}}.{{type(model).__name__}}", total]
    print(json.dumps([light, len(fresh), results]))
"""


def load_in_a_fresh_process(imports, files):
    script = textwrap.dedent(LOAD.format(imports=imports))
    done = subprocess.run([sys.executable, "-c", script, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def total(model):
    return sum(float(np.abs(keras.ops.convert_to_numpy(v).astype("float64")).sum()) for v in model.weights)


def test_the_table_is_complete():
    """Whatever the zoo registers with Keras is in the table under its module, but the abstract families."""
    for module in pkgutil.walk_packages(zoo.__path__, "zoo."):
        importlib.import_module(module.name)
    registered = {
        key.removeprefix("zoo>"): value.__module__
        for key, value in keras.saving.get_custom_objects().items()
        if key.startswith("zoo>") and value.__module__.startswith("zoo.") and not value.__module__.startswith("zoo.families.")
    }
    assert registry.names() == registered, "bring PARTS in zoo/registry.py up to date"


def test_every_method_loads_in_a_fresh_process(tmp_path):
    expected = {}
    for entry in index.ENTRIES:
        cls = getattr(zoo.applications, entry.name)
        model = cls(**cls.example_config())
        file = str(tmp_path / f"{entry.stem}.keras")
        model.save(file)
        expected[file] = [f"zoo.applications.{entry.stem}.{entry.name}", total(model)]
    light, stand_ins, found = load_in_a_fresh_process("import zoo, keras", expected)
    assert light and stand_ins == len(registry.names())
    assert found == {file: [name, pytest.approx(size, rel=1e-6)] for file, (name, size) in expected.items()}


@pytest.mark.parametrize("imports", ["import zoo; import keras", "import keras; import zoo"])
def test_parts_in_plain_keras_models(tmp_path, imports):
    """Layers, loss, optimizer, metric and initializer of the zoo in a plain model, whichever is imported first."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(1, 3, kernel_initializer=zoo.initializers.IdentityConvolution(), padding="same"),
            zoo.layers.StochasticPooling2D(),
            keras.layers.Flatten(),
            zoo.layers.Highway(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        optimizer=zoo.optimizers.GradientNoise(keras.optimizers.SGD(0.1)),
        loss=zoo.losses.WeightedCrossentropy(),
        metrics=[zoo.metrics.PixelAccuracy()],
    )
    file = tmp_path / "plain.keras"
    model.save(file)
    light, _, found = load_in_a_fresh_process(imports, [file])
    assert light and found == {str(file): ["keras.src.models.sequential.Sequential", pytest.approx(total(model), rel=1e-6)]}


def test_bidirectional_layers_are_their_own_while_keras_loads():
    """Keras takes objects of one `id` for one while it loads, and an `id` comes again once its object is gone."""
    with keras.src.saving.serialization_lib.ObjectSharingScope():
        pairs = [zoo.layers.both_directions(keras.layers.LSTM(2)) for _ in range(200)]
    assert len({id(part) for pair in pairs for part in (pair.forward_layer, pair.backward_layer)}) == 400


def test_functions_are_saved_again_under_their_names(tmp_path):
    layer = keras.layers.TextVectorization(standardize=zoo.text.words.separate_words, vocabulary=["cat", "sat"])
    model = keras.Sequential([keras.Input((), dtype="string"), layer, keras.layers.Embedding(4, 2)])
    model.save(tmp_path / "text.keras")
    script = f"""
        import zoo, keras
        model = keras.saving.load_model({str(tmp_path / "text.keras")!r})
        assert keras.ops.convert_to_numpy(model.layers[0](["The cat."])).tolist() == [[1, 2, 1]]
        model.save({str(tmp_path / "again.keras")!r})
    """
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        (tmp_path / "again.keras").replace(tmp_path / "text.keras")


def test_asking_for_keras_without_importing_it_changes_nothing():
    """Libraries look whether Keras is installed; the stand-ins come with the import that follows."""
    script = """
        import zoo, importlib.util, sys
        assert importlib.util.find_spec("keras") is not None and importlib.util.find_spec("keras.layers") is not None
        import keras
        assert "zoo>UNet" in keras.saving.get_custom_objects()
        assert not any(type(finder).__module__ == "zoo.registry" for finder in sys.meta_path)
        assert "zoo.applications" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_stand_in_makes_the_class_itself():
    fresh = dict(keras.saving.get_custom_objects())
    try:
        keras.saving.get_custom_objects().pop("zoo>Highway")
        registry.register()
        stand_in = keras.saving.get_registered_object("zoo>Highway")
        assert stand_in is not zoo.layers.Highway and isinstance(stand_in("elu"), zoo.layers.Highway)
        assert isinstance(stand_in.from_config(zoo.layers.Highway().get_config()), zoo.layers.Highway)
    finally:
        keras.saving.get_custom_objects().clear()
        keras.saving.get_custom_objects().update(fresh)
