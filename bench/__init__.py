"""Measure the overhead of the adapters, their peers and the bare SDKs: `make bench`."""
