"""Search cells, target replication, dropout and learning rate for findings in intensive care."""

import numpy as np

from zoo import applications, datasets, tuning


def main():
    """Search by the area under the curve on other stays: will the patient die in hospital, and stay for two weeks or more?"""
    args = tuning.arguments(__doc__, epochs=8)
    stays = datasets.physionet2012("a")
    series = datasets.icu_series(stays, 24)
    labels = np.stack([stays.outcomes["In-hospital_death"] == 1, stays.outcomes["Length_of_stay"] >= 14], axis=1).astype("int32")
    rows = 400 if args.quick else len(series)
    x = {"series": series[:rows], "steps": np.full(rows, 24, "int32")}
    fixed = {"num_labels": 2, "length": 24}
    data = {"x": x, "y": labels[:rows], "batch_size": 64}
    tuning.search(applications.DiagnosisLSTM, data, **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
