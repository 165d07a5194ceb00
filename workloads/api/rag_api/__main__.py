"""`python -m rag_api`: reads the settings, starts the server."""

import signal
import sys

from pydantic import ValidationError
from pydantic.alias_generators import to_snake
from rag_contract.environment import ApiEnvironment

from .app import create_app
from .server import server
from .settings import load
from .telemetry import configure_logging


def main() -> int:
    """Exit code 0 after a clean stop, 2 for settings that cannot be used."""
    # The first process of a container ignores SIGTERM until somebody handles it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = load()
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            field = ".".join(str(part) for part in each["loc"])
            sys.stderr.write(f"{ApiEnvironment.prefix}{to_snake(field).upper()}: {each['msg']}\n")
        return 2
    configure_logging(settings.environment.log_level)
    host = server(create_app(settings), settings)
    host.run()
    return 0 if host.started else 1


if __name__ == "__main__":
    sys.exit(main())
