"""Resource policies from YAML tables: every name is checked against what exists."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.checker import check_condition
from secure_api.policy.model import ANONYMOUS_ROLE, EVERY_ROLE, Effect, ResourcePolicy, Rule, StepUp
from secure_api.policy.normal_form import fails, holds
from secure_api.policy.parser import parse_condition
from secure_api.policy.reading import Reader
from secure_api.policy.schema import ResourceSchema
from secure_api.policy.source import suggestion
from secure_api.policy.tree import Condition, row_paths_of
from secure_api.policy.yaml_nodes import Node, Scalar, Table
from secure_api.principal import CredentialKind

NO_SCOPE = "none"
_ALLOW_ONLY = ("scopes", "read", "write", "step_up")
_SCOPE = re.compile(r"[a-z][a-z0-9_.-]*(:[a-z0-9_.-]+)*")
_CREDENTIALS = tuple(kind.value for kind in CredentialKind if kind is not CredentialKind.NONE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a policy file may name."""

    schema: ResourceSchema
    roles: Collection[str]
    scopes: Collection[str] | None  # None: any well-formed one


def read_resource(table: Table, name: str, words: Vocabulary, faults: list[PolicyFault]) -> ResourcePolicy:
    """The policy of one resource; faults are added for everything that is wrong with it."""
    reader = Reader(faults)
    top = reader.table(table, "the file", required=("version", "resource", "actions", "rules"), optional=("tests",))
    reader.version(top.get("version"))
    resource = reader.scalar(top.get("resource"), "resource")
    if resource is not None and resource.text != name:
        reader.refuse(resource, f"the file is named {name}.yaml, so its resource is `{name}`, not `{resource.text}`")
    actions = reader.texts(top.get("actions"), "actions")
    for action in actions:
        reader.name(action, "an action")
    rules, seen = list[Rule](), dict[str, Node]()
    for node in reader.items(top.get("rules"), "rules"):
        rule = _RuleReader(node, name, [action.text for action in actions], words, faults).rule()
        if rule is None:
            continue
        if rule.id in seen:
            reader.refuse(node, f"the rule `{rule.id}` stands twice; first on line {seen[rule.id].place.line}")
        seen.setdefault(rule.id, node)
        rules.append(rule)
    return ResourcePolicy(name, words.schema, tuple(action.text for action in actions), tuple(rules))


