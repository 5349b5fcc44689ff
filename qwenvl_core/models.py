"""Describe models by name: what they accept, how they think, and their limits."""

from __future__ import annotations

from qwenvl_core.catalog.models import ModelFacts, describe

__all__ = ["ModelFacts", "describe"]
