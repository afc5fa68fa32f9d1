"""`policies/tests/personas.yaml`: callers and rows with a name, for the matrix, the tests and the explanations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from secure_api.errors import PolicyError, PolicyFault
from secure_api.policy.policy_set import PolicySet
from secure_api.policy.reading import Reader
from secure_api.policy.source import suggestion
from secure_api.policy.written_facts import read_principal, read_row
from secure_api.policy.yaml_nodes import Items, Node, Place, Scalar, Table, read_table
from secure_api.principal import CredentialKind, Principal, PrincipalKind

PERSONAS_FILE = "personas.yaml"
ABSENT, NO_OBJECT, NEW = "absent", "-", "new"
_EVERY_SCOPE = "every"


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of caller, without a credential yet. `role` is the name that the matrix shows."""

    role: str
    principal: Principal
    node: Table


@dataclass(frozen=True, slots=True)
class CredentialForm:
    """What a persona can come with: a kind, and the scopes that it carries (None: every one of its user)."""

    name: str
    kind: CredentialKind
    scopes: frozenset[str] | None


@dataclass(frozen=True)
class Personas:
    """The named callers, credentials and rows, in the order of the file."""

    personas: Mapping[str, Persona]
    credentials: Mapping[str, CredentialForm]
    objects: Mapping[str, Mapping[str, Mapping[str, object]]]  # resource -> name -> attribute -> value
    row_nodes: Mapping[str, Mapping[str, Node]]  # the same rows as they are written

    def callers(self) -> list[tuple[str, str, Principal]]:
        """Each persona with each credential that it can come with: role, credential and principal."""
        return [
            (role, name, self.caller(role, name))
            for role in self.personas
            for name, form in self.credentials.items()
            if self._is_anonymous(role) == (form.kind is CredentialKind.NONE)
        ]

    def caller(self, role: str, credential: str | None = None) -> Principal:
        """The persona with that credential; without one it is the first of the kind `session`, or none."""
        persona = self.personas[role].principal
        if self._is_anonymous(role):
            return persona
        if credential is None:
            return replace(persona, credential=CredentialKind.SESSION, scopes=None)
        form = self.credentials[credential]
        return replace(persona, credential=form.kind, scopes=form.scopes)

    def objects_of(self, resource: str) -> list[str]:
        """The names of the rows of a resource, `absent` last."""
        return [*(name for name in self.objects.get(resource, {}) if name != NEW), ABSENT]

    def principal_node(self, role: str, credential: str | None = None) -> Table:
        """The caller as a table that a test inside a policy file could hold."""
        node, principal = self.personas[role].node, self.caller(role, credential)
        entries = dict(node.entries)
        entries["credential"] = _text(principal.credential, node.place)
        if principal.scopes is not None:
            entries["scopes"] = Items(tuple(_text(scope, node.place) for scope in sorted(principal.scopes)), node.place)
        return replace(node, entries=entries)

    def _is_anonymous(self, role: str) -> bool:
        return self.personas[role].principal.kind is PrincipalKind.ANONYMOUS


def load_personas(folder: Path, policies: PolicySet, scopes: Collection[str]) -> Personas:
    """The personas of a policy folder's `tests/personas.yaml`. Raises `PolicyError` with every fault found."""
    path = folder / "tests" / PERSONAS_FILE
    shown, faults = f"{folder.name}/tests/{PERSONAS_FILE}", list[PolicyFault]()
    try:
        table = read_table(path.read_bytes(), shown, faults)
    except OSError as error:
        raise PolicyError([PolicyFault(shown, 1, 1, f"cannot be read: {error.strerror}")]) from error
    reader = Reader(faults)
    top = reader.table(table, "the file", required=("version", "personas", "credentials", "objects"))
    reader.version(top.get("version"))
    personas = dict[str, Persona]()
    for key, node in reader.entries(top.get("personas"), "personas"):
        if isinstance(node, Table):
            personas[key.text] = Persona(key.text, read_principal(reader, node, policies.roles.names), node)
        else:
            reader.refuse(node, f"the persona `{key.text}` must be a table")
    credentials = {
        key.text: _credential(reader, key.text, node, scopes)
        for key, node in reader.entries(top.get("credentials"), "credentials")
    }
    objects, row_nodes = _objects(reader, top.get("objects"), policies)
    held = {role for persona in personas.values() for role in persona.principal.roles}
    if "personas" in top:
        for role in sorted(policies.roles.inherited.keys() - held):
            reader.refuse(top["personas"], f"no persona has the role `{role}`; add `{role}: {{roles: [{role}]}}`")
    if faults:
        raise PolicyError(faults)
    return Personas(personas, credentials, objects, row_nodes)


def _credential(reader: Reader, name: str, node: Node, scopes: Collection[str]) -> CredentialForm:
    keys = reader.table(node, f"the credential `{name}`", required=("credential",), optional=("scopes",))
    kind = reader.one_of(keys.get("credential"), "credential", tuple(CredentialKind)) or CredentialKind.NONE
    given = keys.get("scopes")
    if kind == CredentialKind.SESSION:
        return CredentialForm(name, CredentialKind(kind), None)
    if isinstance(given, Scalar) and given.text == _EVERY_SCOPE:
        return CredentialForm(name, CredentialKind(kind), frozenset(scopes))
    texts = reader.texts(given, "scopes", known=scopes)
    return CredentialForm(name, CredentialKind(kind), frozenset(text.text for text in texts))


def _objects(
    reader: Reader, node: Node | None, policies: PolicySet
) -> tuple[dict[str, dict[str, Mapping[str, object]]], dict[str, dict[str, Node]]]:
    found, nodes = dict[str, dict[str, Mapping[str, object]]](), dict[str, dict[str, Node]]()
    for key, rows in reader.entries(node, "objects"):
        resource = policies.resources.get(key.text)
        if resource is None:
            reader.refuse(key, f"there is no resource `{key.text}`{suggestion(key.text, policies.resources)}")
            continue
        nodes[key.text] = {name.text: row for name, row in reader.entries(rows, key.text)}
        found[key.text] = {name: read_row(reader, row, resource.schema) for name, row in nodes[key.text].items()}
    return found, nodes


def _text(value: str, place: Place) -> Scalar:
    return Scalar(value, "str", "", value, place)
