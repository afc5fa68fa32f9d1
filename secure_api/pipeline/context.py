"""What one request carries through the stages. Each stage fills its part; the view reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Request, Response

from secure_api.db import AnySession
from secure_api.pipeline.declaration import Declaration
from secure_api.pipeline.reply import Reply
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.roles import Roles
from secure_api.policy.schema import RequestAttributes
from secure_api.principal import ANONYMOUS, Principal

NO_POLICIES = PolicySet({}, Roles({}, {}), digest="")  # denies everything


@dataclass(slots=True)
class RequestContext:
    """The state of one request; views get it as their only argument.

    `row` is the object of the path, already scoped and allowed; `rows` a scoped page of a collection.
    `session` is the request's unit of work: services change mapped objects in it and never commit.
    """

    request: Request
    declaration: Declaration
    view: Callable[[RequestContext], Reply]
    session: AnySession
    path: Mapping[str, Any]
    request_id: str
    address: str
    attributes: RequestAttributes
    principal: Principal = ANONYMOUS
    policies: PolicySet = NO_POLICIES  # the table of this request; it stays the same until the answer
    grant: FunctionDecision | None = None  # may this principal call the action at all
    read_grant: FunctionDecision | None = None  # what the answer is projected by
    decision: Decision | None = None  # the rule that allowed the action on `row`
    query: Any = None
    body: Any = None
    row: Any = None
    rows: list[Any] = field(default_factory=list)
    has_more: bool = False
    changed: tuple[str, ...] = ()  # attributes that the view changed, for the audit event
    reply: Reply | None = None
    shown: Any = None  # the projection of the reply: whitelisted members only
    response: Response | None = None

    @property
    def writes(self) -> bool:
        """True if the method may change something (RFC 9110 §9.2.1)."""
        return self.request.method not in {"GET", "HEAD", "OPTIONS"}
