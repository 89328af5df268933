"""The table of the API: found in the files of its folder, and refused where it is not complete."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

import gorun_mem.web.calls as package
from gorun_mem.web.calls import endpoints
from gorun_mem.web.openapi import document, endpoint
from gorun_mem.web.site import Site


def test_a_call_says_what_it_does() -> None:
    """One without a docstring cannot be imported."""

    async def silent(site: Site, request: Request, body: None) -> Response:
        return Response()

    with pytest.raises(TypeError, match="GET /api/x: say in a docstring what it does"):
        endpoint("GET", "/api/x")(silent)


TEXT = '''
from starlette.responses import Response
from gorun_mem.web.openapi import endpoint


@endpoint("{method}", "{path}", media="text/plain")
async def greeting(site, request, body):
    """A greeting."""
    return Response("hello")
'''


@pytest.mark.parametrize("path", ["/api/greeting", "/api/world"])
def test_a_file_is_a_call_and_nothing_else_has_to_name_it(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid into the folder it is served and described; a path that is taken is refused."""
    (tmp_path / "laid_beside.py").write_text(TEXT.format(method="GET", path=path))
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(package._FILES, "_found", {})
    try:
        if path == "/api/world":
            with pytest.raises(ValueError, match="two endpoints are GET /api/world"):
                endpoints()
            return
        described = document(endpoints(), token=False)["paths"]
        assert described[path]["get"]["summary"] == "A greeting"
    finally:
        sys.modules.pop(f"{package.__name__}.laid_beside", None)
