"""Where float encoders come from: presets, a local Hugging Face folder, any torch module."""
