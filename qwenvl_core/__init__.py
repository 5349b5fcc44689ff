"""Describe the Qwen-VL models and talk to them, independent of any framework.

Where to find what:

- `client`: the pipeline from a request to response events; the configuration that both chat models share;
- `request`: policy, validation, image fitting, PDF attachments, tool messages, token counts;
- `wire`: JSON bodies and events of both APIs, server-sent events, the response reader;
- `transport`: HTTP over the SDKs' clients, retries, event loops, redaction;
- `types`: messages, media sources, settings, requests, events, replies, and the reply accumulator;
- `catalog`: rows of models and endpoints; `models` and `tokens`: facts and token counts of a model;
- `media`: sources, sniffing, inspection and uploads of images and videos;
- `vision` and `rendering`: boxes, drawing, pages as images;
- `grounding`, `layout`, `parsing`: what models write about images and pages;
- `documents`: transcription of whole documents;
- `errors`: every exception.
"""

__version__ = "0.2.0"
"""Version of the package; the three packages are one distribution, `qwenvl-adapters`."""

__all__ = ["__version__"]
