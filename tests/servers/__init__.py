"""Tests against real servers of the OpenAI-compatible API."""
