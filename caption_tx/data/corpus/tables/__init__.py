"""Tables of text: their header, and which of the columns are the image, the captions and the split."""
