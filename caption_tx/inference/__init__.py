"""From image features to captions, and to where the model looked for each of their words."""
