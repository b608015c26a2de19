"""The simulator itself; `vismanet_async.simulator` is its face."""
