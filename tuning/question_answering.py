"""Search an end-to-end memory network on simulated bAbI stories (task 1)."""

from zoo import applications, tuning
from zoo.datasets import babi


def main():
    """Search hops, size, tying and learning rate by the accuracy on held-out stories."""
    args = tuning.arguments(__doc__, epochs=20)
    examples = babi.examples(babi.simulate(1, questions=300 if args.quick else 2000))
    words = babi.vocabulary(examples)
    x, y = babi.vectorise(examples, words, memory_size=20)
    data = {"x": x, "y": y, "batch_size": 32}
    fixed = {"vocabulary": words, "memory_size": 20}
    tuning.search(applications.MemN2N, data, objective="val_accuracy", **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
