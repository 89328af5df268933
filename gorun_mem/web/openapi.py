"""The API's table, and the OpenAPI document that follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gorun_mem._version import VERSION
from gorun_mem.web.documents import Wrong
from gorun_mem.web.site import Site

Handler = Callable[[Site, Request, Any], Awaitable[Response]]
REF: Final = "#/components/schemas/{name}"
_DESCRIBED: Final = {
    400: "what was sent is wrong",
    401: "the token is missing",
    404: "there is no such thing",
    405: "there is, but not by this method",
    409: "not now",
    413: "the body is too long",
    429: "too many at once",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path.

    Args:
        method: HTTP's.
        path: with {name} for what is in the path.
        does: in a sentence.
        handler: takes what the page is about, the request and its body, decoded.
        body: type of the body, None for none.
        answer: type of a good answer; None: it is no JSON.
        media: type of the answer's content.
        status: of a good answer.
        wrong: the other statuses that may come.
        query: (name, JSON schema, what it means).
    """

    method: str
    path: str
    does: str
    handler: Handler
    body: Any = None
    answer: Any = None
    media: str = "application/json"
    status: int = 200
    wrong: tuple[int, ...] = ()
    query: tuple[tuple[str, dict[str, Any], str], ...] = ()


def endpoint(method: str, path: str, **more: Unpack[_More]) -> Callable[[Handler], Endpoint]:
    """Make an endpoint of what serves it; its docstring says what it does.

    Args:
        method: HTTP's.
        path: with {name} for what is in the path.
        more: as in `Endpoint`.

    Raises:
        TypeError: it has no docstring.
    """

    def made(handler: Handler) -> Endpoint:
        does = (handler.__doc__ or "").partition("\n")[0].rstrip(".")
        if not does:
            raise TypeError(f"{method} {path}: say in a docstring what it does")
        return Endpoint(method=method, path=path, does=does, handler=handler, **more)

    return made


class _More(TypedDict, total=False):
    """What an endpoint may say besides."""

    body: Any
    answer: Any
    media: str
    status: int
    wrong: tuple[int, ...]
    query: tuple[tuple[str, dict[str, Any], str], ...]


def document(endpoints: Sequence[Endpoint], token: bool) -> dict[str, Any]:
    """The OpenAPI document of a table.

    Args:
        endpoints: the table.
        token: whether calls need one.
    """
    types = list(
        {id(t): t for e in endpoints for t in (e.body, e.answer) if t is not None}.values()
    )
    schemas, components = msgspec.json.schema_components([*types, Wrong], ref_template=REF)
    schema_of = {id(one): schema for one, schema in zip([*types, Wrong], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of, token)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "gorun_mem", "version": VERSION},
        "paths": paths,
        "components": {"schemas": components},
    }
    if token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def _operation(one: Endpoint, schema_of: dict[int, Any], token: bool) -> dict[str, Any]:
    good: dict[str, Any] = {"description": one.does}
    schema = schema_of[id(one.answer)] if one.answer is not None else {}
    good["content"] = {one.media: {"schema": schema}}
    wrong = schema_of[id(Wrong)]
    answers = {str(one.status): good}
    for status in sorted({*one.wrong, 400, *((401,) if token else ())}):
        content = {"application/json": {"schema": wrong}}
        answers[str(status)] = {"description": _DESCRIBED[status], "content": content}
    made: dict[str, Any] = {"summary": one.does, "responses": answers}
    parameters = [_path_parameter(name) for name in _names_in(one.path)]
    parameters += [
        {"name": name, "in": "query", "schema": schema, "description": about}
        for name, schema, about in one.query
    ]
    if parameters:
        made["parameters"] = parameters
    if one.body is not None:
        content = {"application/json": {"schema": schema_of[id(one.body)]}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _names_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _path_parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 8000}
    if name == "id":
        schema = {"type": "integer", "minimum": 1, "maximum": 1 << 53}
    return {"name": name, "in": "path", "required": True, "schema": schema}
