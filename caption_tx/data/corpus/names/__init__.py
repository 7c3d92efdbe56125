"""Image names of captions, and the files of the image folder that they mean."""
