"""Read, inspect and decode images and videos; upload the large ones."""
