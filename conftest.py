"""Fixtures that every test may use: the bench, a namespace on it, control planes to break."""

pytest_plugins = ["tests.cluster.fixtures", "tests.rights.recording"]
