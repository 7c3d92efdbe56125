"""Images: where they are stored, how they are found, decoded, augmented and read ahead."""
