"""The GRU conditioned on a sentence's vector against Keras's GRU that reads the vector beside every word: states and gradients."""

import keras
import numpy as np
from harness import Benchmark
from keras import ops

from zoo import autodiff
from zoo.layers import ConditionalGRU

BATCH, STEPS, WORD, VECTOR, UNITS = 64, 20, 100, 300, 300


def main():
    """Time both."""
    rng = np.random.default_rng(0)
    words, vectors = (rng.normal(size=shape).astype("float32") for shape in ((BATCH, STEPS, WORD), (BATCH, VECTOR)))
    layer = ConditionalGRU(UNITS, WORD, VECTOR)
    peer = keras.layers.GRU(UNITS, reset_after=False, return_sequences=True)
    peer.build((BATCH, STEPS, WORD + VECTOR))

    def beside(words, vectors):
        repeated = ops.broadcast_to(vectors[:, None], (BATCH, STEPS, VECTOR))
        return peer(ops.concatenate([words, repeated], axis=2))

    benchmark = Benchmark("skip_thoughts", peer=f"keras.layers.GRU {keras.__version__}")
    for title, run in (("states", lambda f, v: f(words, v)), ("gradient of the vectors", None)):
        cases = []
        for part, function in ((layer, lambda w, v: layer(w, context=v)), (peer, beside)):
            if run is None:
                timed = autodiff.compiled(lambda v, f=function: autodiff.grad(lambda c: ops.sum(f(words, c)), v), part)
            else:
                timed = autodiff.compiled(lambda v, f=function: ops.sum(f(words, v)), part)
            cases.append(lambda timed=timed: ops.convert_to_numpy(timed(vectors)))
        benchmark.case(f"{title}, {BATCH} sentences of {STEPS} words, {UNITS} units", *cases, work=BATCH, unit="sentences")
    benchmark.report()


if __name__ == "__main__":
    main()
