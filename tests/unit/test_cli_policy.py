"""The policy commands: what they print, and how they end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from secure_api.cli import main
from secure_api.seed import demo_id
from secure_api.settings import PROJECT_ROOT
from tests.unit.conftest import SECRET_KEY

SHIPPED = PROJECT_ROOT / "policies"
POLICY_COMMANDS = ("check", "test", "explain", "matrix", "diff", "reload")


def policy(*arguments: str | Path, **environ: str) -> Result:
    """The command in this process, without settings of another deployment."""
    return CliRunner(env={"SECURE_API_POLICIES": None, **environ}).invoke(main, ["policy", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policies, to be changed."""
    target = tmp_path / "policies"
    shutil.copytree(SHIPPED, target)
    return target


def change(folder: Path, old: str, new: str, file: str = "orders.yaml", *, with_tests: bool = False) -> None:
    """Replace text in one file; the tests inside it are dropped unless they are what it is about."""
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    text = text if with_tests else text.partition("\ntests:")[0] + "\n"
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def demo(seeded_database: Path) -> Mapping[str, str]:
    """Settings with the demo shop as their database."""
    return {
        "SECURE_API_ENV": "testing",
        "SECURE_API_SECRET_KEY": SECRET_KEY,
        "SECURE_API_DATABASE_URL": f"sqlite:///{seeded_database}",
        "SECURE_API_LOG_LEVEL": "ERROR",
    }


@pytest.mark.parametrize("name", POLICY_COMMANDS)
def test_every_policy_command_teaches_with_an_example_and_its_exit_codes(name: str) -> None:
    text = policy(name, "--help").output
    assert "Example: " in text
    assert f"secure-api policy {name}" in text
    assert "Exit codes: 0 " in text


# --- test -----------------------------------------------------------------------------------------------


def test_each_policy_test_is_printed() -> None:
    done = policy("test")
    assert done.exit_code == 0, done.output
    assert "passed  policies/orders.yaml:52  a foreign order is hidden" in done.output
    assert re.search(r"passed  policies/tests/orders_test\.yaml:\d+  an admin's reading token", done.output)
    assert re.search(r"\d+ tests with \d+ cases, 0 failed", done.output)


def test_a_persona_test_that_fails_ends_with_1_and_its_place(folder: Path) -> None:
    assert policy("test", folder).exit_code == 0
    change(
        folder, "{row: foreign, expect: deny", "{row: foreign, expect: allow", "tests/orders_test.yaml", with_tests=True
    )
    done = policy("test", folder)
    assert done.exit_code == 1
    assert re.search(r"FAILED  policies/tests/orders_test\.yaml:5 ", done.output)
    assert re.search(r"orders_test\.yaml:12:9: .*expected allow by default-deny, got deny by default-deny", done.output)
    assert "1 failed" in done.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("as: customer", "as: custmer", "did you mean `customer`"),
        ("with: token-write", "with: tokn-write", "did you mean `token-write`"),
        ("{row: own, ", "{row: owm, ", "no row is named `owm`; did you mean `own`"),
        ("action: list", "action: lst", "did you mean `list`"),
    ],
)
def test_a_misspelt_name_in_a_persona_test_is_named(folder: Path, old: str, new: str, message: str) -> None:
    change(folder, old, new, "tests/orders_test.yaml", with_tests=True)
    done = policy("test", folder)
    assert done.exit_code == 1
    assert message in done.output


def test_a_test_file_without_its_policy_is_refused(folder: Path) -> None:
    shutil.copy(folder / "tests" / "orders_test.yaml", folder / "tests" / "invoices_test.yaml")
    done = policy("test", folder)
    assert done.exit_code == 1
    assert "invoices_test.yaml:1:1: no policy file `invoices.yaml`" in done.output


def test_a_folder_without_personas_says_what_is_missing(folder: Path) -> None:
    (folder / "tests" / "personas.yaml").unlink()
    done = policy("test", folder)
    assert done.exit_code == 1
    assert "policies/tests/personas.yaml:1:1: cannot be read: No such file" in done.output


# --- explain --------------------------------------------------------------------------------------------


def explain(*arguments: str, **environ: str) -> Result:
    return policy("explain", *arguments, **environ)


def test_an_allowed_read_names_its_rule_and_fields() -> None:
    done = explain("--as", "customer", "--action", "read", "--resource", "orders", "--row", "own")
    assert done.exit_code == 0, done.output
    assert "customer with session: orders:read ALLOWED" in done.output
    assert re.search(r"decided by  orders\.own \(policies/orders\.yaml:\d+\)", done.output)
    assert "true: resource.customer_id == principal.customer_id" in done.output
    assert "internal_note" not in done.output


def test_a_denied_read_says_what_was_missing_and_shows_the_values() -> None:
    done = explain(
        "--as", "customer", "--with", "token-write", "--action", "read", "--resource", "orders", "--row", "own"
    )
    assert "DENIED" in done.output
    assert "missing     scope orders:read" in done.output
    done = explain("--as", "customer", "--action", "read", "--resource", "orders", "--row", "foreign")
    assert re.search(r"false: resource\.customer_id == .*resource\.customer_id is [0-]+8; .* is [0-]+7", done.output)
    assert re.search(r"policies    digest [0-9a-f]{64}", done.output)


def test_a_deny_rule_is_the_one_that_decides() -> None:
    done = explain("--as", "admin", "--action", "delete", "--resource", "orders", "--row", "archived")
    assert re.search(r"decided by  orders\.archived \(policies/orders\.yaml:\d+\)", done.output)
    assert "fires" in done.output


