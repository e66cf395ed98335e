"""How quantities are written, in paths and for readers."""


def percent(fraction: float) -> str:
    """A label fraction as it is written in paths: `5`, `100`, `2.5`."""
    return f"{100 * fraction:.10g}"
