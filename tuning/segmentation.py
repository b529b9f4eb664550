"""Search a U-Net on simulated touching cells."""

from zoo import applications, datasets, tuning


def main():
    """Search width, depth, dropout and learning rate; sections of one tissue would be split by section, not by crop."""
    args = tuning.arguments(__doc__)
    images, instances = datasets.touching_cells(16 if args.quick else 200)
    masks = (instances > 0).astype("int32")
    data = {"x": images, "y": masks, "batch_size": 8}
    tuning.search(applications.UNet, data, padding="same", **args.settings).show()


if __name__ == "__main__":
    main()
