"""Search paragraph vectors of passages from the Brown corpus by the loss of other passages, whose vectors are inferred."""

import numpy as np

from zoo import applications, datasets, text, tuning


def main():
    """Search length, window and learning rate."""
    args = tuning.arguments(__doc__)
    passages = datasets.brown_passages(datasets.brown()[:: 60 if args.quick else 10])[0]
    words = text.learn_vocabulary(passages, min_count=5)
    fixed = {
        "vocabulary": words,
        "counts": text.count_words(passages, words),
        "num_documents": len(passages),
        "length": 256,
        "prediction": "hierarchical_softmax",
    }
    model = applications.ParagraphVectors(**fixed)
    ids = model.encode([" ".join(line) for line in passages])
    # every second passage trains, the others are held out
    data = {"x": np.ascontiguousarray(ids[::2])}
    tuning.search(applications.ParagraphVectors, data, (ids[1::2], None), objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
