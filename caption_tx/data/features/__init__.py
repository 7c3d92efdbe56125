"""Image features: the frozen backbone, and a cache that stores each image once."""
