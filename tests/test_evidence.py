"""Verdicts, the command line of recipes, jobs that are done once, and what `publish` writes."""

import json
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
from scipy import stats

from zoo import evidence, presets
from zoo.evidence import Choice, Claim
from zoo.evidence.jobs import folder
from zoo.evidence.settings import differences, sentences
from zoo.plots.figure import new_figure

RNG = np.random.default_rng(0)


def claim(values, baseline, higher=True, **more):
    return Claim("c", "p", "d", "m", higher, "b", list(baseline), list(values), list(range(len(values))), **more)


@pytest.mark.parametrize("higher", [True, False])
def test_verdict_is_a_paired_t_test(higher):
    verdicts = set()
    for effect in (-1.0, 0.0, 0.1, 1.0):
        ours, theirs = RNG.normal([[effect], [0.0]], 0.4, (2, 5))
        found = claim(ours, theirs, higher)
        better, worse = ("greater", "less") if higher else ("less", "greater")
        up, down = (stats.ttest_rel(ours, theirs, alternative=side).pvalue for side in (better, worse))
        assert found.p == pytest.approx(up)
        assert found.verdict == ("yes" if up < 0.05 else "no" if down < 0.05 else "undecided")
        low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
        assert found.interval == pytest.approx((low, high) if higher else (-high, -low))
        verdicts.add(found.verdict)
    assert verdicts == {"yes", "no", "undecided"}


def test_chance_gives_a_yes_once_in_twenty():
    ours, theirs = RNG.normal(size=(2, 2000, 3))
    verdicts = [claim(a, b).verdict for a, b in zip(ours, theirs)]
    assert 0.035 < np.mean([v == "yes" for v in verdicts]) < 0.065
    assert 0.035 < np.mean([v == "no" for v in verdicts]) < 0.065


def test_at_least_as_good_is_a_test_of_its_own():
    baseline, ours = np.array([0.90, 0.91, 0.92, 0.90]), np.array([0.895, 0.906, 0.914, 0.896])
    assert claim(ours, baseline).verdict == "no"
    assert claim(ours, baseline, margin=0.01).verdict == "yes"
    assert claim(ours, baseline, margin=0.003).verdict == "no"
    p = stats.ttest_1samp(ours - baseline, -0.01, alternative="greater").pvalue
    assert claim(ours, baseline, margin=0.01).p == pytest.approx(p)


def test_a_difference_too_small_to_matter_is_a_no():
    baseline, ours = np.zeros(4), np.array([0.010, 0.011, 0.009, 0.010])
    assert claim(ours, baseline).verdict == "yes"
    assert claim(ours, baseline, matters=0.1).verdict == "no"
    assert claim(ours, baseline, matters=0.01).verdict == "yes"
    assert claim([0.2, -0.2, 0.1, 0.0], baseline, matters=0.1).verdict == "undecided"


def test_values_without_spread():
    assert claim([1.0] * 3, [1.0] * 3).verdict == "undecided"
    assert claim([2.0] * 3, [1.0] * 3).verdict == "yes"
    assert claim([2.0] * 3, [1.0] * 3, higher=False).verdict == "no"
    # equal differences but for rounding
    assert claim([0.1 + 0.2, 0.3, 0.3], [0.0, 0.0, 0.0]).p == 0.0


def test_one_seed_proves_nothing():
    found = claim([2.0], [1.0])
    assert found.verdict == "undecided" and evidence.ahead(found.record()) == "one seed"
    assert "Infinity" not in json.dumps(found.record())


def test_record_round_trip():
    found = claim([0.9, 0.8, 0.95], [0.5, 0.6, 0.55], margin=0.1, matters=0.2)
    assert Claim.from_record(json.loads(json.dumps(found.record()))) == found


