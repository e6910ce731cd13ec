"""The DICOM Storage SCP (PS3.4 B): C-STORE and C-ECHO, on pynetdicom.

A C-STORE is answered with Success only after the object is safe in the spool. Objects are taken in the transfer syntax
that they come in; nothing is decoded here.
"""

import contextlib
import logging
import socket
import threading
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

from fedfin.errors import FedfinError, InputError, StateError
from fedfin.files import why
from fedfin_edge.intake.association_server import AssociationServer, bound_pdus, end_with_process
from fedfin_edge.intake.reception import MAX_OBJECT, Reception
from fedfin_edge.intake.server_tls import server_context
from fedfin_edge.intake.source import Reporter
from fedfin_edge.intake.spool import FullError
from fedfin_edge.intake_settings import DicomListener

# pynetdicom's log quotes what was sent.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)

SUCCESS, NO_ROOM, NOT_UNDERSTOOD, FAILED = 0x0000, 0xA700, 0xC000, 0x0110  # PS3.4 B.2.3, PS3.7 C.4
ASSOCIATIONS = 20  # at a time; an object is in memory until it is on the disk
MOST_REPORTED = 100  # of those that are refused
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit VR, little endian
    "1.2.840.10008.1.2",  # implicit VR
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS, lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS, near-lossless
    "1.2.840.10008.1.2.4.70",  # JPEG, lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG, lossless
    "1.2.840.10008.1.2.4.50",  # JPEG, 8 bits
    "1.2.840.10008.1.2.4.51",  # JPEG, 12 bits
    "1.2.840.10008.1.2.5",  # RLE
)


class StorageScp:
    """A server in threads of its own; a context manager."""

    def __init__(self, settings: DicomListener, folder: Path, reception: Reception, report: Reporter) -> None:
        self._settings = settings
        self._report = report
        self._refused: set[tuple[str, str, str]] = set()
        self._tls = server_context(settings, folder)
        self._reception = reception
        self._server: AssociationServer | None = None

    def __enter__(self) -> "StorageScp":
        """Listen. Raises StateError when the port cannot be had."""
        entity, where = _make_entity(self._settings), (self._settings.address, self._settings.port)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, end_with_process),
            (evt.EVT_CONN_OPEN, bound_pdus),
            (evt.EVT_DATA_RECV, _acknowledge_at_once),
            (evt.EVT_DATA_RECV, self._limit),
            (evt.EVT_DATA_SENT, _acknowledge_at_once),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, _echo),
            (evt.EVT_REJECTED, self._report_refused),
        ]
        try:
            self._server = server = AssociationServer(
                entity,
                where,
                entity.ae_title,
                entity.supported_contexts,
                ssl_context=self._tls,
                evt_handlers=handlers,
            )
        except OSError as error:
            raise StateError(
                f"cannot listen for DICOM at port {self._settings.port} ({why(error)}); choose another in"
                " [intake.dicom], or stop what listens there"
            ) from None
        threading.Thread(target=server.serve_forever, args=(0.5,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        """The status of one C-STORE. A callback's exception would be in pynetdicom's log, with what was sent."""
        try:
            self._reception.take_object(event.encoded_dataset())
        except FullError:
            return NO_ROOM
        except InputError:
            self._reception.leave_out("image: is not readable as DICOM")
            return NOT_UNDERSTOOD
        except FedfinError:
            return NO_ROOM  # the store cannot be written: the sender tries again
        except Exception:  # noqa: BLE001
            self._reception.leave_out("image: FedFIN failed")
            return FAILED
        return SUCCESS

    def _limit(self, event: evt.Event) -> None:
        """Abort where an object grows beyond what memory is for: pynetdicom keeps it until its last byte."""
        message = event.assoc.dimse.message
        if message is not None and message.data_set is not None and message.data_set.tell() > MAX_OBJECT:
            event.assoc.dimse.message = None
            event.assoc.dul.event_queue.put("Evt19")  # PS3.8 9.2: as for an invalid PDU
            self._reception.leave_out(f"image: is larger than {MAX_OBJECT >> 20} MiB")

    def _report_refused(self, event: evt.Event) -> None:
        """Whom site.toml does not let in, once each until the next start, and only so many: archives try for ever.

        pynetdicom aborts before, where a title is not printable ASCII of 16 characters at most.
        """
        asked = event.assoc.requestor.primitive
        assert asked is not None  # it is what was refused
        caller = (event.assoc.requestor.address or "", asked.calling_ae_title, asked.called_ae_title)
        if caller not in self._refused and len(self._refused) < MOST_REPORTED:
            self._refused.add(caller)
            address, calling, called = caller
            self._report("caller-refused", {"address": address, "calling": calling, "called": called})


def _acknowledge_at_once(event: evt.Event) -> None:
    """The sender's Nagle and our kernel's delayed acknowledgement would wait for each other, 40 ms an object."""
    transport = event.assoc.dul.socket
    if transport is None or transport.socket is None or not hasattr(socket, "TCP_QUICKACK"):
        return
    with contextlib.suppress(OSError):
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _echo(_: evt.Event) -> int:
    return SUCCESS


def _make_entity(settings: DicomListener) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_associations = ASSOCIATIONS
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.callers)
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        if context.abstract_syntax is not None:
            entity.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES))
    return entity
