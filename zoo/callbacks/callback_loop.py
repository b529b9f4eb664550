"""Keras callbacks around a loop that is not `keras.Model.fit`."""

import keras


class CallbackLoop:
    """Runs callbacks around a loop of steps: a batch is one step, an epoch `log_every` of them.

    An epoch's logs are those of its last step, with the number of `steps` so far. Use it as a context; `model.history` is the record.

    Args:
        model: the `keras.Model` that the callbacks see.
        callbacks: list of Keras callbacks, one callback, or `None`.
        steps: steps at most.
        log_every: steps in an epoch.
        verbose: 2 prints a line an epoch.
    """

    def __init__(self, model, callbacks, steps, log_every=1, verbose=0):
        if not isinstance(log_every, int) or log_every < 1:
            raise ValueError(f"`log_every` must be a whole number of at least 1. Received: {log_every!r}")
        callbacks = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or [])
        self.model, self.log_every, self.step, self.logs = model, log_every, 0, {}
        self.list = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose == 2,
            model=model,
            verbose=verbose,
            epochs=-(-steps // log_every),
            steps=log_every,
        )

    def __enter__(self):
        self.model.stop_training = False
        self.list.on_train_begin()
        return self

    def advance(self, logs):
        """Tell the callbacks that a step is done.

        Args:
            logs: dict of floats.

        Returns:
            Whether a callback wants to stop.
        """
        epoch, batch = divmod(self.step, self.log_every)
        if batch == 0:
            self.list.on_epoch_begin(epoch)
        self.list.on_train_batch_begin(batch)
        self.list.on_train_batch_end(batch, logs)
        self.step, self.logs = self.step + 1, logs
        if batch == self.log_every - 1:
            self._end_epoch()
        return self.model.stop_training

    def _end_epoch(self):
        self.logs = {**self.logs, "steps": self.step}
        self.list.on_epoch_end((self.step - 1) // self.log_every, self.logs)

    def __exit__(self, kind, *error):
        if kind is None:
            if self.step % self.log_every:
                self._end_epoch()
            self.list.on_train_end(self.logs)
