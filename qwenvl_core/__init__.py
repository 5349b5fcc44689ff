"""What Qwen-VL is and how to talk to it. Knows no framework.

Where to look:

- a request's way: `client` (one door), `request`, `settings`, `policy`, `tool_turns`, `wire/`, `body`, `transport/`;
- its answer's: `sse`, `reading`, `wire/`, `events` (and the accumulator), `errors`;
- what models are and take: `models`, `endpoints`, `tokens`, `counting`, `checks`, `tool_checks`;
- media: `media` (where they come from), `probe`, `movie`, `looking` (what they are), `picture`, `fit`, `uploads`,
  `attachments` (PDFs in a conversation);
- what models say of images and pages: `grounding`, `layout`, `box`, `drawing`, `markup/`;
- whole documents: `documents/`; what both chat models share: `keywords`.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
