"""Defects put into the policy engine on purpose; each must be killed by the test that it names.

`make mutants-policy` runs them all and writes the list to `docs/proof/policy-defects.md`; `python
tests/policies/seeded_defects.py WORD` runs those whose name holds the word. It works on a copy in a
temporary folder. Exit code 1 if a defect survives, 2 if one no longer fits the source.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
POLICY, SQL = "secure_api/policy", "secure_api/db/policy_sql.py"
TEMPLATES, SCHEMAS = "secure_api/db/policy_templates.py", "secure_api/db/policy_schema.py"
UNIT = "tests/unit/policy"
EQUALITY = "tests/policies/test_condition_equality.py"
SEMANTICS = f"{UNIT}/test_condition_semantics.py"
PARSER = f"{UNIT}/test_condition_parser.py"
DECISION = f"{UNIT}/test_policy_decision.py"
LOADER = f"{UNIT}/test_policy_loader.py"
STATEMENTS = f"{UNIT}/test_policy_sql.py"
EXPLANATION = f"{UNIT}/test_policy_explanation.py"


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
        f"{POLICY}/rows.py",
        "if not {source.condition(condition)}:",
        "if {source.condition(__import__('secure_api.policy.normal_form', fromlist=['fails']).fails(condition))}:",
        (DECISION, EQUALITY),
    ),
    Defect(
        "deny rules are not asked (function)",
        f"{POLICY}/rows.py",
        "if not {source.condition(condition)}:",
        "if False and {source.condition(condition)}:",
        (DECISION, EQUALITY),
    ),
    Defect(
        "a scope forgets the deny rules",
        SQL,
        "expression = _all([allowed, *(build.predicate(rule.normal) for rule in self._grant.denies)])",
        "expression = allowed",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "NULL is outside a list (closure)",
        f"{POLICY}/guards.py",
        "return value is not None and (value in container) is not negated",
        "return (value in container) is not negated",
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
        "            return false()\n\n        def compared(",
        "            return self._within(path[:-1], lambda row: row.column(path[-1]).is_(None))"
        "\n\n        def compared(",
        (STATEMENTS, EQUALITY),
    ),
    Defect(
        "two absent values are equal (closure)",
        f"{POLICY}/guards.py",
        "return first is not None and second is not None and compare(first, second)",
        "return compare(first, second)",
        (SEMANTICS, EQUALITY),
    ),
    Defect(
        "!has(a.b) is true without a (closure)",
        f"{POLICY}/closure.py",
        "{holder}{value} is None",
        "{value} is None",
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
        "({value} is not {other} and guard_boolean({value}) is {wanted})",
        "({value} is None and {negated})",
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
        "values of another type pass",
        f"{POLICY}/guards.py",
        "if value is None or type(value) is kind:",
        "if True:",
        (SEMANTICS, DECISION, STATEMENTS),
    ),
    Defect(
        "a boolean passes for an integer",
        f"{POLICY}/guards.py",
        "type({name} := {value}) is int",
        "isinstance({name} := {value}, int)",
        (SEMANTICS,),
    ),
    Defect(
        "naive instants pass (quick check)",
        f"{POLICY}/guards.py",
        "type({name} := {value}) is datetime and {name}.tzinfo is not None",
        "type({name} := {value}) is datetime",
        (SEMANTICS,),
    ),
    Defect(
        "naive instants pass (full check)",
        f"{POLICY}/guards.py",
        "(isinstance(value, datetime) and value.tzinfo is not None)",
        "isinstance(value, datetime)",
        (SEMANTICS,),
    ),
    Defect(
        "an exception in a decision escapes",
        f"{POLICY}/rows.py",
        "except Exception as error:",
        "except FloatingPointError as error:",
        (DECISION,),
    ),
    Defect(
        "fields of rules that do not match",
        f"{POLICY}/decision.py",
        "rules = [rule for index, rule in enumerate(self._candidates) if matching >> index & 1]",
        "rules = list(self._candidates)",
        (DECISION,),
    ),
    Defect(
        "a rule whose login is unmet matches",
        f"{POLICY}/rows.py",
        "if met_{index}(principal, request):",
        "if True:",
        (DECISION,),
    ),
    Defect(
        "a list opens rows whose login is unmet",
        SQL,
        "with_unmet_step_up or rule.step_up is None or",
        "True or rule.step_up is None or",
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
        "self._row_function() if self.allowed else self._closed()",
        "self._row_function()",
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
        SCHEMAS,
        "is_plain = type(kind) in _PLAIN_TEXT and kind.collation is None",
        "is_plain = True",
        (STATEMENTS,),
    ),
    Defect(
        "a relation with a condition of its own is followed",
        SCHEMAS,
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
    Defect(
        "an unmet demand hides the rule that matches",
        f"{POLICY}/rows.py",
        "return matched[matching] if matching else weak",
        "return weak if weak is not nothing else matched[matching] if matching else weak",
        (DECISION,),
    ),
    Defect(
        "the SQL of one caller's shape serves every caller",
        SQL,
        "grant.prepared.get((model, shape))",
        "next((value for key, value in grant.prepared.items() if key is not _Plan), None)",
        (STATEMENTS,),
    ),
    Defect(
        "the value of one place stands in another",
        SQL,
        "[(bind, self._operands.index(operand)) for bind, operand in build.places]",
        "[(bind, 0) for bind, operand in build.places]",
        (STATEMENTS,),
    ),
    Defect(
        "two callers' values share one parameter",
        TEMPLATES,
        "return lambda values: parameter(kind, values[index])",
        "return lambda values: (setattr(element, 'value', values[index]), element)[1]",
        (STATEMENTS,),
    ),
    Defect(
        "the explanation shows unknown as false",
        f"{POLICY}/explanation.py",
        '"false" if is_false else "unknown"',
        '"false"',
        (EXPLANATION,),
    ),
    Defect(
        "the explanation shows rules of other callers as open",
        f"{POLICY}/explanation.py",
        "if not rule.concerns(self._roles):",
        "if False:",
        (EXPLANATION,),
    ),
)


COPIED = ("secure_api", "policies", "tests/unit/policy", "tests/policies", "pyproject.toml")


@dataclass(frozen=True)
class Verdict:
    """What became of a defect under one of its tests; `test` is the first that failed, empty if none did."""

    defect: Defect
    killer: str
    test: str

    @property
    def killed(self) -> bool:
        return self.test != ""


def fits(defect: Defect, root: Path = ROOT) -> bool:
    """True if the place that the defect replaces is in the source exactly once."""
    return (root / defect.file).read_text().count(defect.old) == 1


def copy_of_the_source(folder: Path) -> None:
    """What the tests need, so that the checkout itself is never changed."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for package in ("tests", "tests/unit"):
        (folder / package / "__init__.py").touch()


