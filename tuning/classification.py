"""Search activation, width and learning rate of the ELU paper's MNIST network on 8 x 8 digits."""

from zoo import applications, datasets, tuning


def main():
    """Search by the accuracy on held-out digits."""
    args = tuning.arguments(__doc__)
    train, held_out = datasets.digits_8x8()
    data = {"x": train[0], "y": train[1], "batch_size": 64}
    tuning.search(applications.ELUNet, data, held_out, objective="val_accuracy", input_shape=(8, 8, 1), **args.settings).show()


if __name__ == "__main__":
    main()
