"""The text of a caption file as the lines that the readers of tables expect, and kinds of files that are none."""
