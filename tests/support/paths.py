"""Folders that the tests read: the project's root, and real scans and recordings where they lie beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SCANS = SHARED / "scans"
RECORDINGS = SHARED / "recordings"
