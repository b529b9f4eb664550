"""`python -m zoo.environments.commai`."""

from zoo.environments.commai.terminal import main

main()
