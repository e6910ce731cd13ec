"""HL7 v2 over MLLP: what a message says, and how it is answered."""

import contextlib
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake_kit import RULE, make_site, open_service, oru, send_hl7, studies, two_ports

from fedfin.errors import InputError
from fedfin_edge.intake.mllp import CONNECTIONS, MAX_MESSAGE, acknowledge, read_messages
from fedfin_edge.intake.oru import RejectedError, read_oru
from fedfin_edge.intake.sources import servers
from fedfin_edge.intake_settings import Oru

(ONE,) = studies(1)
HEAD = "MSH|^~\\&|RIS|H|FEDFIN|S|20260102110000||ORU^R01|M1|P|2.5\rPID|1||P1^^^A~P2^^^B\r"


def message(body: str, head: str = HEAD) -> bytes:
    """A message with these segments."""
    return (head + body.replace("\n", "\r") + "\r").encode()


def test_an_accession_number_text_and_time_are_where_the_settings_say():
    body = "OBR|1|PLACED|A1^RIS\nOBX|1|TX|IMP||effusion||||||F"
    (report,) = read_oru(message(body), Oru())
    assert (report.accession, report.patient, report.text, report.status) == ("A1", "P1", "effusion", "final")
    assert report.moment.isoformat() == "2026-01-02T11:00:00+00:00"
    (report,) = read_oru(message(body), Oru(accession="OBR-2", patient="PID-1"))
    assert (report.accession, report.patient) == ("PLACED", "1")


def test_the_time_of_a_result_goes_before_that_of_its_message():
    (report,) = read_oru(
        message(f"OBR|1||A1{'|' * 19}20260103120000+0200|||F\nOBX|1|TX|||clear||||||F"), Oru()
    )
    assert report.moment.isoformat() == "2026-01-03T10:00:00+00:00"


def test_parts_and_repetitions_are_lines_and_other_types_are_left_out():
    body = (
        "OBR|1||A1\nOBX|1|TX|FIND||clear~lungs||||||F\nOBX|2|NM|SIZE||12||||||F\nOBX|3|FT|IMP||effusion||||||F\n"
        "OBX|4|TX|||lungs||||||W"
    )
    (report,) = read_oru(message(body), Oru())
    assert report.text == "clear\nlungs\neffusion"
    (report,) = read_oru(message(body), Oru(observations=("IMP",)))
    assert report.text == "effusion"


@pytest.mark.parametrize(
    ("result", "parts", "becomes"),
    [
        ("P", "FD", []),
        ("P", "DD", []),
        ("F", "PD", []),
        ("F", "DD", ["withdrawn"]),
        ("F", "FD", ["final"]),
        ("X", "FP", ["withdrawn"]),
    ],
)
def test_a_report_is_withdrawn_when_all_of_a_final_result_is_gone_or_the_result_is(result, parts, becomes):
    body = f"OBR|1||A1{'|' * 22}{result}" + "".join(f"\nOBX|1|TX|||clear||||||{part}" for part in parts)
    assert [report.status for report in read_oru(message(body), Oru())] == becomes


def test_each_study_of_a_message_is_a_report_and_several_results_of_one_study_are_one():
    body = (
        "OBR|1||A1\nOBX|1|TX|||clear||||||F\nOBR|2||A2\nOBX|1|TX|||effusion||||||F\n"
        "OBR|3||A1\nOBX|1|TX|||lungs||||||F"
    )
    assert {report.accession: report.text for report in read_oru(message(body), Oru())} == {
        "A1": "clear\nlungs",
        "A2": "effusion",
    }


CHARACTER_SETS = [
    ("8859/1", "latin-1", "Erguß"),
    ("ISO_IR 100", "latin-1", "Erguß"),
    ("UNICODE UTF-8", "utf-8", "Erguß"),
    ("UNICODE", "utf-8", "Erguß"),
    ("x", "utf-8", "Erguß"),
    ("", "utf-8", "Erguß"),
    ("", "cp1252", "Erguß"),
    ("~ISO IR87", "iso2022_jp", "胸水なし"),
    ("ISO IR14~ISO IR87", "iso2022_jp", "胸水なし"),
    ("ISO IR87", "iso2022_jp", "胸水なし"),
    ("GB 18030-2000", "gb18030", "胸腔积液"),
    ("GB18030", "gb18030", "胸腔积液"),
    ("KS X 1001", "euc_kr", "흉수"),
    ("BIG-5", "big5", "胸腔積液"),
]


