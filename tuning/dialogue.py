"""Search sizes, layers and learning rate of a conversational model on chats, by the loss of a word of held-out replies."""

from zoo import applications, evidence, text, tuning


def main():
    """Search by the loss of held-out replies."""
    args = tuning.arguments(__doc__)
    turns, replies = evidence.chat_exchanges("train", 500 if args.quick else 20000, turns=2)
    vocabulary = text.learn_vocabulary([turn for one in turns for turn in one] + replies, 2000)
    fixed = {"vocabulary": vocabulary, "turns": 2, "source_length": 40, "target_length": 15}
    model = applications.NeuralConversationalModel(**fixed)
    data = {"x": model.encode(turns, replies), "batch_size": 64}
    validation = (model.encode(*evidence.chat_exchanges("validation", 1000, turns=2)), None)
    tuning.search(applications.NeuralConversationalModel, data, validation, objective="val_loss", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
