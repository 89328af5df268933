"""What the pytest runs of these tests have of other plugins."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _without_asyncio(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-asyncio warns at its start, which is an error in runs that take warnings for such."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # which takes the variable away
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
