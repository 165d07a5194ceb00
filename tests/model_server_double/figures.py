"""The double's /metrics: the text that a real server answered, with the figures that the double knows put in their places."""

import json
import re

from .arguments import RECORDED

_SAMPLE = re.compile(r"^(?P<name>vllm:[\w:]+)\{(?P<labels>.*)\} (?P<value>\S+)$")


class Figures:
    """Counters of one engine. Everything not named here stays 0."""

    def __init__(self, model: str, runner: str) -> None:
        self._model = model
        answers = json.loads((RECORDED / f"{runner}.json").read_text(encoding="utf-8"))
        self._lines: list[str] = answers["metrics"]["body"].splitlines()
        self.running = 0
        self.waiting = 0
        self.steps = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.finished = {"stop": 0, "length": 0, "abort": 0}

    def _value(self, name: str, labels: str) -> float:
        for word, count in self.finished.items():
            if name == "vllm:request_success_total" and f'finished_reason="{word}"' in labels:
                return count
        return {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": self.waiting,
            "vllm:iteration_tokens_total_count": self.steps,
            "vllm:prompt_tokens_total": self.prompt_tokens,
            "vllm:generation_tokens_total": self.generated_tokens,
            "vllm:cache_config_info": 1,
        }.get(name, 0)

    def text(self) -> str:
        """In Prometheus' format."""
        return "".join(f"{self._line(line)}\n" for line in self._lines)

    def _line(self, line: str) -> str:
        sample = _SAMPLE.match(line)
        if sample is None:
            return line
        labels = re.sub('model_name="[^"]*"', f'model_name="{self._model}"', sample["labels"])
        return f"{sample['name']}{{{labels}}} {float(self._value(sample['name'], labels))}"
