"""Simulated patients with chronic conditions, in the form of an extract of the OMOP common data model.

Nothing here is medicine: the codes look like ICD-9-CM, and mean nothing.
"""

import numpy as np

from zoo.datasets.patients import PatientRecords

HOSPITALS = ("a", "b")
# stages of a condition, and its variants, of which a patient has one: the fourth and fifth digit of its code
STAGES, VARIANTS = 3, 2
YEAR = 365.25
# 2010-01-01
_START = 14610


class PatientSimulator:
    """A world of conditions, and the patients of one of its two hospitals.

    Conditions come and go as Markov chains in continuous time with the rates `onset` and `remission`, drawn from the exact law of such a
    chain at each visit. While one lasts it goes through three stages, at most one between two visits. From the second stage on it
    multiplies the onset of a complication, which depends on its variant, by `comorbidity`. At a visit a condition is coded with a chance of
    its own, as `ggg.sv`: category, stage, variant; a patient has one variant of each condition. It also shows symptoms, which conditions
    share. Routine codes come by a Zipf law; what would have no code gets the first of them. The days up to the next visit are log-normal
    around `base_gap / (1 + severity * sum of stages)`, times a factor of the patient.

    Args:
        hospital: `"a"` or `"b"`. They share conditions, complications and vocabulary. `"b"` has other prevalences (log-normal factors on
            onset), codes at other chances, and writes half of its conditions without the stage (`ggg.1v`).
        num_conditions: categories that a patient can have.
        num_symptoms: categories of symptoms, two codes each: in the first stage and later.
        num_routine: categories of routine codes, one code each.
        comorbidity: factor on the onset of complications; 1 for none.
        severity: by which stages shorten the time to the next visit; 0 for none.
        frailty: standard deviation of the log of a patient's own factor on all gaps.
        base_gap: days, the median gap of healthy patients.
        noise: standard deviation of the log of single gaps.
        years: for which a patient is seen, from the first visit on.
        world: seed of conditions, complications and hospitals.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        hospital="a",
        num_conditions=40,
        num_symptoms=50,
        num_routine=20,
        comorbidity=40.0,
        severity=0.4,
        frailty=0.4,
        base_gap=365.0,
        noise=0.5,
        years=5.0,
        world=0,
    ):
        if hospital not in HOSPITALS:
            raise ValueError(f"`hospital` must be one of {HOSPITALS}. Received: {hospital!r}")
        sizes = {"num_conditions": (num_conditions, 3, 680), "num_symptoms": (num_symptoms, 3, 220), "num_routine": (num_routine, 1, 100)}
        for name, (size, low, high) in sizes.items():
            if not low <= size <= high:
                raise ValueError(f"`{name}` must be {low} to {high}. Received: {size}")
        if min(comorbidity, base_gap, years) <= 0 or min(severity, frailty, noise) < 0:
            raise ValueError(
                "`comorbidity`, `base_gap` and `years` must be positive, `severity`, `frailty` and `noise` not negative. "
                f"Received: {comorbidity}, {base_gap}, {years}, {severity}, {frailty}, {noise}"
            )
        self.hospital, self.comorbidity, self.severity, self.frailty = hospital, comorbidity, severity, frailty
        self.base_gap, self.noise, self.years = base_gap, noise, years
        self._draw_world(np.random.default_rng([world, 0]), num_conditions, num_symptoms, num_routine)
        if hospital == "b":
            self._draw_habits(np.random.default_rng([world, 1]))

    def _draw_world(self, rng, num_conditions, num_symptoms, num_routine):
        # two thirds stay for decades, the others for months, and come as often as they go
        chronic = np.arange(num_conditions) % 3 > 0
        self.remission = np.where(chronic, 0.1, rng.uniform(1, 3, num_conditions))
        self.onset = np.where(chronic, 1, 6) * rng.lognormal(np.log(0.005), 0.7, num_conditions)
        self.progression = rng.uniform(0.3, 1.2, num_conditions)
        # of each variant, another condition
        steps = rng.integers(1, num_conditions, (num_conditions, VARIANTS))
        self.complications = (np.arange(num_conditions)[:, None] + steps) % num_conditions
        self.coded = rng.uniform(0.4, 0.8, num_conditions)
        self.symptoms = np.argsort(rng.random((num_conditions, num_symptoms)), axis=1)[:, :3]
        self.shown = rng.uniform(0.05, 0.25, (num_conditions, 3))
        self.routine = 0.8 / np.arange(1, num_routine + 1) / np.sum(1 / np.arange(1, num_routine + 1))
        self.staged = np.ones(num_conditions, bool)
        numbers = np.sort(rng.choice(np.arange(100, 780), num_conditions, replace=False))
        digits = [f"{stage}{variant}" for stage in range(1, STAGES + 1) for variant in range(VARIANTS)]
        self.vocabulary = [f"{number}.{pair}" for number in numbers for pair in digits]
        self.vocabulary += [f"{780 + symptom}.{later}" for symptom in range(num_symptoms) for later in (0, 1)]
        self.vocabulary += [f"V{routine:02d}" for routine in range(num_routine)]

    def _draw_habits(self, rng):
        """What sets the second hospital apart."""
        size = len(self.onset)
        self.onset = self.onset * rng.lognormal(0, 0.7, size)
        self.coded = self.coded * rng.uniform(0.6, 1.2, size)
        self.shown = self.shown * rng.uniform(0.5, 1.5, self.shown.shape)
        self.routine = rng.permutation(self.routine)
        self.staged = rng.random(size) < 0.5

    @property
    def prevalence(self):
        """Share of patients with each condition, where nothing is a complication: `onset / (onset + remission)`."""
        return self.onset / (self.onset + self.remission)

    def simulate(self, num_patients, seed=0):
        """Records of patients who come for the first time in 2010 or 2011.

        Args:
            num_patients: number of patients.
            seed: of all that is not of the world, an integer or a list of them.

        Returns:
            `zoo.datasets.PatientRecords` with the whole vocabulary.
        """
        rng = np.random.default_rng(seed)
        patients, shape = np.arange(num_patients), (num_patients, len(self.onset))
        variants = rng.integers(VARIANTS, size=shape)
        stages = rng.integers(1, STAGES + 1, shape) * (rng.random(shape) < self.prevalence)
        pace = self.base_gap * np.exp(self.frailty * rng.normal(size=num_patients))
        days = _START + rng.integers(0, 2 * int(YEAR), num_patients)
        ends = days + self.years * YEAR
        rows = []
        while len(patients):
            visit, columns = self._code(stages, variants, rng)
            rows.append((patients[visit], days[visit], columns))
            gaps = pace / (1 + self.severity * stages.sum(axis=1)) * np.exp(self.noise * rng.normal(size=len(patients)))
            gaps = np.maximum(np.round(gaps), 1).astype("int64")
            stages = self.advance(stages, variants, gaps / YEAR, rng)
            days = days + gaps
            stay = days < ends
            patients, variants, stages, pace, days, ends = (part[stay] for part in (patients, variants, stages, pace, days, ends))
        patients, days, columns = (np.concatenate(part) for part in zip(*rows))
        records = PatientRecords.from_rows(patients + 1, days, np.array(self.vocabulary)[columns])
        return records.with_vocabulary(self.vocabulary)

    def advance(self, stages, variants, years, rng):
        """The stages of the conditions after a time.

        Args:
            stages: 0 for absent, else 1 to 3, `(patients, conditions)`.
            variants: 0 or 1, `(patients, conditions)`.
            years: that pass, `(patients,)`.
            rng: `numpy.random.Generator`.

        Returns:
            Stages, `(patients, conditions)`.
        """
        years, present = years[:, None], stages > 0
        onset = np.broadcast_to(self.onset, stages.shape).copy()
        patient, cause = np.nonzero(stages > 1)
        complication = self.complications[cause, variants[patient, cause]]
        onset[patient, complication] = self.onset[complication] * self.comorbidity
        rate = onset + self.remission
        changes = rng.random(stages.shape) < np.where(present, self.remission, onset) / rate * -np.expm1(-rate * years)
        further = (rng.random(stages.shape) < -np.expm1(-self.progression * years)) & (stages < STAGES)
        return np.where(present, np.where(changes, 0, stages + further), changes)

    def _code(self, stages, variants, rng):
        """The codes of a visit of each patient, as rows and columns."""
        found, shape = [], stages.shape
        patient, condition = np.nonzero((stages > 0) & (rng.random(shape) < self.coded))
        stage = np.where(self.staged[condition], stages[patient, condition], 1)
        found.append((patient, (condition * STAGES + stage - 1) * VARIANTS + variants[patient, condition]))
        patient, condition, which = np.nonzero((stages > 0)[..., None] & (rng.random((*shape, 3)) < self.shown))
        first = shape[1] * STAGES * VARIANTS
        found.append((patient, first + 2 * self.symptoms[condition, which] + (stages[patient, condition] > 1)))
        patient, routine = np.nonzero(rng.random((shape[0], len(self.routine))) < self.routine)
        first = len(self.vocabulary) - len(self.routine)
        found.append((patient, first + routine))
        none = np.setdiff1d(np.arange(shape[0]), np.concatenate([patient for patient, _ in found]))
        found.append((none, np.full(len(none), first)))
        return tuple(np.concatenate(part) for part in zip(*found))
