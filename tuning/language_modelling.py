"""Search the strategy, sizes and learning rate of a language model on sentences of the Brown corpus, by the nats of a held-out word."""

import numpy as np

from zoo import applications, datasets, text, tuning


def main():
    """Search by the loss of held-out sentences."""
    args = tuning.arguments(__doc__)
    lines = [" ".join(words).lower() for document in datasets.brown() for words in document.sentences if 3 < len(words) <= 40]
    lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[: 1000 if args.quick else None]]
    fixed = {"vocabulary": text.learn_vocabulary([line.split() for line in lines], 10000), "length": 40}
    model = applications.LargeVocabularyLM(**fixed)
    held_out = len(lines) // 10
    data = {"x": model.encode(lines[held_out:]), "batch_size": 32}
    validation = (model.encode(lines[:held_out]), None)
    tuning.search(applications.LargeVocabularyLM, data, validation, objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
