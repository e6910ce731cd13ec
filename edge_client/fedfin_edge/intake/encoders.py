"""The site's encoders, in processes that live as long as there is something to encode.

Decoders of images are C code that reads what others made: a file that ends its process must not end the service.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from fedfin.encoders.bundle import read_manifest
from fedfin_edge.cases.digests import Input
from fedfin_edge.cases.worker_messages import Outcome
from fedfin_edge.cases.workers import LocalEncoder, Workers
from fedfin_edge.site import Site

Key = TypeVar("Key")


class Encoders:
    """One for each modality, opened when it is needed. processes: for each; 0: in this process.

    `beat` is called for each outcome, and while processes are waited for: a batch of large images, or an engine that
    TensorRT builds, takes longer than a service may be silent.
    """

    def __init__(self, site: Site, processes: int, beat: Callable[[], None]) -> None:
        self._site = site
        self._processes = processes
        self._beat = beat
        self._open: dict[str, LocalEncoder | Workers] = {}
        self._stack = ExitStack()

    def encode(self, modality: str, inputs: Iterable[tuple[Key, Input]]) -> Iterator[tuple[Key, Outcome]]:
        """As `Workers.encode`."""
        if modality not in self._open:
            bundle, providers = self._site.bundle_path(modality), self._site.providers
            fresh: LocalEncoder | Workers = (
                Workers(bundle, self._processes, providers, self._beat)
                if self._processes
                else LocalEncoder(bundle, providers)
            )
            self._stack.enter_context(fresh)
            self._open[modality] = fresh
        for outcome in self._open[modality].encode(inputs):
            self._beat()
            yield outcome

    def digest(self, modality: str) -> str:
        """By which the feature store knows the encoder. Raises BundleError."""
        return read_manifest(self._site.bundle_path(modality)).digest()

    def close(self) -> None:
        """End the processes, and give their memory back; the next input opens them again."""
        self._open.clear()
        self._stack.close()
        self._stack = ExitStack()
