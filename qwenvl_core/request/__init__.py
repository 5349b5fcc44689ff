"""Prepare a request: policy, validation, image fitting, PDF pages and token counts."""
