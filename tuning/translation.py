"""Search a translator's sizes, dropout and learning rate on short descriptions of pictures, German to English, by a word's loss."""

from zoo import applications, datasets, text, tuning


def main():
    """Search by the loss of held-out pairs."""
    args = tuning.arguments(__doc__)
    size = 500 if args.quick else 10000
    (english, german), (english_test, german_test) = datasets.multi30k("train"), datasets.multi30k("val")
    vocabularies = [text.learn_vocabulary(lines[:size], 4000) for lines in (german, english)]
    fixed = {"source_vocabulary": vocabularies[0], "target_vocabulary": vocabularies[1], "source_length": 24, "target_length": 24}
    model = applications.LargeVocabularyTranslator(**fixed)
    data = {"x": model.encode(german[:size], english[:size]), "batch_size": 80}
    held_out = model.encode(german_test, english_test)
    tuning.search(applications.LargeVocabularyTranslator, data, (held_out, None), objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
