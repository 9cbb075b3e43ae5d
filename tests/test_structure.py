"""The shape of the house: a stage is found by its name, imports point one way, and every table has one writer."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime.tables import Table, catalog
from jobs.stages import BY_NAME, STAGES, WRITER_OF

ROOT = Path(__file__).resolve().parents[1]
NAMES = [stage.name for stage in STAGES]
SOURCES = sorted((ROOT / "jobs").rglob("*.py"))
STAGE_SOURCES = [path for path in SOURCES if path.relative_to(ROOT / "jobs").parts[0] in NAMES]
LAZY = ("cli.py", "check_conf.py")  # the console imports what a command needs when it is called


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(path: Path, inside_functions: bool = True) -> set[str]:
    """All modules a file imports, `if TYPE_CHECKING` left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if not inside_functions and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        found.update(imported(node))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(path))
    return found


def stages_in(modules: set[str], of: str = "jobs") -> set[str]:
    """The stages whose code is among the modules."""
    return {
        parts[1]
        for parts in (module.split(".") for module in modules)
        if parts[0] == of and len(parts) > 1 and parts[1] in NAMES
    }


@pytest.mark.parametrize("stage", NAMES)
@pytest.mark.parametrize(
    "place", ["jobs/{}/job.py", "jobs/{}/tables.py", "jobs/{}/transforms.py", "expectations/{}.py", "tests/{}"]
)
def test_a_stage_is_found_by_its_name(stage, place):
    assert (ROOT / place.format(stage)).exists()


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_has_tests(stage):
    assert list((ROOT / "tests" / stage).glob("test_*.py"))


@pytest.mark.parametrize("stage", NAMES)
def test_settings_and_their_file_go_together(stage):
    assert (ROOT / "jobs" / stage / "settings.py").exists() == (ROOT / "conf" / f"{stage}.yaml").exists()


def test_every_suite_belongs_to_a_stage():
    assert {path.stem for path in (ROOT / "expectations").glob("*.py")} - {"__init__", "promises"} == set(NAMES)


@pytest.mark.parametrize("path", STAGE_SOURCES, ids=shown)
def test_a_stage_imports_no_other_stage(path):
    own = path.relative_to(ROOT / "jobs").parts[0]
    assert stages_in(imports(path)) <= {own}
    assert not any(module.startswith("jobs.simulation") for module in imports(path))


@pytest.mark.parametrize("path", sorted((ROOT / "jobs" / "ledger").rglob("*.py")), ids=shown)
def test_the_shared_domain_imports_no_stage(path):
    assert stages_in(imports(path)) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "jobs" / "runtime").rglob("*.py")), ids=shown)
def test_the_runtime_knows_stages_by_name_only(path):
    assert stages_in(imports(path, inside_functions=False)) == set()
    if path.name not in LAZY:
        assert stages_in(imports(path)) == set()


@pytest.mark.parametrize("stage", NAMES)
def test_a_suite_imports_only_its_own_stage(stage):
    assert stages_in(imports(ROOT / "expectations" / f"{stage}.py")) <= {stage}


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "dags").glob("*.py")), ROOT / "jobs" / "runtime" / "dag_tasks.py"], ids=shown
)
def test_dags_import_no_pyspark_when_they_are_parsed(path):
    """Followed through the house's own modules: what they import when they are imported counts too."""
    seen, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        modules = imports(file, inside_functions=False)
        assert not {module for module in modules if module.split(".")[0] in ("pyspark", "delta", "great_expectations")}, (
            shown(file)
        )
        for module in modules - seen:
            seen.add(module)
            other = ROOT / (module.replace(".", "/") + ".py")
            if module.split(".")[0] in ("jobs", "expectations") and other.exists():
                waiting.append(other)


def test_the_stage_list_needs_the_standard_library_only():
    assert {module.split(".")[0] for module in imports(ROOT / "jobs" / "stages.py")} <= set(sys.stdlib_module_names)


