"""How figures are told while they are measured."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def verdict(label: str, value: float, limit: float, *, below: bool = True, unit: str = "") -> None:
    """Print a figure beside its limit."""
    reached = value <= limit if below else value >= limit
    sign = "≤" if below else "≥"
    say(f"  {'reached' if reached else 'MISSED '}  {label}: {value:.3g}{unit} ({sign} {limit:g}{unit})")
