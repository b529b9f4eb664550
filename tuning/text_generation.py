"""Search a sentence VAE's sizes, word dropout and annealing on short sentences of fiction, by the bound on held-out sentences."""

from zoo import applications, datasets, text, tuning


def main():
    """Search by the loss of held-out sentences, where the divergence always has its full weight."""
    args = tuning.arguments(__doc__)
    documents = datasets.brown(["fiction", "mystery", "adventure", "romance"])[:: 20 if args.quick else 1]
    sentences = [" ".join(s) for document in documents for s in document.sentences if len(s) <= 10]
    fixed = {"vocabulary": text.learn_vocabulary(sentences, 1500), "length": 10}
    data = {"x": applications.SentenceVAE(**fixed).encode(sentences), "batch_size": 64}
    # held out are the last sentences: other documents
    held_out = data["x"][-len(sentences) // 5 :]
    data["x"] = data["x"][: -len(sentences) // 5]
    tuning.search(applications.SentenceVAE, data, (held_out, None), objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
