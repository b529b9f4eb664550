"""The search for a rate, or another positive setting, that the arms of a comparison share."""

from collections.abc import Callable, Sequence

# what a `Choice` says of it
UNTIL_INSIDE = "one rate more at the end of those tried as long as the best was there"


def best_rate(
    rates: Sequence[float], loss: Callable[[float], float], factor: float = 2.0, most: int = 8
) -> tuple[float, dict[float, float]]:
    """The rate with the least loss, which lies inside of what was tried: while it is the least or the greatest one, one beyond is tried.

    Args:
        rates: those that are tried first, at least two.
        loss: function of a rate.
        factor: how far apart further ones are.
        most: rates that are tried at all; at an end of these the search stops.

    Returns:
        The rate, and the losses of all that were tried.
    """
    found = {rate: loss(rate) for rate in rates}
    while True:
        best, tried = min(found, key=found.__getitem__), sorted(found)
        beyond = {tried[0]: best / factor, tried[-1]: best * factor}
        if best not in beyond or len(found) >= most:
            return best, found
        found[beyond[best]] = loss(beyond[best])