def test_a_list_shows_its_sql_with_the_bound_values() -> None:
    done = explain("--as", "customer", "--action", "list", "--resource", "orders")
    assert "depends on the row" in done.output
    assert re.search(r"orders\.customer_id = :(\w+)\n +:\1 = [0-]+7\n", done.output), done.output


def test_a_row_of_the_database_is_decided_on(demo: Mapping[str, str]) -> None:
    """The same order: its owner may read it, another customer may not."""
    order, owner = demo_id("order", "Alice Ahlberg/1"), demo_id("customer", "Alice Ahlberg")
    asked = ("--as", "customer", "--action", "read", "--resource", "orders", "--id", str(order))
    done = explain(*asked, "--set", f"customer_id={owner}", **demo)
    assert done.exit_code == 0, done.output
    assert "orders:read ALLOWED" in done.output
    done = explain(*asked, "--set", f"customer_id={demo_id('customer', 'Bob Brandt')}", **demo)
    assert "orders:read DENIED" in done.output
    assert f"resource.customer_id is {owner}" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--as", "custmer", "--action", "read", "--resource", "orders"), "did you mean `customer`"),
        (("--as", "customer", "--action", "rad", "--resource", "orders"), "did you mean `read`"),
        (("--as", "customer", "--action", "read", "--resource", "oders"), "did you mean `orders`"),
        (("--as", "customer", "--with", "tokn", "--action", "read", "--resource", "orders"), "did you mean `token`"),
        (("--as", "customer", "--action", "read", "--resource", "orders", "--row", "owm"), "did you mean `own`"),
        (("--as", "customer", "--action", "read", "--resource", "orders", "--set", "customer_id=x"), "is not an id"),
        (("--as", "customer", "--action", "read", "--resource", "orders", "--id", "x"), "not a valid UUID"),
    ],
)
def test_an_unknown_name_is_2_with_a_suggestion(arguments: tuple[str, ...], message: str) -> None:
    done = explain(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_an_id_that_is_not_there_is_2(demo: Mapping[str, str]) -> None:
    absent = str(demo_id("order", "nobody/1"))
    done = explain("--as", "admin", "--action", "read", "--resource", "orders", "--id", absent, **demo)
    assert done.exit_code == 2
    assert f"there is no row with the id {absent}" in done.output


# --- matrix and diff ------------------------------------------------------------------------------------


def test_the_matrix_goes_to_standard_output_and_to_files(tmp_path: Path) -> None:
    done = policy("matrix")
    assert done.exit_code == 0, done.output
    assert done.output == (SHIPPED / "matrix.csv").read_text(encoding="utf-8")
    lines, page = tmp_path / "matrix.csv", tmp_path / "matrix.html"
    assert policy("matrix", "--csv", lines, "--html", page).exit_code == 0
    assert lines.read_text(encoding="utf-8") == done.output


def test_the_matrix_page_stands_alone(tmp_path: Path) -> None:
    """It loads nothing, runs nothing, and fits a phone."""
    page = tmp_path / "matrix.html"
    policy("matrix", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|src=|url\(|https?://", text)
    assert 'name="viewport" content="width=device-width' in text
    assert text.count("<td class=") == (SHIPPED / "matrix.csv").read_text(encoding="utf-8").count("\n") - 1
    assert "orders.archived" in text


def test_equal_folders_differ_in_no_cell(folder: Path) -> None:
    done = policy("diff", SHIPPED, folder)
    assert (done.exit_code, done.output) == (0, "no cell changes\n")


def test_a_rule_that_opens_more_is_marked(folder: Path) -> None:
    change(folder, "roles: [admin]", "roles: [manager]")
    done = policy("diff", SHIPPED, folder)
    assert done.exit_code == 1
    assert "opens    DELETE /api/v1/orders/{order_id}  manager/session  own  403 -> 204" in done.output
    assert re.search(r"\d+ cells change, \d+ of them open something", done.output)
    back = policy("diff", folder, SHIPPED)
    assert "closes   DELETE /api/v1/orders/{order_id}  manager/session  own  204 -> 403" in back.output


def test_a_field_that_is_shown_in_addition_is_a_change(folder: Path) -> None:
    change(folder, "currency, note, created_at", "currency, note, internal_note, created_at")
    done = policy("diff", SHIPPED, folder)
    assert done.exit_code == 1
    assert "opens    GET /api/v1/orders  customer/session  -  200  read +internal_note" in done.output


def test_a_row_that_lacks_what_the_rules_read_is_3(folder: Path) -> None:
    """Taken for NULL, the deny rule would fire in the matrix and not for a real order."""
    assert policy("diff", SHIPPED, folder).exit_code == 0
    change(folder, "when: resource.archived", "when: resource.archived && resource.total_minor < 0")
    done = policy("diff", SHIPPED, folder)
    assert done.exit_code == 3
    assert "the row `own` of `orders` lacks `total_minor`" in done.output


def test_a_folder_that_cannot_be_loaded_is_3(folder: Path) -> None:
    change(folder, "principal.customer_id", "principal.custmer_id")
    for arguments in ((SHIPPED, folder), (folder, SHIPPED)):
        done = policy("diff", *arguments)
        assert done.exit_code == 3
        assert "policies/orders.yaml:10:" in done.output


# --- reload ---------------------------------------------------------------------------------------------


def test_a_reload_with_refused_settings_is_3() -> None:
    done = policy("reload", SECURE_API_ENV="testing", SECURE_API_SECRET_KEY="short")
    assert done.exit_code == 3
    assert "SECURE_API_SECRET_KEY" in done.output
