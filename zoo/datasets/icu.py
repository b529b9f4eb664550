"""Vital signs and laboratory values from intensive care: the stays of PhysioNet's challenge of 2012, and hourly series of them."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo import files
from zoo.datasets.records import info

# a clinically normal value, and the range that [0, 1] stands for
ICU_VARIABLES = {
    "SysABP": (120, 40, 220),
    "DiasABP": (75, 20, 140),
    "MAP": (90, 30, 160),
    "FiO2": (0.21, 0.21, 1.0),
    "GCS": (15, 3, 15),
    "Glucose": (105, 40, 400),
    "HR": (80, 30, 180),
    "pH": (7.4, 6.9, 7.7),
    "PaCO2": (40, 15, 90),
    "RespRate": (16, 4, 50),
    "SaO2": (97, 60, 100),
    "Temp": (37, 32, 42),
    "Urine": (80, 0, 500),
}
# measured with a cuff instead of a catheter
_SAME = {"NISysABP": "SysABP", "NIDiasABP": "DiasABP", "NIMAP": "MAP"}


@dataclass(frozen=True)
class ICUStays:
    """Measurements of stays in intensive care as one long table, and what became of the patients.

    Args:
        numbers: of the stays, `(stays,)`.
        stay: place of each measurement's stay in `numbers`, `(measurements,)`.
        variable: name of what was measured, as in the challenge.
        minute: since admission.
        value: in the challenge's units.
        outcomes: dict of arrays `(stays,)`: `"SAPS-I"`, `"SOFA"`, `"Length_of_stay"` (days), `"Survival"` (days, -1 if not known to have
            died), `"In-hospital_death"`; -1 for unknown.
    """

    numbers: np.ndarray
    stay: np.ndarray
    variable: np.ndarray
    minute: np.ndarray
    value: np.ndarray
    outcomes: dict

    def hourly(self, names, hours=48):
        """Means of each hour (section 3 of Lipton et al. 2015, arXiv 1511.03677).

        Args:
            names: variables; the cuff's blood pressures count as those of the catheter.
            hours: since admission.

        Returns:
            `(stays, hours, len(names))` float32, NaN where nothing was measured.
        """
        places = {name: i for i, name in enumerate(names)}
        column = np.array([places.get(_SAME.get(name, name), -1) for name in self.variable])
        # the challenge writes -1 for what is unknown
        kept = (column >= 0) & (self.minute < 60 * hours) & (self.value >= 0)
        at = (self.stay[kept], self.minute[kept] // 60, column[kept])
        total, count = np.zeros((2, len(self.numbers), hours, len(names)))
        np.add.at(total, at, self.value[kept])
        np.add.at(count, at, 1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype("float32")


def physionet2012(part="a"):
    """Stays of PhysioNet's challenge of 2012 (Silva et al. 2012), the first 48 hours of each; open data, ODC-BY.

    Read from `ZOO_DATA/physionet2012` if there, else downloaded from PhysioNet (about 8 MB a part).

    Args:
        part: `"a"`, `"b"` or `"c"`, about 4000 stays each.

    Returns:
        `ICUStays`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if there is no such part, or a file is not what the checksum says.
    """
    if part not in ("a", "b", "c"):
        raise ValueError(f"`part` must be 'a', 'b' or 'c'. Received: {part!r}")
    import pandas as pd

    record = info("physionet2012")
    named = {file.name.split("/")[1]: file for file in (*record.files, *record.copies)}
    copy = files.fetch_copy(named[f"set-{part}.csv.gz"], record)
    table = pd.read_csv(copy) if copy else _read_archive(files.fetch(named[f"set-{part}.tar.gz"], record))
    outcomes = pd.read_csv(files.fetch(named[f"Outcomes-{part}.txt"], record)).set_index("RecordID")
    table = table[table["RecordID"].isin(outcomes.index) & table["Value"].notna()]
    minutes = table["Time"].str[:2].astype(int) * 60 + table["Time"].str[3:].astype(int)
    return ICUStays(
        outcomes.index.to_numpy(),
        outcomes.index.get_indexer(table["RecordID"]),
        table["Parameter"].to_numpy(str),
        minutes.to_numpy(),
        table["Value"].to_numpy(float),
        {name: outcomes[name].to_numpy(float) for name in outcomes},
    )


def impute_series(series, normal):
    """Series without gaps: the last value before, else the first behind, else a normal value.

    Args:
        series: `(stays, hours, variables)`, NaN where nothing was measured.
        normal: value of each variable.

    Returns:
        Array of the same shape.
    """
    filled = np.array(series, "float32")
    for way in (filled, filled[:, ::-1]):
        for step in range(1, way.shape[1]):
            way[:, step] = np.where(np.isnan(way[:, step]), way[:, step - 1], way[:, step])
    return np.where(np.isnan(filled), np.asarray(normal, "float32"), filled)


def icu_series(stays, hours=48):
    """Hourly series of `ICU_VARIABLES` without gaps, scaled to [0, 1]: `(stays, hours, 13)` float32."""
    normal, low, high = np.array(list(ICU_VARIABLES.values()), "float32").T
    filled = impute_series(stays.hourly(list(ICU_VARIABLES), hours), normal)
    return np.clip((filled - low) / (high - low), 0, 1)


def _read_archive(file):
    """The table of an archive with one file a stay."""
    import pandas as pd

    with tarfile.open(file) as archive:
        members = sorted((member for member in archive if member.isfile() and member.name.endswith(".txt")), key=lambda member: member.name)
        tables = [pd.read_csv(archive.extractfile(member)).assign(RecordID=int(Path(member.name).stem)) for member in members]
    return pd.concat(tables)
