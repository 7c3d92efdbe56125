"""Tables that are drawn with characters: grid tables, output of database consoles, aligned columns and wiki markup."""
