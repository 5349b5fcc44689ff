"""Define the folders that tests read: the project root, and the shared scans and recordings where they exist."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SCANS = SHARED / "scans"
RECORDINGS = SHARED / "recordings"
