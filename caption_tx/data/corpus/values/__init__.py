"""What a single cell or value holds, whatever table it is from: its kind, lists, marks, missing and damaged text."""
