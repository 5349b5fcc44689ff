"""Check what a release uploads: `python -m tests.release` (`make release-check`)."""
