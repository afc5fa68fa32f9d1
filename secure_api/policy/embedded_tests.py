"""The `tests:` of a policy file: run when it is loaded, so that a wrong rule stops the start.

A test gives a principal, an action and cases. A case gives a row and what to expect. In a row an
absent nullable attribute is NULL; one that is never NULL must be given if the rules read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from secure_api.errors import PolicyFault
from secure_api.policy.decision import Decision, FunctionDecision
from secure_api.policy.model import DEFAULT_DENY
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.reading import Reader
from secure_api.policy.schema import AttributeType, RequestAttributes, ResourceSchema
from secure_api.policy.written_facts import read_principal, read_row, read_value
from secure_api.policy.yaml_nodes import Node, Table
from secure_api.principal import Principal

TEST_TIME: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_OUTCOMES = ("allow", "deny", "step_up")


def run_tests(table: Table, resource: str, policies: PolicySet, faults: list[PolicyFault]) -> int:
    """Run the tests of one file, add a fault for each case that fails, and give the number of cases."""
    return _TestRunner(resource, policies, faults).run(table.entries.get("tests"))


class _TestRunner:
    def __init__(self, resource: str, policies: PolicySet, faults: list[PolicyFault]) -> None:
        self._policies = policies
        self._resource = policies.resources[resource]
        self._faults = faults
        self._reader = Reader(faults)
        self._rule_ids = [*(rule.id for rule in self._resource.rules), DEFAULT_DENY]

    def run(self, node: Node | None) -> int:
        return sum(self._test(test) for test in self._reader.items(node, "tests"))

    def _test(self, node: Node) -> int:
        before, reader = len(self._faults), self._reader
        keys = reader.table(node, "the test", required=("name", "principal", "action", "cases"), optional=("time",))
        name = reader.text(keys.get("name"), "name")
        principal = read_principal(reader, keys.get("principal"), self._policies.roles.names)
        action = reader.one_of(keys.get("action"), "action", self._resource.actions)
        time = read_value(reader, keys["time"], AttributeType.TIMESTAMP) if "time" in keys else TEST_TIME
        cases = reader.items(keys.get("cases"), "cases")
        if not cases and "cases" in keys:
            reader.refuse(keys["cases"], "the test has no cases")
        if len(self._faults) > before or action is None:
            return 0
        grant = self._policies.function_decision(principal, self._resource.name, action)
        for case in cases:
            self._case(case, f"test “{name}”", grant, principal, RequestAttributes(time))
        return len(cases)

    def _case(
        self, node: Node, name: str, grant: FunctionDecision, principal: Principal, request: RequestAttributes
    ) -> None:
        before, reader = len(self._faults), self._reader
        keys = reader.table(node, "the case", required=("expect",), optional=("row", "rule", "read", "write"))
        expected = reader.one_of(keys.get("expect"), "expect", _OUTCOMES)
        rule = reader.one_of(keys.get("rule"), "rule", self._rule_ids)
        fields = self._resource.schema.fields
        read = {item.text for item in reader.texts(keys.get("read"), "read", known=fields)}
        write = {item.text for item in reader.texts(keys.get("write"), "write", known=fields)}
        row = self._row(keys.get("row"), node, grant)
        if len(self._faults) > before:
            return
        decision = grant.decide(row, principal, request)
        outcome = "step_up" if decision.step_up else "allow" if decision.allowed else "deny"
        if outcome != expected or rule not in (None, decision.rule_id):
            wanted = f"{expected} by {rule}" if rule else str(expected)
            reader.refuse(node, f"{name}: expected {wanted}, got {outcome} by {_decider(decision)}")
        for key, listed, actual in (("read", read, decision.read_fields), ("write", write, decision.write_fields)):
            if key in keys and listed != actual:
                wrong = ", ".join(sorted(listed ^ actual))
                reader.refuse(keys[key], f"{name}: `{key}` differs from what the rules give in: {wrong}")

    def _row(self, node: Node | None, case: Node, grant: FunctionDecision) -> Mapping[str, object]:
        """A value for each path that the rules read."""
        given = read_row(self._reader, node, self._resource.schema)
        values = dict[str, object]()
        for path in grant.condition_paths:
            holder, _, last = path.rpartition(".")
            schema = self._schema_at(holder)
            values[path] = given.get(path)
            absent_holder = holder != "" and given.get(holder) is None
            if path in given or absent_holder or last in schema.relations or schema.attributes[last].nullable:
                continue
            self._reader.refuse(case, f"the row lacks `{path}`, which the rules read and which is never NULL")
        return values

    def _schema_at(self, holder: str) -> ResourceSchema:
        schema = self._resource.schema
        for part in filter(None, holder.split(".")):
            schema = schema.relations[part]
        return schema


def _decider(decision: Decision) -> str:
    place = f" ({decision.source})" if decision.source else ""
    missing = f", missing {decision.missing}" if decision.missing else ""
    failure = f", {decision.failure}" if decision.failure else ""
    return f"{decision.rule_id}{place}{missing}{failure}"
