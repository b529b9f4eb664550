"""Search a sentence CNN's regions, maps, activation, pooling, dropout and norm constraint on sentences of film reviews."""

from zoo import applications, datasets, text, tuning


def main():
    """Search by the accuracy on held-out sentences."""
    args = tuning.arguments(__doc__, epochs=8)
    (texts, labels), _ = datasets.movie_snippets()
    texts, labels = texts[: 300 if args.quick else None], labels[: 300 if args.quick else None]
    words = text.learn_vocabulary(texts, min_count=2)
    fixed = {"vocabulary": words, "length": 40, "embedding_size": 50, "channels": "rand"}
    encode = applications.SentenceCNN(**fixed).encode
    data = {"x": encode(texts), "y": labels, "batch_size": 50}
    tuning.search(applications.SentenceCNN, data, objective="val_accuracy", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
