"""One module for each family of caption layouts; `layouts.FORMATS` is the list of them."""
