"""Tools for the documentation's pictures and generated pages, and for mutation tests. The library does not need them."""
