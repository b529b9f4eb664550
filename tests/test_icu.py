"""Series of intensive care from a small archive, against loops; scores of several labels against their definitions."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from repin import repin

from zoo import datasets
from zoo.metrics import f1_thresholds, multilabel_scores

STAYS = {
    7: [("00:00", "RecordID", 7), ("00:10", "HR", 80), ("00:50", "HR", 100), ("02:05", "HR", 90), ("01:00", "NISysABP", 110)],
    9: [("00:30", "Temp", -1), ("03:59", "SysABP", 120)],
}
OUTCOMES = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n7,6,1,5,-1,0\n9,16,8,8,12,1\n"


@pytest.fixture(params=["csv", "tar"])
def stays(request, tmp_path, monkeypatch):
    folder = tmp_path / "physionet2012"
    folder.mkdir()
    (folder / "Outcomes-a.txt").write_text(OUTCOMES)
    rows = {number: [f"{time},{name},{value}" for time, name, value in table] for number, table in STAYS.items()}
    if request.param == "csv":
        lines = [f"{number},{row}" for number, table in rows.items() for row in table]
        (folder / "set-a.csv.gz").write_bytes(gzip.compress("\n".join(["RecordID,Time,Parameter,Value", *lines]).encode()))
    else:
        with tarfile.open(folder / "set-a.tar.gz", "w:gz") as archive:
            for number, table in rows.items():
                content = "\n".join(["Time,Parameter,Value", *table]).encode()
                member = tarfile.TarInfo(f"./set-a/{number}.txt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    repin(monkeypatch, "physionet2012", tmp_path)
    return datasets.physionet2012("a")


def test_hourly_means(stays):
    assert stays.numbers.tolist() == [7, 9] and stays.outcomes["In-hospital_death"].tolist() == [0, 1]
    nan = np.nan
    expected = [[[90, nan, nan], [nan, nan, 110], [90, nan, nan]], [[nan] * 3] * 3]
    np.testing.assert_array_equal(stays.hourly(["HR", "Temp", "SysABP"], 3), expected)
    assert stays.hourly(["SysABP"], 4)[1, 3, 0] == 120


def test_gaps_are_filled(stays):
    filled = datasets.impute_series(stays.hourly(["HR", "Temp", "SysABP"], 3), [80, 37, 118])
    np.testing.assert_array_equal(filled[0], [[90, 37, 110], [90, 37, 110], [90, 37, 110]])
    np.testing.assert_array_equal(filled[1], [[80, 37, 118]] * 3)
    series = datasets.icu_series(stays)
    assert series.shape == (2, 48, 13) and series.min() >= 0 and series.max() <= 1


def test_forward_before_backward():
    series = np.array([[np.nan, 1, np.nan, 3, np.nan]])[..., None]
    np.testing.assert_array_equal(datasets.impute_series(series, [9])[0, :, 0], [1, 1, 1, 3, 3])
    with pytest.raises(ValueError, match="part"):
        datasets.physionet2012("d")


def test_scores():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (50, 4))
    labels[:, 3] = 0
    chances = 0.5 * rng.uniform(size=(50, 4)) + 0.3 * labels

    def auc(y, p):
        above = p[y == 1][:, None] - p[y == 0]
        return np.mean((above > 0) + 0.5 * (above == 0))

    found = multilabel_scores(labels, chances, 0.5, k=2)
    np.testing.assert_allclose(found["micro_auc"], auc(labels.ravel(), chances.ravel()))
    np.testing.assert_allclose(found["macro_auc"], np.mean([auc(labels[:, i], chances[:, i]) for i in range(3)]))
    right = np.sum((chances >= 0.5) & (labels == 1), 0)
    f1 = 2 * right / (np.sum(chances >= 0.5, 0) + np.sum(labels, 0))
    np.testing.assert_allclose(found["macro_f1"], f1[:3].mean())
    np.testing.assert_allclose(found["micro_f1"], 2 * right.sum() / (np.sum(chances >= 0.5) + labels.sum()))
    np.testing.assert_allclose(found["precision_at_k"], np.mean([row[np.argsort(-p)[:2]].mean() for row, p in zip(labels, chances)]))


def test_thresholds_are_the_best():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (40, 2))
    chances = rng.uniform(size=(40, 2)) + 0.4 * labels
    best = multilabel_scores(labels, chances, f1_thresholds(labels, chances))["macro_f1"]
    grid = np.unique(chances)
    brute = [max(multilabel_scores(labels[:, [i]], chances[:, [i]], t)["micro_f1"] for t in grid) for i in range(2)]
    np.testing.assert_allclose(best, np.mean(brute))
