"""Boxes on images: geometry, drawing and cropping. Pillow is imported on use."""