@pytest.mark.parametrize(("named", "encoding", "text"), CHARACTER_SETS)
def test_letters_are_those_of_the_character_set_that_the_message_names(named, encoding, text):
    head = HEAD.replace("|2.5", f"|2.5||||||{named}")
    data = message(f"OBR|1||A1\nOBX|1|TX|||{text}||||||F", head).decode().encode(encoding)
    for ends in (b"\r", b"\n", b"\r\n"):
        (report,) = read_oru(data.replace(b"\r", ends), Oru())
        assert report.text == text


def test_a_character_set_that_is_not_known_is_refused_and_not_guessed():
    head = HEAD.replace("|2.5", "|2.5||||||CNS 11643-1992")
    with pytest.raises(InputError, match="character set in MSH-18 that is not known"):
        read_oru(message("OBR|1||A1\nOBX|1|TX|||Erguß||||||F", head).decode().encode("latin-1"), Oru())


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(mark):
    (report,) = read_oru(message("OBR|1||A1\nOBX|1|TX|||Erguß||||||F").decode().encode(mark), Oru())
    assert report.text == "Erguß"


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"MSH", b"MSH|", b"MSH|^~\\&|" + b"|" * 99, message("OBX|1|TX|||clear"), b"\xff" * 99,
     message("OBR|1||\nOBX|1|TX|||clear"), message("OBR|1||A1", HEAD.replace("20260102110000", "yesterday")),
     message("OBR|1||A1", HEAD.replace("20260102110000", "20260102110000-4220")),
     message("OBR|1||A1", HEAD.replace("20260102110000", ""))],
)  # fmt: skip
def test_what_is_no_report_is_refused_in_words_that_quote_nothing(data):
    with pytest.raises((InputError, RejectedError)) as caught:
        read_oru(data, Oru())
    assert "yesterday" not in str(caught.value)
    assert "A1" not in str(caught.value)


def test_every_beginning_of_a_message_is_read_or_refused():
    data = oru(ONE, "effusion", minute=1)
    for end in range(len(data)):
        with contextlib.suppress(InputError, RejectedError):
            read_oru(data[:end], Oru())


def test_reports_of_two_patients_are_each_of_their_own():
    """A message may have several PID; files, and some senders' frames, have several messages."""
    one, two = "OBR|1||A1\nOBX|1|TX|||clear||||||F", "OBR|1||A2\nOBX|1|TX|||effusion||||||F"
    other = "PID|2||P2\r"
    batch = b"FHS|^~\\&|RIS\rBHS|^~\\&|RIS\r" + message(one) + message(two, HEAD.replace("P1^^^A~", ""))
    for data in (message(f"{one}\n{other}{two}"), batch + b"BTS|2\rFTS|1\r"):
        found = [(report.accession, report.patient, report.text) for report in read_oru(data, Oru())]
        assert found == [("A1", "P1", "clear"), ("A2", "P2", "effusion")]


@pytest.mark.parametrize("place", ["ORC-3.1", "IPC-1.1"])
def test_an_accession_number_beside_a_result_is_that_results(place):
    """In the order before it, or in the segment of imaging procedures behind it."""
    orders = [
        {
            "ORC": f"ORC|RE||{number}",
            "OBR": "OBR|1",
            "IPC": f"IPC|{number}",
            "OBX": f"OBX|1|TX|||{text}||||||F",
        }
        for number, text in (("A1", "clear"), ("A2", "effusion"))
    ]
    body = "\n".join(line for order in orders for line in order.values())
    found = {report.accession: report.text for report in read_oru(message(body), Oru(accession=place))}
    assert found == {"A1": "clear", "A2": "effusion"}


def test_of_two_results_of_a_study_one_that_is_cancelled_leaves_the_other():
    body = f"OBR|1||A1{'|' * 22}F\nOBX|1|TX|||clear||||||F\nOBR|2||A1{'|' * 22}X\nOBX|1|TX|||lateral||||||F"
    (report,) = read_oru(message(body), Oru())
    assert (report.status, report.text) == ("final", "clear")


