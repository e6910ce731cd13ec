"""Where cases come from: tables and image files. Whatever is wrong with one input stays with that input."""