class _RuleReader:
    def __init__(
        self, node: Node, resource: str, actions: list[str], words: Vocabulary, faults: list[PolicyFault]
    ) -> None:
        self._node = node
        self._resource = resource
        self._actions = actions
        self._words = words
        self._faults = faults
        self._reader = Reader(faults)

    def rule(self) -> Rule | None:
        """The rule; None if a fault was added."""
        before = len(self._faults)
        reader = self._reader
        keys = reader.table(
            self._node,
            "the rule",
            required=("id", "effect", "roles", "actions", "when"),
            optional=("credentials", *_ALLOW_ONLY),
        )
        rule_id = self._id(keys.get("id"))
        effect = reader.one_of(keys.get("effect"), "effect", tuple(Effect))
        roles = self._roles(keys.get("roles"), effect)
        actions = self._filled(keys.get("actions"), "actions", self._actions)
        credentials = self._credentials(keys.get("credentials"))
        condition = self._condition(keys.get("when"))
        scopes = self._scopes(keys.get("scopes"), actions)
        read, write = self._fields(keys.get("read"), "read"), self._fields(keys.get("write"), "write")
        step_up = self._step_up(keys.get("step_up"))
        if effect == Effect.DENY:
            self._refuse_keys_of_allow()
        elif len(self._faults) == before:
            self._require_scopes(scopes, actions, roles, credentials)
        if len(self._faults) > before or condition is None or effect is None:
            return None
        normal = holds(condition) if effect == Effect.ALLOW else fails(condition)
        return Rule(
            id=rule_id,
            effect=Effect(effect),
            roles=frozenset(roles),
            actions=frozenset(actions),
            scopes={action: scope for action, scope in scopes.items() if scope != NO_SCOPE},
            credentials=credentials,
            condition=condition,
            normal=normal,
            paths=tuple(dict.fromkeys(".".join(path) for path in row_paths_of(normal))),
            read=read,
            write=write,
            step_up=step_up,
            source=str(self._node.place),
        )

    def _id(self, node: Node | None) -> str:
        scalar = self._reader.scalar(node, "id")
        if scalar is None:
            return ""
        if not re.fullmatch(re.escape(self._resource) + r"(\.[a-z][a-z0-9_-]*)+", scalar.text):
            self._reader.refuse(scalar, f"a rule's id begins with its resource: `{self._resource}.…`, in lower case")
        return scalar.text

    def _filled(self, node: Node | None, what: str, known: Collection[str]) -> list[str]:
        texts = self._reader.texts(node, what, known=known)
        if node is not None and not self._reader.items(node, what):
            self._reader.refuse(node, f"`{what}` is empty")
        return [text.text for text in texts]

    def _roles(self, node: Node | None, effect: str | None) -> list[str]:
        roles = self._filled(node, "roles", (*self._words.roles, EVERY_ROLE))
        if node is not None and EVERY_ROLE in roles and effect == Effect.ALLOW:
            self._reader.refuse(
                node, f'`"*"` is for deny rules only; an allow rule for everybody names the role `{ANONYMOUS_ROLE}`'
            )
        return roles

    def _credentials(self, node: Node | None) -> frozenset[CredentialKind] | None:
        if node is None:
            return None
        return frozenset(CredentialKind(kind) for kind in self._filled(node, "credentials", _CREDENTIALS))

    def _condition(self, node: Node | None) -> Condition | None:
        if isinstance(node, Scalar) and node.implied == "bool":
            self._reader.refuse(node, "a constant is no condition; write `always` if that is meant")
            return None
        scalar = self._reader.scalar(node, "when")
        if scalar is None:
            return None
        source = scalar.source()
        try:
            return check_condition(parse_condition(source), self._words.schema, source)
        except PolicyError as error:
            self._faults.extend(error.faults)
            return None

    def _scopes(self, node: Node | None, actions: list[str]) -> dict[str, str]:
        scopes = dict[str, str]()
        for key, value in self._reader.entries(node, "scopes"):
            if actions and key.text not in actions:
                hint = suggestion(key.text, actions)
                self._reader.refuse(key, f"`scopes` names `{key.text}`, which is no action of this rule{hint}")
            scalar = self._reader.scalar(value, "scopes")
            if scalar is None:
                continue
            known = self._words.scopes
            if not _SCOPE.fullmatch(scalar.text):
                self._reader.refuse(scalar, f"`{scalar.text}` is no scope; a scope looks like `orders:read`")
            elif known is not None and scalar.text not in (*known, NO_SCOPE):
                self._reader.refuse(scalar, f"unknown scope `{scalar.text}`{suggestion(scalar.text, known)}")
            scopes[key.text] = scalar.text
        return scopes

    def _require_scopes(
        self,
        scopes: dict[str, str],
        actions: list[str],
        roles: list[str],
        credentials: frozenset[CredentialKind] | None,
    ) -> None:
        """A forgotten scope would let every delegated token of the user do the action, whatever was granted."""
        if set(roles) == {ANONYMOUS_ROLE} or credentials == frozenset({CredentialKind.SESSION}):
            return
        for action in actions:
            if action not in scopes:
                self._reader.refuse(
                    self._node,
                    f"the rule asks no scope for `{action}`; name one under `scopes`, or write `{action}: {NO_SCOPE}`",
                )

    def _fields(self, node: Node | None, what: str) -> tuple[str, ...]:
        if isinstance(node, Scalar) and node.text == "*":
            self._reader.refuse(node, f'`{what}: "*"` is not accepted; list the fields')
            return ()
        for item in self._reader.items(node, what):
            if isinstance(item, Scalar) and item.text == "*":
                self._reader.refuse(item, f'`"*"` is not accepted in `{what}`; list the fields')
                return ()
        return tuple(field.text for field in self._reader.texts(node, what, known=self._words.schema.fields))

    def _step_up(self, node: Node | None) -> StepUp | None:
        if node is None:
            return None
        reader = self._reader
        before = len(self._faults)
        keys = reader.table(node, "`step_up`", optional=("acr", "max_age_seconds"))
        acr = keys.get("acr")
        if isinstance(acr, Scalar):
            values = [text] if (text := reader.text(acr, "acr")) else []
        else:
            values = self._filled_texts(acr)
        max_age = reader.integer(keys.get("max_age_seconds"), "max_age_seconds")
        if not values and max_age is None and len(self._faults) == before:
            reader.refuse(node, "`step_up` demands nothing; give `acr`, `max_age_seconds` or both")
        return StepUp(tuple(values), max_age)

    def _filled_texts(self, node: Node | None) -> list[str]:
        if node is not None and not self._reader.items(node, "acr"):
            self._reader.refuse(node, "`acr` is empty")
        return [scalar.text for scalar in self._reader.texts(node, "acr")]

    def _refuse_keys_of_allow(self) -> None:
        if isinstance(self._node, Table):
            for name in _ALLOW_ONLY:
                if name in self._node.keys:
                    self._reader.refuse(self._node.keys[name], f"`{name}` has no meaning in a deny rule")
