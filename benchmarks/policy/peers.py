"""Other policy engines with the same rules. They answer yes or no; none of them gives SQL or field lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.policy.world import Row
from secure_api.principal import Principal

Peer = Callable[[Row, Principal], bool]

_OWN = "resource.customer_id == principal.customer_id"
_RULES = {  # action -> (roles and allow conditions, deny conditions), in a notation that CEL and Casbin share
    "read": ((("customer", _OWN),), ("resource.archived",)),
    "list": ((("manager", "true"),), ()),
    "update": ((("customer", _OWN), ("clerk", "resource.total_minor <= 50000")), ("resource.archived",)),
}


def peers_for(action: str) -> tuple[dict[str, Peer], dict[str, str]]:
    """The installed engines, ready to decide about an action, and the others with the reason."""
    found, absent = dict[str, Peer](), dict[str, str]()
    for name, make in (("pycasbin", _casbin), ("cedarpy", _cedar), ("cel-expr-python", _cel)):
        try:
            found[name] = make(action)
        except ImportError as error:
            absent[name] = f"cannot be imported: {error}; `make bench` installs it"
    return found, absent


class _Attributes:
    def __init__(self, values: dict[str, object]) -> None:
        self.__dict__.update(values)


def _casbin(action: str) -> Peer:
    import casbin  # type: ignore[import-untyped]

    model = casbin.Model()
    model.load_model_from_text(
        "[request_definition]\nr = sub, obj, act\n"
        "[policy_definition]\np = role, rule, act, eft\n"
        "[policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n"
        "[matchers]\nm = r.act == p.act && (p.role == '*' || p.role in r.sub.roles) && eval(p.rule)\n"
    )
    enforcer = casbin.Enforcer(model)
    allows, denies = _RULES[action]
    for role, condition in allows:
        enforcer.add_policy(role, _for_casbin(condition), action, "allow")
    for condition in denies:
        enforcer.add_policy("*", _for_casbin(condition), action, "deny")

    def decide(row: Row, principal: Principal) -> bool:
        caller = _Attributes({"customer_id": principal.customer_id, "roles": principal.roles})
        return bool(enforcer.enforce(caller, _Attributes(row), action))

    return decide


def _for_casbin(condition: str) -> str:
    return condition.replace("resource.", "r.obj.").replace("principal.", "r.sub.").replace("true", "1 == 1")


def _cedar(action: str) -> Peer:
    import cedarpy

    allows, denies = _RULES[action]
    rules = [
        f'permit(principal in Role::"{role}", action == Action::"{action}", resource) when {{ {condition} }};'
        for role, condition in allows
    ]
    rules += [
        f'forbid(principal, action == Action::"{action}", resource) when {{ {condition} }};' for condition in denies
    ]
    parsed = cedarpy.PolicySet.from_str("\n".join(rules))

    def decide(row: Row, principal: Principal) -> bool:
        roles = [{"type": "Role", "id": role} for role in principal.roles]
        caller = {"customer_id": str(principal.customer_id)}
        entities: list[dict[str, Any]] = [
            {"uid": {"type": "User", "id": "u"}, "attrs": caller, "parents": roles},
            {
                "uid": {"type": "Order", "id": "o"},
                "attrs": row | {"customer_id": str(row["customer_id"])},
                "parents": [],
            },
        ]
        request = {"principal": 'User::"u"', "action": f'Action::"{action}"', "resource": 'Order::"o"', "context": {}}
        return cedarpy.is_authorized(request, parsed, json.dumps(entities)).allowed

    return decide


def _cel(action: str) -> Peer:
    from cel_expr_python import cel  # type: ignore[import-untyped]

    table = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    environment = cel.NewEnv(variables={"resource": table, "principal": table})
    allows, denies = _RULES[action]
    allowed = " || ".join(f'("{role}" in principal.roles && {condition})' for role, condition in allows)
    denied = "".join(f" && !({condition})" for condition in denies)
    compiled = environment.compile(f"({allowed}){denied}")

    def decide(row: Row, principal: Principal) -> bool:
        resource = row | {"customer_id": str(row["customer_id"])}
        caller = {"customer_id": str(principal.customer_id), "roles": list(principal.roles)}
        return compiled.eval(data={"resource": resource, "principal": caller}).value() is True

    return decide
