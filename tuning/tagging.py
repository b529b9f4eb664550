"""Search sizes, dropout and learning rate of the tagger for parts of speech on English web texts."""

from zoo import applications, datasets, text, tuning


def main():
    """Search by the accuracy on other sentences."""
    args = tuning.arguments(__doc__)
    train, held_out = datasets.english_web_treebank("train")[:1000], datasets.english_web_treebank("dev")[:500]
    vocabulary = text.learn_vocabulary([[word.lower() for word in s.words] for s in train], min_count=2)
    tagger = applications.BLSTMTagger(vocabulary, datasets.POS_TAGS, units=1)

    def arrays(sentences):
        return tagger.encode([s.words for s in sentences], 32), tagger.encode_tags([s.pos for s in sentences], 32)

    x, y = arrays(train)
    data = {"x": x, "y": y, "batch_size": 32}
    fixed = {"vocabulary": vocabulary, "tags": datasets.POS_TAGS}
    tuning.search(applications.BLSTMTagger, data, arrays(held_out), objective="val_accuracy", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
