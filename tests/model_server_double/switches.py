"""What the double can be told to do, by variables `DOUBLE_<FIELD>` or, while it runs, by `POST /double/<switch>`."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass
class Switches:
    """Times in seconds. Mutable: tests turn them while the double runs."""

    load_seconds: float = 0.0
    """Nothing listens for so long after the start."""
    fail: str = ""
    """Instead of listening: print this line and end with status 1."""
    first_answer: str = ""
    """`crash`: healthy until the first question, as an engine with a wrong kernel is. `refuse`: answer 500."""
    hang: bool = False
    """Requests run, no token comes and no step is counted; /health and /metrics answer on."""
    token_seconds: float = 0.005
    answer: str = "The manual says so [S1]."
    dimension: int = 8
    """Of embeddings."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Switches":
        """Raises ValueError for a number that is none."""
        made = cls()
        for field in dataclasses.fields(cls):
            text = environment.get(f"DOUBLE_{field.name.upper()}")
            if text is not None:
                made.set(field.name, text)
        return made

    def set(self, name: str, text: str) -> None:
        """From text, by the type of the field's value now. Raises AttributeError for an unknown name."""
        now = getattr(self, name)
        setattr(self, name, text.lower() in {"1", "true"} if isinstance(now, bool) else type(now)(text))
