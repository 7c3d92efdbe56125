"""What is wrong with a caption corpus: the checks, their report and its plot."""
