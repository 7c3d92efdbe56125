"""Caption files of every layout -> one table with a row per caption."""
