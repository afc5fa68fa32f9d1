"""Stage `respond`: the projection as JSON or as a page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, render_template

from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.reply import Reply
from secure_api.pipeline.services import Services

JSON_OPTIONS = orjson.OPT_UTC_Z


def respond(services: Services, context: RequestContext) -> None:
    """Fill `response` from the reply; a template gets the projected rows, never the rows themselves."""
    reply = context.reply
    if reply is None:
        return
    if reply.template is not None:
        context.response = _page(services, context, reply)
    elif reply.row is None and reply.rows is None:
        context.response = Response(status=reply.status)
        context.response.headers.pop("Content-Type", None)
    else:
        body = context.shown if reply.rows is None else _collection(context)
        context.response = Response(
            orjson.dumps(body, option=JSON_OPTIONS), status=reply.status, mimetype="application/json"
        )
    context.response.headers.update(reply.headers)


def _page(services: Services, context: RequestContext, reply: Reply) -> Response:
    session_id = context.principal.session_id
    token = services.form_tokens.issue(session_id) if session_id is not None else None
    html = render_template(
        reply.template or "",
        rows=context.shown,
        principal=context.principal,
        csrf_token=token,
        has_more=context.has_more,
        **reply.context,
    )
    return Response(html, status=reply.status, mimetype="text/html")


def _collection(context: RequestContext) -> dict[str, Any]:
    query, path = context.query, context.request.path
    links = {"self": _address(path, query.limit, query.offset)}
    if context.has_more:
        links["next"] = _address(path, query.limit, query.offset + query.limit)
    if query.offset > 0:
        links["prev"] = _address(path, query.limit, max(0, query.offset - query.limit))
    return {"data": context.shown, "page": {"limit": query.limit, "offset": query.offset}, "links": links}


def _address(path: str, limit: int, offset: int) -> str:
    return f"{path}?{urlencode({'limit': limit, 'offset': offset})}"
