"""The transports: each moves bytes through one vendor SDK, and is the only module that imports it."""
