"""Examples to copy. Each runs against the service with a key, and from a cassette in `make demo` and the tests."""
