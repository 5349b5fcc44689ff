"""Hold the frozen values that the pipeline passes on: messages, settings, requests, events and replies."""
