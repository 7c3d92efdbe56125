"""Images: where they are stored, and how they are decoded, augmented and read ahead."""
