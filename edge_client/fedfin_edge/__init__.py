"""The edge client: a site's cases become features, features train the model, the model answers."""

import fedfin  # noqa: F401 - it sets what onnxruntime heeds when it is imported
