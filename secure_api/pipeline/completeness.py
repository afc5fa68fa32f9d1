"""The start-up gate: no route without a whole decision, no declaration that the policy does not know.

Deny by default at start-up (ASVS v5.0.0-8.2.1): a forgotten declaration is a process that does not
start, not an open door that somebody finds.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from secure_api.errors import UndeclaredRoute
from secure_api.pipeline.declaration import Declaration, Item
from secure_api.pipeline.endpoint import DECLARATION
from secure_api.pipeline.public import PUBLIC_ENDPOINTS
from secure_api.policy.policy_set import PolicySet
from secure_api.settings import PROJECT_ROOT
from secure_api.web.limits import RateLimiter


def require_complete_declarations(app: Flask, policies: PolicySet, limiter: RateLimiter) -> None:
    """Every route is declared or listed as public. Raises `UndeclaredRoute` naming each fault's file and line."""
    faults: list[str] = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC_ENDPOINTS:
            continue
        for method, view in views_of(app, rule):
            declaration = getattr(view, DECLARATION, None)
            if declaration is None:
                faults.append(
                    f"{_where(view)}: {method} {rule.rule} has no endpoint() declaration; "
                    "add one, or list the endpoint in secure_api/pipeline/public.py with the reason"
                )
            else:
                faults += [
                    f"{_where(view)}: {method} {rule.rule}: {fault}"
                    for fault in _faults(declaration, rule, policies, limiter)
                ]
    if faults:
        raise UndeclaredRoute(log_detail="\n".join(faults))


def views_of(app: Flask, rule: Rule) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each method of a route with the function that answers it; what the framework answers by itself is left out."""
    view = app.view_functions[rule.endpoint]
    owner = getattr(view, "view_class", None)
    methods = rule.methods or set()
    for method in sorted(methods):
        own = getattr(owner, method.lower(), None)
        # HEAD runs GET's view and OPTIONS the framework's, unless a view answers them itself.
        is_head_of_get = method == "HEAD" and "GET" in methods and own is None
        is_automatic = method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
        if not is_head_of_get and not is_automatic:
            yield method, own or view


def _faults(declaration: Declaration, rule: Rule, policies: PolicySet, limiter: RateLimiter) -> Iterator[str]:
    policy = policies.resources.get(declaration.resource)
    if policy is None:
        yield f"no policy file guards {declaration.resource!r}{_suggest(declaration.resource, policies.resources)}"
        return
    if declaration.action not in policy.actions:
        hint = _suggest(declaration.action, policy.actions)
        yield f"{declaration.resource} has no action {declaration.action!r}{hint}"
    if declaration.objects.model.policy_resource != declaration.resource:
        yield f"the rows are guarded by {declaration.objects.model.policy_resource!r}, not {declaration.resource!r}"
    if isinstance(declaration.objects, Item) and declaration.objects.parameter not in rule.arguments:
        hint = _suggest(declaration.objects.parameter, rule.arguments)
        yield f"the path has no parameter {declaration.objects.parameter!r}{hint}"
    if declaration.answer.resource != declaration.resource:
        yield f"the answer shows {declaration.answer.resource!r}, not {declaration.resource!r}"
    for attribute in declaration.answer.members.values():
        if not hasattr(declaration.objects.model, attribute):
            yield f"the answer names the unknown attribute {attribute!r}"
    if declaration.rate_limit not in limiter.class_names:
        hint = _suggest(declaration.rate_limit, limiter.class_names)
        yield f"unknown rate limit class {declaration.rate_limit!r}{hint}"


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _where(view: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(view), "__code__", None)
    if code is None:
        return repr(view)  # a view that is not a Python function has no line to name
    return f"{code.co_filename.removeprefix(f'{PROJECT_ROOT}/')}:{code.co_firstlineno}"
