"""What one answer tells of a list: its first rows and its length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._http.answer import page_text
from vismanet_async._paging.fetcher import page_errors
from vismanet_async._paging.protocol import TRIES
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from vismanet_async._http.message import Sender
    from vismanet_async._paging.list_requests import ListRequests
    from vismanet_async._paging.page_formats import PageAnswer

__all__ = ["first_answer"]


async def first_answer(requests: ListRequests, page_size: int, *, sender: Sender, operation: str) -> PageAnswer:
    """Ask for page 1; as by lists, a blank is believed the third time, a contradiction never.

    Raises:
        UnexpectedResponse: the answers contradict themselves.
    """
    contradiction: str | None = None
    for left in reversed(range(TRIES)):
        response = await sender.send(requests.first_page(page_size))
        with page_errors(operation):
            answer = requests.style.read(page_text(response.headers, response.content))
        why = _contradiction(answer, by_line=requests.style.by_line)
        contradiction = why or contradiction
        if why is None and (answer.rows or (contradiction is None and not left)):
            return answer
    raise UnexpectedResponse(f"{operation}: the answers contradict themselves: {contradiction}.")


def _contradiction(answer: PageAnswer, *, by_line: bool) -> str | None:
    rows, total = len(answer.rows), answer.total
    # totals of journals count lines; and who ignores the page size sends more rows than were asked for
    if total is None or by_line or min(1, total) <= rows <= total:
        return None
    return f"{rows} rows and a total of {total}"