def verdicts_on(defect: Defect, copy: Path, killers: Iterable[str]) -> Iterator[Verdict]:
    """Put the defect into the copy, run each of the tests, and take it out again."""
    path = copy / defect.file
    source = path.read_text()
    path.write_text(source.replace(defect.old, defect.new))
    try:
        for killer in killers:
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no", killer],
                cwd=copy,
                env=os.environ | {"POLICY_FIRST_FAILURE": "1"},
                capture_output=True,
                text=True,
            )
            failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            name = failed[0].partition("::")[2].partition("[")[0].partition(" ")[0] if failed else ""
            # 1: tests failed. Anything else (no test, a usage error) proves nothing.
            yield Verdict(defect, killer, name if run.returncode == 1 else "")
    finally:
        path.write_text(source)


def report(verdicts: list[Verdict], seconds: float) -> str:
    """The list as Markdown, made by the run itself."""
    defects = list(dict.fromkeys(verdict.defect for verdict in verdicts))
    survived = [verdict for verdict in verdicts if not verdict.killed]
    lines = [
        "# Seeded defects of the policy engine",
        "",
        f"Written by `make mutants-policy`. Each of {len(defects)} defects was put alone into a copy of the source and",
        f"the tests that must notice were run: {len(verdicts)} runs, {len(survived)} survived, {seconds:.0f} seconds.",
        "",
        "| defect | file | replaced | by | killed by |",
        "|---|---|---|---|---|",
    ]
    for defect in defects:
        killers = [
            f"`{verdict.test}` in `{verdict.killer}`" if verdict.killed else f"**survived** `{verdict.killer}`"
            for verdict in verdicts
            if verdict.defect is defect
        ]
        cells = [defect.name, f"`{defect.file}`", _code(defect.old), _code(defect.new), "<br>".join(killers)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Source in one table cell."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return f"`` {flat} ``" if flat else "(nothing)"


def main() -> int:
    """Apply each defect alone and run the tests it names; each of them must fail."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("words", nargs="*", help="only defects whose name holds one of them")
    parser.add_argument("--write", type=Path, help="the Markdown file to write the list to")
    options = parser.parse_args()
    chosen = [defect for defect in DEFECTS if any(word in defect.name for word in options.words or [""])]
    misfits = [defect for defect in chosen if not fits(defect)]
    for defect in misfits:
        print(f"MISFIT   {defect.name}")
    if misfits:
        return 2
    verdicts, begun = list[Verdict](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_of_the_source(copy)
        for number, defect in enumerate(chosen, 1):
            for verdict in verdicts_on(defect, copy, defect.killers):
                verdicts.append(verdict)
                outcome = f"killed   {verdict.test}" if verdict.killed else f"SURVIVED {verdict.killer}"
                print(f"{number}/{len(chosen)} {defect.name}: {outcome}", flush=True)
    survivors = [verdict for verdict in verdicts if not verdict.killed]
    print(f"{len(chosen)} defects, {len(verdicts)} runs, {len(survivors)} survived")
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(report(verdicts, time.monotonic() - begun))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
