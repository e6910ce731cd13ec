"""What trains: FIN variants, the fusion head and their loss, in torch.

Apart from the edge client so that `export` can load a trained model without importing across.
"""
