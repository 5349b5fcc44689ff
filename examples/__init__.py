"""Examples to copy. Each runs as it is with a key, and from a cassette in `make demo` and the tests."""
