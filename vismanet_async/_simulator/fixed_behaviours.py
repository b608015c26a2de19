"""The facts that no switch of `behaviours.py` turns: what the simulator does about them, or why it does nothing."""

from __future__ import annotations

from attrs import frozen

__all__ = ["WITHOUT_SWITCH", "WithoutSwitch"]


@frozen
class WithoutSwitch:
    """Facts by their numbers in docs/facts.md."""

    facts: tuple[str, ...]
    text: str
    simulated: bool = True
    """False: the text says why not."""


def _always(facts: str, text: str) -> WithoutSwitch:
    return WithoutSwitch(tuple(facts.split()), text)


def _not(facts: str, text: str) -> WithoutSwitch:
    return WithoutSwitch(tuple(facts.split()), text, simulated=False)


WITHOUT_SWITCH: tuple[WithoutSwitch, ...] = (
    _always("1.1 1.2 1.3 1.10", "Current, older and Sales Order base paths are served, in any case."),
    _always("1.7", "404 and 405 come before the token is looked at, 401 where a route exists."),
    _always("1.15 1.17", "The surface is the catalog's, v1 beside v2, its defects included."),
    _always("2.1 2.2 2.3 2.6", "Token and sign-in endpoints, with scopes and OAuth errors."),
    _always("2.7", "`Simulator.customer_tenant_id` gets valid tokens and 401 for every call."),
    _always("2.10", "Fault `expire_tokens`; `sim.tokens.revoke()`."),
    _always("3.2 3.6 3.9 3.10", "One budget for a company and client (`quota=...`); what is over it is not executed."),
    _always("3.8", "No limit; `sim.requests.most_in_flight` tells."),
    _always("3.11", "Fault `status` with 429, in the middle of a list."),
    _always("3.12 9.9 10.12 10.13", "What is sent twice is executed twice; `sim.ledger` shows it."),
    _always("4.1 4.8 4.9 4.11 4.12 4.13", "Each list pages, or not, as the catalog says; journals by their lines."),
    _always("4.5 4.6", "Every page is a look at that moment; `sim.churn` and fault `change_rows` move rows."),
    _always("4.14 5.14 6.10 10.15", "The Sales Order service has its own paging, filters, versions and errors."),
    _always("5.17", "Later parts of an order come under names of their own making: `lines`, `rotRut`, `tax`."),
    _always("11.9", "Bodies are held to the Sales Order catalog, and refused with its codes."),
    _always("5.1 5.2 5.6 5.7 5.8", "Filters filter: formats, operators and periods as documented, else 400."),
    _always("5.9 9.7", "Expand flags are off; what they would show is left out of lists."),
    _always("5.11", "`sim.restamp(resource)` stamps all rows anew."),
    _always("5.15", "One item per call, as in the catalog."),
    _always("5.16", "Values of enumerations match in any case; a value that no row has finds none."),
    _always("5.18", "What is removed is in no list any more, and nothing is stamped; `sim.remove(resource)`."),
    _always("6.1 6.3 6.4 6.5 6.7 6.8 6.9", "Versions move with every change; If-Match counts where the catalog says."),
    _always("7.2 7.5 7.7 7.13 7.16", "The queue takes what the catalog lets in; jobs are read as documented."),
    _always("7.9", "`sim.background.script(status_code=400)`: finished, and refused."),
    _always("7.12", "`sim.background.delay_seconds`, `run_seconds` and `workers` decide the order."),
    _always("7.15", "`Job.polls` counts; switch `same_request_rule` refuses."),
    _always("7.17 8.4 8.5 8.6", "`sim.webhooks` signs, repeats, delays, reorders and forges; `payload` is the body."),
    _always("8.8 8.10", "`sim.webhooks.events` are sent when a record is written; where members stand is made up."),
    _always("7.18", "Fault `lost_202`; `sim.background.script(lose_answer=True)`."),
    _always("9.1 9.2 9.3 9.5 9.6", "Files are kept whole, whatever the form's field is called."),
    _always("10.2 10.3 10.4 10.8", "Bodies are read as .NET reads them: converted, partial, line by line."),
    _always("10.5 10.10 11.8", "Statuses, Location and ETag as documented; new documents are balanced until released."),
    _always("10.14", "`latency=...` and fault `latency`, up to the gateway's limit."),
    _always("11.3 11.7", "Faults `html`, `status`, `cut_body`, `short_body` and `wrong_type`."),
    _always("11.5", "Errors carry a VismaId, all answers `Ipp-Request-Id`."),
    _always("12.1 12.3 12.4 12.5 12.7", "Amounts keep their scale, dates with a zone move, ids are text."),
    _not("1.4 1.18", "Services of their own, which the catalog does not describe."),
    _not("1.5 1.14 1.16", "Nothing that a server does."),
    _not("1.6", "It describes itself, at `/openapi.json` and, for orders, at `/swagger/v3/swagger.json`."),
    _not("1.11 2.11 12.8", "Headers that change nothing; the request log shows them."),
    _not("8.1 8.2 8.3 8.9", "Set in the portal and the ERP; `sim.webhooks.url` stands for it."),
    _not("8.7", "Which publisher an event is of changes nothing; orders of its own service and vouchers send none."),
    _not("9.8", "No limit is known, so none is set."),
    _not("11.4", "Texts are English, in every company."),
)  # fmt: skip
