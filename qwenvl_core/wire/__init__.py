"""Encode request bodies and decode replies; no other package depends on the JSON shapes of the APIs."""