def test_bad_claims():
    with pytest.raises(ValueError, match="one entry per seed"):
        Claim("c", "p", "d", "m", True, "b", [1.0], [1.0, 2.0], [0, 1])
    with pytest.raises(ValueError, match="`margin`"):
        claim([1.0], [1.0], margin=-1.0)
    with pytest.raises(ValueError, match="same number"):
        Choice("development digits", "rate", {"ours": 5, "theirs": 1})


def test_arguments_of_recipes():
    full, quick = evidence.arguments("A recipe.", "toy_data", []), evidence.arguments("A recipe.", "toy_data", ["--quick"])
    assert full.seeds == [0, 1, 2, 3, 4] and full.out.parts[-2:] == ("saved_models", "toy_data")
    assert quick.seeds == [0] and quick.out.parts[-2:] == ("runs", "toy_data")
    assert len(evidence.arguments("A recipe.", "toy_data", [], seeds=10).seeds) == 10
    with pytest.raises(SystemExit):
        evidence.arguments("A recipe.", "toy_data", ["--seeds", "0"])


def test_differences_are_computed(toy):
    model = toy(units=3)
    x = model.example_data(batch_size=6)
    model.fit(**x, batch_size=2, epochs=2, verbose=0)
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 10), momentum=0.9))
    model.fit(**x, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    found = json.loads(json.dumps(differences(model)))
    assert found["arguments"] == {"units": [toy().units, 3]}
    first, second = found["training"]
    assert (first["optimizer"], first["batch_size"], first["epochs"], first["updates"]) == ({}, 2, 2, 6)
    assert second["optimizer"]["class"][1] == "SGD" and second["optimizer"]["learning_rate.initial_learning_rate"][1] == 0.5
    assert second["callbacks"] == ["TerminateOnNaN"] and second["batch_size"] is None
    text = "\n".join(sentences(found))
    assert "`units`: 3" in text and "batch size 2, epochs 2, updates 6; optimizer: the default" in text


def test_publish_writes_a_preset_with_its_card(toy, tmp_path, capsys):
    args = evidence.arguments("A recipe.", "toy_data", ["--out", str(tmp_path / "toy_data")])
    claims = [claim([0.9, 0.8, 0.95], [0.5, 0.6, 0.55]), claim([0.1, 0.2, 0.3], [0.5, 0.65, 0.7]), claim([0.1, 0.9, 0.3], [0.5, 0.1, 0.7])]
    choice = Choice("digits put aside", "Rates", {"the method": 4, "the baseline": 4})
    evidence.publish(toy(), args, claims, "Random points, no licence.", "A note.", new_figure(1, 1), choices=[choice])
    presets.verify(args.out)
    record = json.loads((args.out / "evidence.json").read_text())
    assert [c["verdict"] for c in record["claims"]] == ["yes", "no", "undecided"] and record["quick"] is False
    assert evidence.count(record["claims"]) == {"yes": 1, "undecided": 1, "no": 1}
    card = (args.out / "card.md").read_text()
    expected = ("0.8833 ± 0.076", "0.55 ± 0.05 (b)", "**yes**", "**no**", "**undecided**", "A note.", "Random points", "figure.png")
    for text in (*expected, "Rates chosen on digits put aside, 4 tries for each of the method, the baseline."):
        assert text in card
    assert (args.out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "NO: c" in capsys.readouterr().out
    x, (expected,) = presets.golden(args.out)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(presets.load(args.out)(x)), expected, rtol=1e-6)


def test_renew_judges_stored_values_anew(toy, tmp_path):
    args = evidence.arguments("A recipe.", "toy_data", ["--out", str(tmp_path / "toy_data")])
    evidence.publish(toy(), args, [claim([0.9, 0.8, 0.95], [0.5, 0.6, 0.55])], "Random points.")
    before = {file.name: file.read_bytes() for file in args.out.iterdir()}
    record = json.loads(before["evidence.json"])
    record["claims"][0]["verdict"] = "no"
    presets.replace(args.out, {"evidence.json": json.dumps(record).encode()})
    evidence.renew(args.out)
    presets.verify(args.out)
    assert {file.name: file.read_bytes() for file in args.out.iterdir()} == before


def asked(tmp_path):
    args = evidence.arguments("A recipe.", "toy_data", [])
    args.jobs = tmp_path / "jobs"
    return args


def test_a_run_that_was_stopped_goes_on(tmp_path):
    done = []

    def job(name):
        done.append(name)
        if name == "third" and done.count(name) == 1:
            raise KeyboardInterrupt
        return {"value": np.float32(len(name)), "rows": [1, 2.5]}

    jobs = {name: partial(job, name) for name in ("first", "second", "third")}
    with pytest.raises(KeyboardInterrupt):
        evidence.finished(asked(tmp_path), "arm", jobs)
    found = evidence.finished(asked(tmp_path), "arm", jobs)
    assert done == ["first", "second", "third", "third"]
    assert found == {name: {"value": float(len(name)), "rows": [1, 2.5]} for name in jobs}
    # jobs of another title are others
    evidence.finished(asked(tmp_path), "arm 2", {"first": partial(job, "first")})
    assert done[4:] == ["first"]


def test_processes_share_jobs(tmp_path):
    code = f"""
import sys, time, pathlib
from zoo import evidence
args = evidence.arguments("A recipe.", "toy_data", [])
args.jobs = pathlib.Path({str(tmp_path)!r}) / "jobs"
def job(i):
    time.sleep(0.2)
    with open({str(tmp_path / "done")!r}, "a") as file:
        file.write(f"{{i}}\\n")
    return i
assert evidence.finished(args, "arm", {{str(i): lambda i=i: job(i) for i in range(8)}}) == {{str(i): i for i in range(8)}}
"""
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [other.wait() for other in others] == [0, 0]
    assert sorted((tmp_path / "done").read_text().split()) == [str(i) for i in range(8)]


def test_jobs_of_a_process_that_died_are_done_again(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    args = asked(tmp_path)
    evidence.finished(args, "arm", {"first": lambda: 1})
    file = next(args.jobs.glob("*.json"))
    file.unlink()
    file.with_suffix(".claim").write_text(str(dead.pid))
    assert evidence.finished(args, "arm", {"first": lambda: 2}) == {"first": 2}


def test_what_other_processes_did_counts_as_time_of_the_run(tmp_path):
    args = asked(tmp_path)
    evidence.finished(args, "arm", {"first": lambda: 1})
    assert args.job_seconds == 0
    file = next(args.jobs.glob("*.json"))
    file.write_text(json.dumps({"value": 1, "processor_seconds": 7.5, "process": "another"}))
    evidence.finished(args, "arm", {"first": lambda: 2})
    assert args.job_seconds == 7.5


def test_another_text_of_a_recipe_has_other_jobs(tmp_path):
    recipe = tmp_path / "train.py"
    folders = []
    for words in ("one", "two"):
        recipe.write_text(words)
        folders.append(folder(tmp_path, "toy_data", recipe))
    assert folders[0] != folders[1] and folders[0].parent == tmp_path / "runs" / "jobs"


@pytest.mark.parametrize("best", [0.01, 0.2, 3.0])
def test_the_best_rate_lies_inside_of_those_that_were_tried(best):
    rate, tried = evidence.best_rate((0.1, 0.2), lambda rate: abs(np.log(rate / best)))
    assert abs(np.log2(rate / best)) <= 0.5 and tried[rate] == min(tried.values())
    assert min(tried) < rate < max(tried)


def test_the_search_for_a_rate_ends():
    assert len(evidence.best_rate((0.1, 0.2), lambda rate: -rate, most=5)[1]) == 5


def test_the_same_search_may_try_unequal_numbers_of_settings():
    with pytest.raises(ValueError, match="same number"):
        Choice("digits", "rates", {"a": 3, "b": 4})
    assert Choice("digits", "rates", {"a": 3, "b": 4}, evidence.UNTIL_INSIDE).tries["b"] == 4
