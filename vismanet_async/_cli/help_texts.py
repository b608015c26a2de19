"""What the help pages of several commands say."""

from __future__ import annotations

from typing import Final

__all__ = ["MORE", "NEXT_STEPS", "SIGNING_IN", "SIGN_IN"]

SIGN_IN: Final = (
    "Signs in with VISMANET_CLIENT_ID, VISMANET_CLIENT_SECRET and VISMANET_TENANT_ID, or with VISMANET_TOKEN, or with "
    "a profile; `vismanet doctor` finds what is wrong, `vismanet simulate` runs a company to try it on."
)
MORE: Final = "`vismanet --help` says what the exit codes mean, and how to have logs, or less on the screen."
SIGNING_IN: Final = f"{SIGN_IN}\n\n{MORE}"
NEXT_STEPS: Final = """\
vismanet exports and updates Visma Net ERP data, safely and completely.

Three steps to begin with:
  vismanet simulate                  # 1. a company to try it on
  vismanet doctor                    # 2. what is missing to sign in
  vismanet export customer --to out  # 3. the first list, to files

vismanet --help lists all commands."""
"""What `vismanet` alone prints; no line above 80 columns."""