def test_hl7s_null_is_no_text():
    (report,) = read_oru(message('OBR|1||A1\nOBX|1|TX|||""||||||F'), Oru())
    assert report.status == "withdrawn"
    (report,) = read_oru(message('OBR|1||A1\nOBX|1|TX|||clear||||||F\nOBX|2|TX|||""||||||F'), Oru())
    assert report.text == "clear"


@pytest.mark.parametrize("more", ["ADD|and an effusion", "DSC|next"])
def test_half_a_report_is_refused(more):
    with pytest.raises(InputError, match="continuations"):
        read_oru(message(f"OBR|1||A1\nOBX|1|TX|||clear||||||F\n{more}"), Oru())


def test_an_acknowledgement_turns_sender_and_receiver_round_and_names_the_message():
    answer = acknowledge(message("OBR|1||A1"), "AE", "has no text").decode().split("\r")
    assert answer[0].split("|")[2:6] == ["FEDFIN", "S", "RIS", "H"]
    assert answer[1] == "MSA|AE|M1|has no text"


def test_messages_are_what_is_between_the_marks_however_they_are_cut_up():
    stream = b"noise\x0bone\x1c\r\x0btwo\r\x1c\rrest"
    for size in range(1, len(stream)):
        blocks = iter([stream[at : at + size] for at in range(0, len(stream), size)])
        assert list(read_messages(lambda _, blocks=blocks: next(blocks, b""))) == [b"one", b"two\r"]


@pytest.mark.parametrize("end", [b"\x1c\r", b"\x1c", b"\x1c\n", b"\x1c\r\n"])
def test_a_message_ends_at_the_mark_whatever_follows_it(end):
    """A sender that leaves out the CR waits for its answer before it sends more."""
    blocks = iter([b"\x0bone" + end, b"\x0btwo" + end])
    received = read_messages(lambda _: next(blocks, b""))
    assert next(received) == b"one"
    assert list(received) == [b"two"]


def test_a_message_without_end_is_not_kept():
    blocks = iter([b"\x0b" + bytes(1 << 20)] * ((MAX_MESSAGE >> 20) + 10))
    assert list(read_messages(lambda _: next(blocks))) == []
    assert next(blocks)


def test_answers_over_a_connection_say_what_became_of_each_message(tmp_path, bundles):
    port, _ = two_ports()
    site = make_site(tmp_path / "site", bundles, RULE + f"\n[intake.hl7]\nport = {port}\n")
    admission = oru(ONE, "clear", minute=1).replace(b"ORU^R01^ORU_R01", b"ADT^A01")
    with open_service(site) as service:
        (server,) = servers(site, service._folder, service._reception, service._report).values()
        with server:
            messages = [oru(ONE, "clear", minute=1), admission, message("OBR|1||\nOBX|1|TX|||clear")]
            assert send_hl7(port, messages) == ["AA", "AR", "AE"]
            assert len(service._spool) == 1
            service._spool._marks._most = 1
            assert send_hl7(port, [oru(ONE, "effusion", minute=2, status="C")]) == ["AR"]
            service.once()
            assert send_hl7(port, [oru(ONE, "effusion", minute=2, status="C")]) == ["AA"]


def test_one_connection_too_many_is_closed_and_there_is_room_again_when_another_ends(tmp_path, bundles):
    port, _ = two_ports()
    site = make_site(tmp_path / "site", bundles, RULE + f"\n[intake.hl7]\nport = {port}\n")
    with open_service(site) as service, contextlib.ExitStack() as stack:
        (server,) = servers(site, service._folder, service._reception, service._report).values()
        stack.enter_context(server)
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)
        ]
        with pytest.raises(ConnectionError):
            send_hl7(port, [oru(ONE, "clear", minute=1)])
        idle.pop().close()
        assert answers_at_last(port)


def answers_at_last(port: int) -> bool:
    """Whether a message is taken: within a moment, in which the other connection's thread ends."""
    for _ in range(100):
        with contextlib.suppress(ConnectionError):
            return send_hl7(port, [oru(ONE, "clear", minute=1)]) == ["AA"]
        time.sleep(0.05)
    return False


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_bytes_come_are_read_or_refused_and_acknowledged(data, after_a_header):
    data = HEAD.encode() + data if after_a_header else data
    with contextlib.suppress(InputError, RejectedError):
        assert all(report.accession or report.study for report in read_oru(data, Oru()))
    assert b"\rMSA" in acknowledge(data, "AE", "is not readable")
