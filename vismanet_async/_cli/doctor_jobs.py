"""What the doctor finds out about the job store; it makes and changes nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async._cli.doctor_checks import Finding
from vismanet_async._cli.exit_codes import WORTH_A_LOOK
from vismanet_async.errors import SettingsError, VismaNetError

if TYPE_CHECKING:
    from vismanet_async._clock import Clock
    from vismanet_async._settings import Settings

__all__ = ["jobs_finding"]

_SECONDS: Final = 10.0
_ADVICE: Final = "Until then no background job can be submitted or followed; see VISMANET_JOB_STORE."


async def jobs_finding(settings: Settings, clock: Clock) -> Finding | None:
    """Look whether the job store can be used; None where none is named and the extra for one is not installed."""
    try:
        from vismanet_async._jobs.sql.store import SqlStore  # noqa: PLC0415 - an extra

        store = SqlStore(settings.job_store)
    except (ModuleNotFoundError, SettingsError) as error:
        return None if settings.job_store is None else _warning(f"the job store cannot be used: {error}")
    there: bool | None = None
    try:
        with clock.move_on_after(_SECONDS):
            there = await store.is_there()
    except VismaNetError as error:
        return _warning(str(error))
    finally:
        await store.aclose()
    if there is None:
        return _warning(f"the job store at {store.shown} does not answer within {_SECONDS:g} s.")
    share = "" if settings.poll_share is None else f"; looking for ends may use {settings.poll_share:.4g} of the quota"
    new = "" if there else ", which the first one makes"
    return Finding(check="jobs", level="ok", text=f"background jobs are kept in {store.shown}{new}{share}.")


def _warning(text: str) -> Finding:
    return Finding(check="jobs", level="warning", text=text, advice=_ADVICE, exit_code=WORTH_A_LOOK)
