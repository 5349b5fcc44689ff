"""Encode request bodies and decode replies; no other package knows the JSON shapes of the APIs."""
