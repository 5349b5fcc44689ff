"""Serve a local web page that reads a scan, answers questions about it, and marks the cited places (`make app`)."""
