"""The model: what is trained and what is compiled. Imports nothing else of ours."""
