"""`python -m zoo.environments.commai`."""

from zoo.environments.commai.terminal import main

if __name__ == "__main__":
    main()
