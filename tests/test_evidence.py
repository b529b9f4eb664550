"""Claims, the command line of recipes, and what `publish` writes."""

import json

import keras
import numpy as np
import pytest
from scipy import stats

from zoo import evidence, presets
from zoo.evidence import Claim
from zoo.plots.figure import new_figure


def claim(values, baseline, higher=True):
    return Claim("c", "p", "d", "m", higher, "b", baseline, values, list(range(len(values))))


@pytest.mark.parametrize("seed", range(5))
def test_holds_is_a_paired_test_at_one_standard_error(seed):
    ours, theirs = np.random.default_rng(seed).normal([[0.3], [0.0]], 0.5, (2, 4))
    statistic = stats.ttest_rel(ours, theirs).statistic
    assert claim(list(ours), list(theirs)).holds == (statistic > 1)
    assert claim(list(ours), list(theirs), higher=False).holds == (statistic < -1)


def test_a_tie_does_not_hold():
    assert not claim([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]).holds
    assert not claim([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], higher=False).holds


def test_values_must_match_the_seeds():
    with pytest.raises(ValueError, match="one entry per seed"):
        Claim("c", "p", "d", "m", True, "b", [1.0], [1.0, 2.0], [0, 1])


def test_arguments_of_recipes():
    full, quick = evidence.arguments("A recipe.", "toy_data", []), evidence.arguments("A recipe.", "toy_data", ["--quick"])
    assert full.seeds == [0, 1, 2] and full.out.parts[-2:] == ("saved_models", "toy_data")
    assert quick.seeds == [0] and quick.out.parts[-2:] == ("runs", "toy_data")
    with pytest.raises(SystemExit):
        evidence.arguments("A recipe.", "toy_data", ["--seeds", "0"])


def test_publish_writes_a_preset_with_its_card(toy, tmp_path, capsys):
    args = evidence.arguments("A recipe.", "toy_data", ["--out", str(tmp_path / "toy_data")])
    figure = new_figure(1, 1)
    claims = [claim([0.9, 0.8, 0.95], [0.5, 0.6, 0.55]), claim([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])]
    evidence.publish(toy(), args, claims, "Random points, no licence.", "A note.", figure)
    presets.verify(args.out)
    record = json.loads((args.out / "evidence.json").read_text())
    assert [c["holds"] for c in record["claims"]] == [True, False] and record["quick"] is False
    card = (args.out / "card.md").read_text()
    for text in ("0.8833 ± 0.076", "0.55 ± 0.05 (b)", "**yes**", "**no**", "A note.", "Random points", "figure.png"):
        assert text in card
    assert (args.out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "DOES NOT HOLD: c" in capsys.readouterr().out
    x, (expected,) = presets.golden(args.out)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(presets.load(args.out)(x)), expected, rtol=1e-6)
