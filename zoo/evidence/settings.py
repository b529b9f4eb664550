"""What was measured beside what a user constructs: arguments and training that differ from the defaults of the class."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

REQUIRED = "required"


def differences(model: Any) -> dict[str, Any]:
    """What differs from the defaults of the model's class, computed from its config and from what its `fit` was given.

    Args:
        model: a trained `zoo.Model`.

    Returns:
        `{"arguments": {name: [default, measured]}, "training": [...]}`. Each call of `fit` has an entry with what it was given (batch
        size, epochs, updates, loss, callbacks) and `optimizer`, `{setting: [default, measured]}`. Training that the model cannot tell of,
        since its weights came from elsewhere, is an empty list.
    """
    default = _flat(_serialized(model.default_optimizer()))
    training = []
    for fit in model.fits.records:
        measured = _flat(fit["optimizer"])
        names = [name for name in {**default, **measured} if default.get(name) != measured.get(name)]
        changed = {name: [default.get(name), measured.get(name)] for name in names}
        training.append({**fit, "optimizer": changed})
    return {"arguments": arguments(type(model), model.get_config()), "training": training}


def arguments(cls: Any, config: dict[str, Any]) -> dict[str, list[Any]]:
    """Constructor arguments of `config` that differ from the defaults of `cls`: name -> [default, value], as plain JSON, long ones cut."""
    found = {}
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name in config and name not in ("self", "name", "dtype"):
            default = REQUIRED if parameter.default is inspect.Parameter.empty else _plain(parameter.default)
            if default != (value := _plain(config[name])):
                found[name] = [default, _brief(value)]
    return found


def sentences(found: dict[str, Any]) -> Iterator[str]:
    """The differences in words for a card, one line each."""
    for name, (default, value) in found["arguments"].items():
        yield f"`{name}`: {_short(value)}" + ("" if default == REQUIRED else f" (default: {_short(default)})")
    for fit in found["training"] or []:
        told = {name.replace("_", " "): value for name, value in fit.items() if name != "optimizer" and value not in (None, [])}
        given = [f"{name} {_words(value)}" for name, value in told.items()]
        changed = [_change(name, default, value) for name, (default, value) in fit["optimizer"].items()]
        yield f"`fit`: {', '.join(given)}; optimizer: {', '.join(changed) or 'the default'}"


def _change(name, default, value):
    return f"{name} {_short(value)}" + ("" if default is None else f" (default: {_short(default)})")


def _words(value):
    return ", ".join(value) if isinstance(value, list) else value


def _serialized(optimizer):
    import keras

    return optimizer and keras.optimizers.serialize(optimizer)


def _flat(config, name=""):
    """A serialised optimizer as `{"class": ..., "learning_rate": ..., "learning_rate.decay_steps": ...}`."""
    if not isinstance(config, dict):
        # a rate comes back from its float32 variable
        return {name: float(f"{config:.6g}") if isinstance(config, float) else _plain(config)}
    if "class_name" not in config:
        inner, found = config, {}
    elif isinstance(config["config"], dict):
        inner, found = config["config"], {name or "class": config["class_name"]}
    else:
        inner, found = {}, {name: config["config"]}
    for key, value in inner.items():
        if key != "name":
            found.update(_flat(value, f"{name}.{key}" if name else key))
    return found


def _plain(value):
    """As JSON has it, so that tuples and lists compare equal; Keras objects are known by their class."""
    return json.loads(json.dumps(value, default=lambda item: type(item).__name__))


def _brief(value):
    """A vocabulary of thousands of words stands in the config; here its beginning tells enough."""
    text = json.dumps(value)
    return value if len(text) <= 200 else f"{text[:200]}..."


def _short(value):
    if isinstance(value, dict) and "class_name" in value:
        return value["class_name"]
    text = f"{value:.4g}" if isinstance(value, float) else value if str(value).endswith("...") else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
