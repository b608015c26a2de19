"""`typing.get_type_hints` of every method of every resource, and that it costs nothing until somebody asks."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ForwardRef, Literal, get_args, get_origin, get_type_hints

import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async import Listing, Operation
from vismanet_async._api.registry import resource_names
from vismanet_async._api.resources.customer import CustomerResource
from vismanet_async._api.results import Created, Updated
from vismanet_async.models import Customer, CustomerUpdate


def resource_class(name: str) -> Any:
    module = import_module(f"vismanet_async._api.resources.{name}")
    (found,) = module.__all__
    return getattr(module, found)


def parts(hint: Any) -> list[Any]:
    if isinstance(hint, list):
        return [each for one in hint for each in parts(one)]
    inner = [] if get_origin(hint) is Literal else get_args(hint)
    return [hint, *(each for one in inner for each in parts(one))]


@pytest.mark.parametrize("name", resource_names())
def test_the_types_of_every_method_are_named(name: str) -> None:
    found = inspect.getmembers(resource_class(name), inspect.isfunction)
    methods = [method for name, method in found if not name.startswith("_")]
    assert methods
    for method in methods:
        hints = get_type_hints(method)
        assert hints.keys() - {"return"} == {*inspect.signature(method).parameters} - {"self"}
        for part in parts([*hints.values()]):
            assert not isinstance(part, str | ForwardRef), (method, part)


def test_they_are_the_types_themselves() -> None:
    assert get_type_hints(CustomerResource.get)["return"] == Operation[Customer]
    assert get_type_hints(CustomerResource.list)["return"] == Listing[Customer]
    created = get_type_hints(CustomerResource.create)
    assert created == {
        "body": CustomerUpdate | Mapping[str, Any],
        "timeout_seconds": float | None,
        "return": Operation[Created],
    }
    changed = get_type_hints(CustomerResource.modify)
    assert changed["return"] is Updated
    given, made = get_args(changed["change"])
    assert given == [Customer]
    assert set(get_args(made)) == {CustomerUpdate, Mapping[str, Any], type(None)}


def test_naming_them_loads_no_model() -> None:
    program = (
        "import sys, typing; from vismanet_async._api.resources.customer import CustomerResource as C\n"
        "later = ('vismanet_async._api.models.', 'vismanet_async._paging.listing')\n"
        "loaded = lambda: [name for name in sys.modules if name.startswith(later)]\n"
        "assert not loaded(), loaded()\n"
        "typing.get_type_hints(C.list)\n"
        "assert len(loaded()) > 1"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
