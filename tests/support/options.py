"""Options of our programs, written as Python keywords: heartbeat="1s", cors_origin=["https://a",
"https://b"], publish=True."""


def _values(value):
    return value if isinstance(value, (list, tuple)) else [value]


def _text(value):
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _words(name, value):
    """A flag that is off has its value in the same word."""
    if value is False:
        return [f"--{name}={_text(value)}"]
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def arguments(options):
    """For a command line: --heartbeat 1s --cors-origin https://a --cors-origin https://b. None
    leaves an option out."""
    out = []
    for name, value in options.items():
        if value is None:
            continue
        for one in _values(value):
            out += _words(name.replace("_", "-"), one)
    return out


def environment(options):
    """For an environment: SSECAST_HEARTBEAT=1s. A list becomes one value with commas."""
    return {
        "SSECAST_" + name.upper(): ",".join(map(_text, _values(value)))
        for name, value in options.items()
        if value is not None
    }
