"""Numbers of bytes, as people read them."""

_STEP = 1000


def size(count: int) -> str:
    """Return a number of bytes with a decimal prefix: 12 B, 3.4 kB, 5.6 GB."""
    value, units = float(count), ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        if value < _STEP or unit == units[-1]:
            break
        value /= _STEP
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
