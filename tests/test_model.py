"""What `zoo.Model` and `zoo.Field` promise beyond the contract."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import zoo

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Y = np.array([0, 1, 0, 1])


def test_field_examples_are_legal():
    for field in (zoo.Field("image", (None, None, 3), low=0, high=255, example=(4, 6)), zoo.Field("ids", (5,), "int32", 1, 9)):
        array = field.sample(3, np.random.default_rng(0))
        field.check(array)
        assert array.dtype == field.dtype and len(array) == 3
    assert zoo.Field("image", (None, None, 3), example=(4, 6)).sample(2, np.random.default_rng(0)).shape == (2, 4, 6, 3)


def test_field_accepts_whole_floats_as_ids():
    zoo.Field("ids", (2,), "int32", 0, 9).check(np.array([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="whole numbers"):
        zoo.Field("ids", (2,), "int32", 0, 9).check(np.array([[1.5, 2.0]]))


def test_given_loss_replaces_the_papers(toy):
    model = toy()
    model.compile(loss="mse", metrics=["mae"])
    history = model.fit(X, keras.utils.to_categorical(Y, 2), verbose=0)
    assert "mae" in history.history
    config = model.get_compile_config()
    assert config["loss"] == "mse" and config["optimizer"] == "auto"


def test_datasets_and_generators_pass(toy):
    model = toy()

    def batches():
        while True:
            yield X, Y

    model.fit(batches(), steps_per_epoch=2, verbose=0)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, asked):
        super().__init__()
        self.x, self.y, self.asked = x, y, asked

    def __len__(self):
        return 2

    def __getitem__(self, i):
        self.asked.append(i)
        return self.x[2 * i : 2 * i + 2], self.y[2 * i : 2 * i + 2]


def streams(x, y):
    import tensorflow as tf

    yield "dataset", lambda: tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    yield "PyDataset", lambda: Batches(x, y, [])
    yield "generator", lambda: ((x[i : i + 2], y[i : i + 2]) for i in (0, 2))


@pytest.mark.parametrize("kind", ["dataset", "PyDataset", "generator"])
def test_first_batches_are_checked_and_not_lost(toy, kind):
    model = toy()
    make = dict(streams(X, Y))[kind]
    np.testing.assert_allclose(model.predict(make(), verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    assert model.evaluate(make(), verbose=0) == pytest.approx(model.evaluate(X, Y, batch_size=2, verbose=0))
    model.fit(make(), validation_data=make(), verbose=0)
    for bad, name in (((X[:, :2], Y), "point"), ((np.full_like(X, np.nan), Y), "point"), ((X, Y + 7), "label")):
        make = dict(streams(*bad))[kind]
        for verb in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=f"`{name}`"):
                verb(make(), verbose=0)
        with pytest.raises(ValueError, match=f"`{name}`"):
            model.fit(X, Y, validation_data=make(), verbose=0)


def test_order_of_a_pydataset_stays(toy):
    model = toy()
    np.testing.assert_allclose(model.predict(Batches(X, Y, []), verbose=0), model.predict(X, verbose=0), rtol=1e-5)


def test_check_leaves_datasets_to_prepared(toy):
    for _, make in streams(X, Y):
        toy().check(make())


def test_an_empty_generator_is_refused(toy):
    with pytest.raises(ValueError, match="`x` must give at least one batch"):
        toy().fit(iter_nothing(), verbose=0)


def iter_nothing():
    yield from ()


def test_whole_floats_are_converted_and_large_ones_refused():
    field = zoo.Field("ids", (2,), "int32")
    assert field.convert([[1.0, 2.0]]).dtype == "int32"
    for bad in ([[2.0**31, 0]], [[-(2**40), 0]]):
        with pytest.raises(ValueError, match="`ids` must fit int32"):
            field.convert(bad)
    with pytest.raises(ValueError, match="`real` must fit float32"):
        zoo.Field("real", (1,)).convert(np.array([[1e39]]))
    with pytest.raises(ValueError, match="rows of equal length"):
        field.convert([[1, 2], [1]])


def test_weights_of_classes_need_targets(toy):
    class Alone(toy):
        def target_fields(self):
            return []

        def objective(self, x, y, y_pred, sample_weight, training):
            return keras.ops.mean(y_pred)

    for weights in ({}, {"sample_weight": np.ones(4)}):
        with pytest.raises(ValueError, match="`class_weight` must be None without targets. Received"):
            Alone().fit(X, class_weight={0: 1.0, 1: 2.0}, verbose=0, **weights)
    with pytest.raises(ValueError, match="`y` must be None or numbers"):
        Alone().fit(X, ["a", "b", "c", "d"], verbose=0)
    Alone().fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="`sample_weight` must be an array"):
        toy().fit(X, Y, sample_weight=1.0, verbose=0)


def test_rows_of_inputs_targets_and_weights_are_equal(toy):
    model = toy()
    for kwargs, name in (({"y": Y[:3]}, "label"), ({"y": Y, "sample_weight": np.ones(3)}, "sample_weight")):
        with pytest.raises(ValueError, match=f"`{name}` must have the same number of rows"):
            model.fit(X, **kwargs, verbose=0)
    for weights in (np.full(4, np.nan), "abc"):
        with pytest.raises(ValueError, match="`sample_weight`"):
            model.fit(X, Y, sample_weight=weights, verbose=0)
    with pytest.raises(ValueError, match="`y` must be given"):
        model.fit(X, verbose=0)
    for wrong in (None, "text", 3, object(), [[1.0], [1.0, 2.0]]):
        with pytest.raises(ValueError, match="`point`"):
            model.predict(wrong, verbose=0)


def test_batches_of_the_paper_unless_told_otherwise(toy, monkeypatch):
    monkeypatch.setattr(toy, "default_batch_size", 3)
    model = toy()
    for given, steps in ({}, 2), ({"batch_size": 2}, 2), ({"batch_size": 1}, 4):
        model.fit(X, Y, verbose=0, **given)
        assert model.fits.records[-1]["updates"] == steps


def test_validation_data_is_checked(toy):
    for bad in (3, "abc", (X, Y, None, None), (X[:, :1], Y)):
        with pytest.raises(ValueError, match="`validation_data`|`point`"):
            toy().fit(X, Y, validation_data=bad, verbose=0)


def test_dtype_is_the_global_policy(toy):
    with pytest.raises(ValueError, match="set_dtype_policy"):
        toy(dtype="mixed_float16")


def test_keras_file_loads_in_a_fresh_process(tmp_path):
    """Importing zoo.applications is enough for Keras to find every class."""
    x = np.zeros((2, *zoo.applications.LSUVNet(**zoo.applications.LSUVNet.example_config()).input_fields()[0].shape), "float32")
    model = zoo.applications.LSUVNet(**zoo.applications.LSUVNet.example_config())
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    script = f"""
        import keras, numpy as np, zoo.applications
        model = keras.saving.load_model({str(tmp_path / "model.keras")!r})
        np.save({str(tmp_path / "y.npy")!r}, model.predict(np.load({str(tmp_path / "x.npy")!r}), verbose=0))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_custom_objective_is_divided_by_the_replicas(toy):
    """Two replicas on one machine train as one does."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute")
    script = """
        import sys, numpy as np
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        import keras, zoo
        from keras import ops
        sys.path.insert(0, "tests")
        import toy

        class Summed(toy.Toy):
            def default_optimizer(self):
                return keras.optimizers.SGD(0.1)
            def objective(self, x, y, y_pred, sample_weight, training):
                return ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred))

        x, y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.arange(8) % 2
        kernels = []
        for scope in (tf.distribute.get_strategy().scope(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()):
            with scope:
                keras.utils.set_random_seed(0)
                model = Summed()
                model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
                kernels.append(np.array(model.network.layers[1].kernel))
        np.testing.assert_allclose(*kernels, atol=1e-5)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, cwd=zoo.__path__[0] + "/..")
    assert done.returncode == 0, done.stderr[-2000:]
