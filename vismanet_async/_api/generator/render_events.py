"""Writes the module with the names of the webhook events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vismanet_async._api.generator.render_models import HEADER

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["render"]

_TYPES = {"vismanetfinancials": "FinancialEvent", "visma.net.erp.salesorderservice-publisher": "SalesOrderEvent"}
_MODULE = """{header}
from __future__ import annotations

from typing import Literal

__all__ = {names}

{types}
EventName = {union}
\"\"\"The name of an event of any publisher.\"\"\"
"""


def render(catalog: Path) -> str:
    """Return the text of `_api/webhook_events.py`: a type of literals for each publisher."""
    facts = json.loads((catalog / "webhooks.json").read_text("utf-8"))
    types = []
    for publisher, title in facts["publishers"].items():
        names = [event["name"] for event in facts["events"] if event["publisher"] == publisher]
        literal = ", ".join(json.dumps(name) for name in names)
        types.append(
            f"{_TYPES[publisher]} = Literal[{literal}]\n"
            f'"""Events of the publisher {title}, as Visma listed them on {facts["date"]}."""\n'
        )
    return _MODULE.format(
        header=HEADER.format(title="The names of the webhook events, by publisher."),
        names=sorted(["EventName", *_TYPES.values()]),
        types="".join(types),
        union=" | ".join(_TYPES.values()),
    )
