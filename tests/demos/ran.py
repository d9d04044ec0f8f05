"""Demonstrations as they are shown, each once for all tests."""

from functools import cache

from legato import demos


@cache
def shown(name: str, seed: int = 0) -> demos.Demo:
    return demos.run(name, seed)
