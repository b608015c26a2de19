"""Benchmarks: the SDK against real peers on one machine, as ratios within one run."""
