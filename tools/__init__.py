"""What makes the documentation's pictures and generated pages; none of it is needed to run anything."""
