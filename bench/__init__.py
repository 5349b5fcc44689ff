"""What the adapters cost, beside the SDKs and their peers: `make bench`."""
