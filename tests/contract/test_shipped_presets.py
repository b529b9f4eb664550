"""Every shipped preset loads, gives its golden outputs, and carries evidence and a card."""

import json

import keras
import numpy as np
import pytest

import zoo
from zoo import evidence, index, presets
from zoo.evidence.settings import arguments

SHIPPED = presets.shipped()


@pytest.mark.parametrize("name", SHIPPED)
def test_golden(name):
    x, expected = presets.golden(name)
    model = presets.load(name)
    found = [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]
    assert len(found) == len(expected)
    for a, b in zip(expected, found):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_evidence(name):
    record = SHIPPED[name]
    assert record["claims"], f"{name} has no evidence"
    for claim in record["claims"]:
        assert len(claim["seeds"]) >= 3
        _assert_close(evidence.Claim.from_record(claim).record(), claim)
    stored = json.loads((record["folder"] / "evidence.json").read_text())
    cls = getattr(zoo.applications, record["class"])
    config = json.loads((record["folder"] / "config.json").read_text())["config"]
    assert stored["differs"]["arguments"] == arguments(cls, config), "run zoo.evidence.renew on the folder"
    has_figure = (record["folder"] / "figure.png").exists()
    assert (record["folder"] / "card.md").read_text() == evidence.card(record["class"], name, stored, has_figure)


def _assert_close(expected, found):
    """Verdicts are what the values say, whatever the last digit of scipy's."""
    assert expected.keys() == found.keys() and expected["verdict"] == found["verdict"]
    assert expected["p"] == pytest.approx(found["p"], abs=1e-9)
    assert expected["difference"] == pytest.approx(found["difference"])


@pytest.mark.parametrize("entry", index.ENTRIES, ids=lambda e: e.name)
def test_every_method_ships_a_preset(entry):
    assert any(record["class"] == entry.name for record in SHIPPED.values())


def test_size():
    sizes = {name: sum(f.stat().st_size for f in record["folder"].iterdir()) for name, record in SHIPPED.items()}
    # a mebibyte each on average: with 83 methods all of them stay in a package that an index takes
    assert max(sizes.values()) < 3 << 20 and sum(sizes.values()) < len(sizes) << 20, sizes
