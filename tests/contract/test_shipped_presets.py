"""Every shipped preset loads, gives its golden outputs, and carries evidence and a card."""

import keras
import numpy as np
import pytest

import zoo
from zoo import index, presets

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
        restored = {**claim, "baseline": claim["baseline"]["name"], "baseline_values": claim["baseline"]["values"]}
        holds = restored.pop("holds")
        assert zoo.evidence.Claim(**restored).holds == holds, "`holds` must be what the figures say"
    assert (record["folder"] / "card.md").exists()


@pytest.mark.parametrize("entry", index.ENTRIES, ids=lambda e: e.name)
def test_every_method_ships_a_preset(entry):
    assert any(record["class"] == entry.name for record in SHIPPED.values())


def test_size():
    sizes = {name: sum(f.stat().st_size for f in record["folder"].iterdir()) for name, record in SHIPPED.items()}
    assert max(sizes.values()) < 3 << 20 and sum(sizes.values()) < 40 << 20, sizes
