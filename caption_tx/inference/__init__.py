"""From image features to a caption, and to where the model looked for each of its tokens."""
