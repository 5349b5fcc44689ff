"""Read, inspect and decode images and videos; upload the large ones."""

from __future__ import annotations

from qwenvl_core.media.frame_sampling import SampledFrames, sample_frames

__all__ = ["SampledFrames", "sample_frames"]
