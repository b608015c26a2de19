"""The same over real HTTP: endpoints that page though nobody says so, farms of several servers, busy lists."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.api.support import Recorder
from tests.paging.live import keys, live
from tests.paging.test_listing import scripted
from tests.paging.test_over_http import watch
from tests.support.clock import VirtualClock
from tests.transport.wire import answer, wire_server
from vismanet_async import StaticToken, VismaNet
from vismanet_async.errors import DeadlineExceeded, IncompleteListing, ServerError
from vismanet_async.transport.pool import SHARED_SECONDS  # noqa: F401
