"""Defects put into the policy engine on purpose; each must be killed by the test that it names.

Run `python tests/policies/seeded_defects.py [WORD ...]`; words choose the defects whose name holds
one of them. It works on a copy in a temporary folder. Exit code 1
if a defect survives, 2 if one no longer fits the source.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
POLICY, SQL = "secure_api/policy", "secure_api/db/policy_sql.py"
UNIT = "tests/unit/policy"
EQUALITY = "tests/policies/test_condition_equality.py"
SEMANTICS = f"{UNIT}/test_condition_semantics.py"
PARSER = f"{UNIT}/test_condition_parser.py"
DECISION = f"{UNIT}/test_policy_decision.py"
LOADER = f"{UNIT}/test_policy_loader.py"
STATEMENTS = f"{UNIT}/test_policy_sql.py"


@dataclass(frozen=True)
class Defect:
    """One replacement in one file, and the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...]


DEFECTS = (
    Defect(
        "De Morgan forgotten",
        f"{POLICY}/normal_form.py",
        "return Or(inner) if negated else And(inner)",
        "return And(inner)",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "the opposite of < is >",
        f"{POLICY}/normal_form.py",
        '"<": ">="',
        '"<": ">"',
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "a deny rule fires only where definitely true",
        f"{POLICY}/rule_reader.py",
        "test=compile_condition(normal),",
        "test=compile_condition(normal) if effect == Effect.ALLOW"
        " else lambda facts: not compile_condition(holds(condition))(facts),",
        (DECISION, EQUALITY),
    ),
    Defect(
        "a scope forgets the deny rules",
        SQL,
        "return _all([allowed, *(build.predicate(rule.normal) for rule in grant.denies)])",
        "return allowed",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "NULL is outside a list (closure)",
        f"{POLICY}/closure.py",
        "return value is not None and (value in container(facts)) is not negated",
        "return (value in container(facts)) is not negated",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "NULL is outside an empty list (SQL)",
        SQL,
        "return column.is_not(None) if negated else false()",
        "return true() if negated else false()",
        (STATEMENTS,),
    ),
    Defect(
        "one shared bind for all lists",
        SQL,
        "bound = [_bind(column, value) for value in values]",
        'bound = bindparam("values", list(values), type_=column.type, expanding=True)',
        (STATEMENTS,),
    ),
    Defect(
        "IS NULL for an absent attribute of the caller",
        SQL,
        """            return false()
        return self._within(path[:-1], lambda row: compare(""",
        """            return self._within(path[:-1], lambda row: row.column(path[-1]).is_(None))
        return self._within(path[:-1], lambda row: compare(""",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "two absent values are equal (closure)",
        f"{POLICY}/closure.py",
        "return first is not None and second is not None and compare(first, second)",
        "return compare(first, second)",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "!has(a.b) is true without a (closure)",
        f"{POLICY}/closure.py",
        "facts.row[holder] is not None and facts.row[key] is None",
        "facts.row[key] is None",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "!has(a.b) is NOT EXISTS (SQL)",
        SQL,
        "return self._within(path[:-1], lambda row: _presence(row.column(path[-1]), negated=negated))",
        "found = self._within(path[:-1], lambda row: _presence(row.column(path[-1]), negated=False))\n"
        "                return ~found if negated else found",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "a NULL boolean is false (closure)",
        f"{POLICY}/closure.py",
        "return lambda facts: fetch(facts) is wanted",
        "return lambda facts: bool(fetch(facts)) is wanted",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "a NULL boolean is false (SQL)",
        SQL,
        "return self._within(path[:-1], lambda row: row.column(path[-1]).is_(wanted))",
        "return self._within(path[:-1], lambda row: row.column(path[-1]).is_not(true() if negated else false()))",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "integers bound with the column's 32 bits",
        SQL,
        "BigInteger() if type(value) is int else column.type",
        "column.type",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "values of another type pass (row)",
        f"{POLICY}/closure.py",
        "value = facts.row[key]\n        if type(value) is exact or value is None:",
        "value = facts.row[key]\n        if True:",
        (SEMANTICS, DECISION),
    ),
    Defect(
        "values of another type pass (principal)",
        f"{POLICY}/closure.py",
        "value = get(facts)\n        if type(value) is exact or value is None:",
        "value = get(facts)\n        if True:",
        (STATEMENTS,),
    ),
    Defect(
        "naive instants pass",
        f"{POLICY}/closure.py",
        "(isinstance(value, datetime) and value.tzinfo is not None)",
        "isinstance(value, datetime)",
        (SEMANTICS,),
    ),
    Defect(
        "an exception in a decision escapes",
        f"{POLICY}/decision.py",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
        (DECISION,),
    ),
    Defect(
        "fields of rules that do not match",
        f"{POLICY}/decision.py",
        "rules = [rule for index, rule in enumerate(self.candidates) if matching >> index & 1]",
        "rules = list(self.candidates)",
        (DECISION,),
    ),
    Defect(
        "a rule whose login is unmet matches",
        f"{POLICY}/decision.py",
        "if rule.step_up is None or rule.step_up.is_met(principal, request):\n                        matching",
        "if True:\n                        matching",
        (DECISION,),
    ),
    Defect(
        "a list opens rows whose login is unmet",
        SQL,
        "if with_unmet_step_up or rule.step_up is None",
        "if True or rule.step_up is None",
        (STATEMENTS,),
    ),
    Defect(
        "an unknown login time is recent",
        f"{POLICY}/model.py",
        "        if principal.auth_time is None:\n            return False",
        "        if principal.auth_time is None:\n            return True",
        (DECISION,),
    ),
    Defect(
        "a closed function still decides rows",
        f"{POLICY}/decision.py",
        "        if not self.allowed:\n            return self.refusal()\n",
        "",
        (DECISION,),
    ),
    Defect(
        "an inheritance cycle is accepted",
        f"{POLICY}/roles.py",
        "if parent.text in (walked := [*trail, role]):",
        "if parent.text in (walked := [*trail, role]) and False:",
        (LOADER,),
    ),
    Defect(
        "an anonymous caller holds the roles it claims",
        f"{POLICY}/roles.py",
        "if principal.kind is PrincipalKind.ANONYMOUS:",
        "if False:",
        (DECISION,),
    ),
    Defect(
        "scopes are not asked for",
        f"{POLICY}/policy_set.py",
        "if rule.accepts_scopes(principal, action)",
        "if True",
        (DECISION,),
    ),
    Defect(
        "remembered decisions ignore the scopes",
        f"{POLICY}/policy_set.py",
        "principal.roles, principal.scopes, principal.credential",
        "principal.roles, principal.credential",
        (DECISION,),
    ),
    Defect(
        "remembered decisions ignore the credential",
        f"{POLICY}/policy_set.py",
        "principal.scopes, principal.credential, principal.kind",
        "principal.scopes, principal.kind",
        (DECISION,),
    ),
    Defect(
        "credential kinds are ignored",
        f"{POLICY}/model.py",
        "return principal.credential in self.credentials",
        "return True",
        (DECISION,),
    ),
    Defect(
        '"*" is accepted in an allow rule',
        f"{POLICY}/rule_reader.py",
        "EVERY_ROLE in roles and effect == Effect.ALLOW",
        "False",
        (LOADER,),
    ),
    Defect(
        "a forgotten scope is accepted",
        f"{POLICY}/rule_reader.py",
        "            self._require_scopes(scopes, actions, roles, credentials)",
        "            pass",
        (LOADER,),
    ),
    Defect(
        "the second of two equal keys wins",
        f"{POLICY}/yaml_nodes.py",
        "elif key.text in entries:",
        "elif False:",
        (LOADER,),
    ),
    Defect(
        "a failing embedded test is ignored",
        f"{POLICY}/embedded_tests.py",
        "if outcome != expected or rule not in (None, decision.rule_id):",
        "if False:",
        (LOADER,),
    ),
    Defect(
        "text may be ordered",
        f"{POLICY}/checker.py",
        'if node.operator not in ("==", "!=") and not left.type.is_ordered:',
        "if False:",
        (PARSER,),
    ),
    Defect(
        "integers are unbounded",
        f"{POLICY}/lexer.py",
        "if len(digits) > 19 or not _SMALLEST_INTEGER <= int(word) <= _LARGEST_INTEGER:",
        "if False:",
        (PARSER,),
    ),
    Defect(
        "!a == b is read as !(a == b)",
        f"{POLICY}/parser.py",
        "            if negated:",
        "            if False:",
        (PARSER,),
    ),
    Defect(
        "OR is read as AND",
        f"{POLICY}/parser.py",
        "return terms[0] if len(terms) == 1 else OrNode(tuple(terms))",
        "return terms[0] if len(terms) == 1 else AndNode(tuple(terms))",
        (PARSER, EQUALITY),
    ),
    Defect(
        "padded and folded text columns are usable",
        SQL,
        "is_plain = type(kind) in _PLAIN_TEXT and kind.collation is None",
        "is_plain = True",
        (STATEMENTS,),
    ),
    Defect(
        "a relation with a condition of its own is followed",
        SQL,
        "and len(comparisons) == len(pairs)",
        "and True",
        (STATEMENTS,),
    ),
    Defect(
        "the related row is not tied to this row",
        SQL,
        ".where(*join, self._step(target, relations[1:], inner))",
        ".where(self._step(target, relations[1:], inner))",
        (STATEMENTS, EQUALITY),
    ),
)


def main() -> int:
    """Apply each defect alone and run the tests it names; each of them must fail."""
    survivors, misfits = list[str](), list[str]()
    words = sys.argv[1:] or [""]
    chosen = [defect for defect in DEFECTS if any(word in defect.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("secure_api", "policies", "tests/unit/policy", "tests/policies"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for defect in chosen:
            path = copy / defect.file
            source = path.read_text()
            if source.count(defect.old) != 1:
                misfits.append(defect.name)
                print(f"MISFIT   {defect.name}")
                continue
            path.write_text(source.replace(defect.old, defect.new))
            for killer in defect.killers:
                run = subprocess.run(
                    [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no", killer],
                    cwd=copy,
                    capture_output=True,
                    text=True,
                )
                failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                killed = run.returncode == 1 and bool(failed)
                if not killed:
                    survivors.append(f"{defect.name} ({killer})")
                shown = failed[0].partition("::")[2][:90] if failed else run.stdout[-200:]
                print(f"{'killed  ' if killed else 'SURVIVED'} {defect.name}: {shown}", flush=True)
            path.write_text(source)
    print(f"{len(chosen)} defects, {len(survivors)} survived, {len(misfits)} no longer fit")
    return 2 if misfits else 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
