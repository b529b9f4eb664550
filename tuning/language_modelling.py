"""Search what reads the context, sizes and learning rate of a larger-context language model on the Brown corpus, by a word's loss."""

import numpy as np

from zoo import applications, datasets, text, tuning


def main():
    """Search by the loss of held-out sentences."""
    args = tuning.arguments(__doc__)
    documents = [[" ".join(words[:40]).lower() for words in one.sentences if words] for one in datasets.brown()]
    parts = [text.with_contexts(part) for part in ([one for i, one in enumerate(documents) if i % 10], documents[::10])]
    train, held_out = ([part[i] for i in np.random.default_rng(0).permutation(len(part))] for part in parts)
    train, held_out = train[: 500 if args.quick else 20000], held_out[: 100 if args.quick else 1000]
    fixed = {"vocabulary": text.learn_vocabulary([one[-1].split() for one in train], 5000), "length": 40}
    model = applications.LargerContextLM(**fixed)
    data = {"x": model.encode(train), "batch_size": 32}
    validation = (model.encode(held_out), None)
    tuning.search(applications.LargerContextLM, data, validation, objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
