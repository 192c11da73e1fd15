"""What the documentation's site is made with, beside mkdocs.yml: pages and drawings that are generated and then committed."""
