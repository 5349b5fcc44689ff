"""Convert, draw and crop boxes on images. Pillow is imported on use."""
