"""The Sales Order service, version 3."""

from __future__ import annotations

from vismanet_async.api.base import Resource

__all__ = ["SalesOrderService"]


class SalesOrderService(Resource):
    """The Sales Order service, version 3."""
