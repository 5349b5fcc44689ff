"""Tests of the web page of `make app`; those that need Gradio or a browser skip without it."""