def uses(path: Path) -> Iterator[tuple[int, str]]:
    """Names and attributes that code uses, with their lines; comments and texts do not count."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = node.func
            yield node.lineno, (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) + "("
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        for module in imported(node):
            yield getattr(node, "lineno", 0), f"import {module}"


FORBIDDEN = {
    "print(": "the console speaks through typer, everything else through the log",
    "show(": "looks at data and throws it away",
    "toPandas(": "brings a table into one process",
    "toPandas": "brings a table into one process",
    "sparkContext": "is not there over Spark Connect",
    "monotonically_increasing_id": "depends on partitioning",
    "monotonically_increasing_id(": "depends on partitioning",
    "uuid(": "is another one every time",
    "uuid4(": "is another one every time",
    "rand(": "is another one every time",
    "current_date(": "reads the clock",
    "current_timestamp(": "reads the clock",
    "today(": "reads the clock",
    "now(": "reads the clock",
    "import uuid": "is another one every time",
    "import random": "is another one every time",
    "import delta": "does not work over Spark Connect",
    "import delta.tables": "does not work over Spark Connect",
    "import delta.tables.DeltaTable": "does not work over Spark Connect",
    "udf(": "a row at a time in Python",
    "dropDuplicates(": "keeps whichever row comes first",
    "first(": "keeps whichever row comes first",
    "collect_list(": "has no order",
}


@pytest.mark.parametrize("path", [p for p in SOURCES if p in STAGE_SOURCES or "ledger" in p.parts], ids=shown)
def test_stages_use_nothing_that_differs_from_run_to_run_or_does_not_scale(path):
    assert [f"{shown(path)}:{line}: {name} {FORBIDDEN[name]}" for line, name in uses(path) if name in FORBIDDEN] == []


@pytest.mark.parametrize("stage", NAMES)
def test_transforms_do_no_io(stage):
    path = ROOT / "jobs" / stage / "transforms.py"
    assert {module for module in imports(path) if module.startswith("jobs.runtime")} <= {
        "jobs.runtime.tables",
        "jobs.runtime.tables.Table",
    }
    assert {name for _, name in uses(path)} & {
        "collect(",
        "toLocalIterator(",
        "save(",
        "saveAsTable(",
        "open(",
        "read",
        "write",
        "count_rows(",
    } == set()


@pytest.mark.parametrize("path", STAGE_SOURCES, ids=shown)
def test_every_join_says_how(path):
    said = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            is_text = isinstance(node.func.value, ast.Constant) or len(node.args) + len(node.keywords) < 2
            if not is_text and not any(keyword.arg == "how" for keyword in node.keywords):
                said.append(f"{shown(path)}:{node.lineno}")
    assert said == []


def declared() -> dict[str, list[str]]:
    """Table -> the stages that declare it."""
    found: dict[str, list[str]] = {}
    for stage in NAMES:
        for value in vars(importlib.import_module(f"jobs.{stage}.tables")).values():
            if isinstance(value, Table):
                found.setdefault(value.name, []).append(stage)
    return found


def test_every_published_table_is_declared_by_the_one_stage_that_writes_it():
    assert declared() == {table: [stage] for table, stage in WRITER_OF.items()}
    assert len(WRITER_OF) == sum(len(stage.outputs) for stage in STAGES), "two stages write one table"


@pytest.mark.parametrize("name", sorted(WRITER_OF))
def test_a_table_names_its_tenant_first_and_its_publication_last(name):
    table = catalog()[name]
    columns = table.schema.fieldNames()
    assert columns[0] == "tenant_id" and columns[-1] == "publication_id"
    assert table.unit[0] == "tenant_id"
    assert {*table.unit, *table.order, *table.personal} <= set(columns)
    assert len(set(columns)) == len(columns)


@pytest.mark.parametrize("name", sorted(WRITER_OF))
def test_no_table_has_a_float(name):
    kinds = {field.name: field.dataType.simpleString() for field in catalog()[name].schema.fields}
    assert {column for column, kind in kinds.items() if "double" in kind or "float" in kind} == set()


def test_only_party_tables_carry_personal_columns():
    personal = {"legal_name", "email", "iban", "street", "tax_id", "postal_code", "city"}
    carrying = {name: personal & set(table.schema.fieldNames()) for name, table in catalog().items()}
    assert {name for name, columns in carrying.items() if columns} == {
        "raw.accounts", "raw.vendors", "raw.payables", "raw.open_items", "raw.tax_registrations",
    }  # fmt: skip
    for name, columns in carrying.items():
        assert columns <= set(catalog()[name].personal), f"{name} does not say that {columns} are personal"
    assert set(catalog()["raw.accounts"].personal) == personal


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_reads_only_what_an_earlier_one_writes(stage):
    earlier = NAMES[: NAMES.index(stage)]
    before = {stage, "ledger_posting"} if BY_NAME[stage].in_turn else set()  # what earlier runs have left
    before |= {stage} if BY_NAME[stage].looks_back else set()
    before |= set(BY_NAME[stage].earlier_runs_of)
    assert {WRITER_OF[table] for table in BY_NAME[stage].inputs} <= {*earlier, *before}


@pytest.mark.parametrize(("stage", "gate"), [(stage.name, gate) for stage in STAGES for gate in stage.gates])
def test_every_gate_exists_and_promises_something(stage, gate):
    suite = getattr(importlib.import_module(f"expectations.{stage}"), gate)()
    assert suite.name == f"{stage}.{gate}"
    titles = [expectation.description for expectation in suite.expectations]
    assert len(titles) == len(set(titles)) > 0
    assert all(expectation.notes for expectation in suite.expectations)


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_offers_the_three_verbs_and_says_what_to_do(stage):
    job = importlib.import_module(f"jobs.{stage}.job")
    assert all(callable(getattr(job, verb)) for verb in ("plan", "write", "audit"))
    assert job.WHAT_TO_DO


@pytest.mark.parametrize("path", SOURCES + sorted((ROOT / "expectations").glob("*.py")), ids=shown)
def test_what_is_public_says_what_it_is(path):
    module, silent = tree(path), []
    if path.name != "__init__.py" and not ast.get_docstring(module):
        silent.append(shown(path))
    for owner in [
        module,
        *(node for node in module.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")),
    ]:
        for node in owner.body:
            is_public = isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            )
            if is_public and not ast.get_docstring(node):
                silent.append(f"{shown(path)}:{node.lineno} {node.name}")
    assert silent == []


@pytest.mark.parametrize("path", [p for p in (ROOT / "jobs").iterdir() if p.suffix == ".py" or p.is_dir()], ids=shown)
def test_nothing_directly_in_jobs_hides_a_module_of_the_standard_library(path):
    assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names
