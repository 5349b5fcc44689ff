"""Frozen values that the pipeline passes on: messages, settings, requests, events, replies."""
