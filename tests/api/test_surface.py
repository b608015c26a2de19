"""What is loaded when, what type checkers see, and that nothing generated was edited."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import Client, operations
from vismanet_async._api import generate, models
from vismanet_async._api.generator import facts
from vismanet_async._api.lazy import LazyResource
from vismanet_async._api.models import enums
from vismanet_async._api.registry import registry
from vismanet_async._api.resources import Resources
from vismanet_async._api.resources.customer import CustomerResource

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_client_loads_no_resource_and_a_resource_no_model() -> None:
    loaded = python(
        """
        import sys
        from vismanet_async._api.resources import Resources
        class Client(Resources):
            sender = time_zone = None
        client = Client()
        before = sorted(name for name in sys.modules if "api.resources." in name or "api.models" in name)
        client.customer
        after = sorted(name for name in sys.modules if "api.resources." in name or "api.models" in name)
        print(before, after, "cattrs" in sys.modules)
        """
    )
    assert loaded == "[] ['vismanet_async._api.resources.customer'] False"


def test_a_model_loads_only_what_it_needs() -> None:
    loaded = python(
        """
        import sys
        from vismanet_async._api.models.customer import Customer
        from vismanet_async._codec.struct_decoder import decoder
        decoder(Customer)
        print(*sorted(name.rpartition("api.models.")[2] for name in sys.modules if "api.models." in name))
        """
    ).split()
    homes = {one["home"] for one in registry()["models"].values()}
    resources = {home for home in homes if not home.startswith("common.")}
    assert set(loaded) & resources == {"customer"}
    assert "enums" not in loaded
    assert len(loaded) < 40


def test_touching_a_resource_costs_less_than_150_ms() -> None:
    """Processor time in a fresh process: the resource, its models and their decoder; a busy machine gets ten tries."""
    code = """
        import time
        import vismanet_async._client
        from vismanet_async._api.resources import Resources
        class Client(Resources):
            sender = time_zone = None
        started = time.process_time()
        Client().customer_invoice
        from vismanet_async._api.models import CustomerInvoice, CustomerInvoiceUpdate
        from vismanet_async._codec.struct_decoder import decoder
        decoder(CustomerInvoice)
        print(time.process_time() - started)
        """
    assert any(float(python(code)) < 0.150 for _ in range(10))


def test_resources_are_made_once_and_seen_by_name() -> None:
    client = Client()
    assert isinstance(client.customer, CustomerResource)
    assert client.customer is client.customer
    assert isinstance(Resources.customer, LazyResource)
    assert {name for name in vars(Resources) if not name.startswith("_")} == {*registry()["resources"]}
    for name in registry()["resources"]:
        getattr(client, name)


def test_models_are_found_by_name() -> None:
    assert "Customer" in dir(models)
    for name in models.__all__:
        assert getattr(models, name)
    with pytest.raises(AttributeError, match="there is no model 'Custommer'"):
        models.Custommer  # noqa: B018 - that is the point


def test_generated_code_is_what_the_catalog_gives(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 0, capsys.readouterr().out


def test_the_coverage_page_has_every_operation() -> None:
    page = (ROOT / "docs" / "coverage.md").read_text("utf-8")
    for key, operation in operations().items():
        ended = f", ended {operation['ended']}: use `{operation['instead']}`" if "ended" in operation else ""
        assert f"| `{key}`{ended} | `" in page
        assert f"{operation['method']} `{operation['path']}`" in page


def test_an_edited_file_is_noticed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = generate._made()
    path = facts.API / "models" / "customer.py"
    monkeypatch.setattr(generate, "_made", lambda: {**made, path: made[path] + "# edited\n"})
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 1
    assert "models/customer.py" in capsys.readouterr().out


def test_generated_files_are_small_enough_for_editors() -> None:
    folder = ROOT / "vismanet_async" / "_api"
    lengths = {path: path.read_text("utf-8").count("\n") for path in folder.rglob("*.py")}
    assert max(lengths.values()) < 3000


def test_overrides_say_why(tmp_path: Path) -> None:
    (tmp_path / "catalog").symlink_to(facts.API / "catalog")
    for text, message in (
        ('[model.CustomerDto]\nname = "X"\n', "needs a reason and a date"),
        ('[model.NoSuchDto]\nname = "X"\nreason = "x"\ndate = 2026-01-01\n', "names nothing in the catalog"),
        ('[operation.No_Such]\nreason = "x"\ndate = 2026-01-01\n', "names nothing in the catalog"),
    ):
        (tmp_path / "overrides.toml").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            facts.load(tmp_path)


def test_the_types_of_enumerations_are_those_that_checkers_see() -> None:
    stub: dict[str, Any] = {}
    code = Path(enums.__file__).with_suffix(".pyi").read_text("utf-8")
    exec(code, stub)
    named = {name for name in stub if not name.startswith("_")} - {"Literal", "Other", "TypeAlias"}
    assert {name for name in named if getattr(enums, name) != stub[name]} == set()
    assert (sorted(enums.__all__), len(named) > 200) == (stub["__all__"], True)
    for name in ("Nothing", "NothingValue", "Value", "Choice", ""):
        with pytest.raises(AttributeError, match=f"no enumeration {name}"):
            getattr(enums, name)
