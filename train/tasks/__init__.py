"""The tasks of the paper, one file each: an encoder in, figures out."""
