"""The API surface: facts in `catalog`, and what is generated from them."""
