"""Cells as reporting systems write them come to the tokenizer as plain text, and what was done is noted."""

import time

import pytest

from fedfin.encoders.texts import Text, read_text
from fedfin.errors import InputError

HL7, RTF = "has HL7 escapes: these are decoded", "is RTF: read as plain text"
LEFT_OUT = "has HL7 escapes of character sets, or of the sender's own: these are left out"
HTML = "has HTML tags or entities: read as plain text"
MARKS = "has marks of de-identification in place of words"


@pytest.mark.parametrize(
    "cell",
    [
        "No effusion.\r\nHeart  normal. ",
        "CRP <5 mg/l, SpO2 > 90 %, size < b > a, <150",
        "R&D; A & B; AT&T &c; x&y;",
        r"C:\T\scan, D:\Z1\scan, \\server\images\Zebra\Cafe5\M24, 5\6, a\b",
        "{curly} [square] __ under__score ____________",
        "Größe 5 µm, ≥ 3, “quoted”, naïve",
        "47,XXX karyotype; T1 xxx",
        "[see 2] [12] {a} <unknown>",
        "",
    ],
)
def test_plain_text_stays_as_it_is(cell):
    """Character by character, or its features would change."""
    assert read_text(cell) == Text(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r"Lungs clear.\.br\No effusion.\.br\\.br\End", "Lungs clear.\nNo effusion.\n\nEnd"),
        (r"a\.sp2\b\.in+4\c\.ti-2\d\.ce\e\.sk3\f\.fi\g\.nf\h", "a\nb c d\ne f g h"),
        (r"1\F\2\S\3\T\4\R\5\E\6\P\7", r"1|2^3&4~5\6#7"),
        (r"\H\Impression:\N\ none", "Impression: none"),
        (r"a\X0D0A\b, \XC2B5\m, \XB5\g, T\XE9\l", "a\r\nb, µm, µg, Tél"),
        (r"\E\.br\E\ is how a line ends", r"\.br\ is how a line ends"),
    ],
)
def test_hl7_escapes_are_decoded_once(cell, text):
    """HL7 v2.5, section 2.7; what an escaped backslash spells is no escape."""
    assert read_text(cell) == Text(text, (HL7,))


@pytest.mark.parametrize(
    ("cell", "text", "notes"),
    [
        (r"\C2D41\Herzgröße\C2842\ normal", "Herzgröße normal", (LEFT_OUT,)),
        (r"\M2442\a\M242844\b", "ab", (LEFT_OUT,)),
        (r"\Z0102\Clear\ZB1\.", "Clear.", (LEFT_OUT,)),
        (r"Clear\.br\\Z1\No mass", "Clear\nNo mass", (HL7, LEFT_OUT)),
        (r"\E\Z1\E\ was sent", r"\Z1\ was sent", (HL7,)),
    ],
)
def test_hl7_escapes_that_no_reader_can_know_are_left_out_and_noted(cell, text, notes):
    """Switches of the character set (2.7.2), void in a table's own, and what a sender made up (2.7.7)."""
    assert read_text(cell) == Text(text, notes)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<p>Lungs clear.</p><p>No <b>effusion</b>.</p>", "Lungs clear.\nNo effusion."),
        ("No effusion.<br/>Heart normal.<BR>", "No effusion.\nHeart normal."),
        ("CRP &lt; 5&nbsp;mg&#47;l &amp; 3 &#xB5;m", "CRP < 5\xa0mg/l & 3 µm"),
        ("WBC <5, a <b and c> d<br>end", "WBC <5, a <b and c> d\nend"),
        (
            "<html><head><title>Report 7</title><style>p {x: y}</style></head><body>Clear.</body></html>",
            "Clear.",
        ),
        ("<!-- made by a word processor --><o:p>Clear</o:p><script>no()</script>.", "Clear."),
        ("<table><tr><td>Heart</td><td>normal</td></tr></table>", "Heart normal"),
        ("<list><item>Clear</item><item><content ID='f1'>No mass</content></item></list>", "Clear\nNo mass"),
        ("a &amp;lt; b", "a &lt; b"),
        (
            "<table border><tr><td nowrap>a <b normal c></td></tr></table><hr noshade />b",
            "a <b normal c>\nb",
        ),
    ],
)
def test_html_gives_what_a_reader_sees(cell, text):
    """Also of CDA's narrative blocks; entities are decoded once, and a comparison is no tag."""
    assert read_text(cell) == Text(text, (HTML,))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (
            r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 Lungs \b clear\b0.\par No effusion.}",
            "Lungs clear.\nNo effusion.",
        ),
        (r"{\rtf1\ansi\ansicpg1252 Herzgr\'f6\'dfe, 3 \u181?m \{left\}}", "Herzgröße, 3 µm {left}"),
        (r"{\rtf1\ansi\ansicpg1251 \'eb\'b8\'e3\'ea\'e8\'e5}", "лёгкие"),
        (r"{\rtf1{\*\generator Writer 7;}{\info{\author Nobody}}Clear.}", "Clear."),
        (r"{\rtf1 \u-10179?\u-8704? and half \u-10179?}", "\U0001f600 and half \ufffd"),
        ("\ufeff \n{\\rtf1 Clear.}", "Clear."),
        (r"{\rtf1 Open {\b groups", "Open groups"),
    ],
)
def test_rtf_gives_its_text(cell, text):
    """Code pages, Unicode escapes and groups that are no text; half a character becomes a replacement mark."""
    assert read_text(cell) == Text(text, (RTF,))


def test_rtf_inside_hl7_is_decoded_whole():
    """As interface engines send it: every backslash is an escape."""
    assert read_text(r"{\E\rtf1 Clear.\E\par No mass.}") == Text("Clear.\nNo mass.", (HL7, RTF))


def test_html_inside_hl7_is_decoded_whole():
    """An ampersand travels as an escape."""
    assert read_text(r"<p>CRP \T\lt; 5</p>") == Text("CRP < 5", (HL7, HTML))


@pytest.mark.parametrize(
    "cell", ["<p></p>", "<br>&nbsp;", r"{\rtf1\ansi }", r"\.br\\.br\ ", "<title>7</title>"]
)
def test_markup_around_no_text_is_refused(cell):
    """It would be a case with a report that says nothing."""
    with pytest.raises(InputError, match=r"^is markup around no text$"):
        read_text(cell)


@pytest.mark.parametrize(
    "cell", [r"{\rtf1\uc secret}", r"{\rtf1\u9999999 secret}", r"{\rtf1\pict\bin x secret}"]
)
def test_damaged_rtf_is_refused_without_its_text(cell):
    """Whatever the reader raises may quote what it was given."""
    with pytest.raises(InputError, match=r"^is RTF that cannot be read: save it as plain text$"):
        read_text(cell)


def test_rtf_with_pictures_in_it_is_refused():
    """A report is a tenth of the limit."""
    with pytest.raises(InputError, match="more than 65,536 characters"):
        read_text(r"{\rtf1 " + r"\f0 clear " * 10_000 + "}")


@pytest.mark.parametrize(
    "rtf",
    [
        r"\f0" * 21_000 + " clear",
        r"\f0\fcharset0 " + "a" * 60_000,
        r"clear" + r"{\field{\*\fldinst{" * 500 + 'HYPERLINK "" ' * 500,
    ],
)
def test_rtf_takes_no_time_out_of_proportion(rtf):
    """Its reader searches each line for what may not come: unbroken, these take 3 to 13 s, and longer links minutes."""
    begun = time.process_time()
    assert read_text(r"{\rtf1 " + rtf).text
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r"a\\f0 b\f1\'e4\u228\f0?x", "a\\f0 bä\xe4?x"),
        (r'see {\field{\*\fldinst{HYPERLINK "http://x"}}{\fldrslt {the note}}}.', "see the note."),
    ],
)
def test_fonts_and_links_leave_the_words_as_they_are_shown(cell, text):
    """What is put in to end a search is no text, and an escaped backslash begins no control word."""
    assert read_text(r"{\rtf1 " + cell + "}") == Text(text, (RTF,))


@pytest.mark.parametrize(
    "mark",
    [
        "XXXX",
        "xxxx",
        "[**Known lastname 12**]",
        "[**2117-3-4\n**]",
        "___",
        "<DATE>",
        "[NAME 2]",
        "<<PHONE-1>>",
        "{{date}}",
        "[REDACTED]",
        "[Patient_3]",
        "[First Name]",
    ],
)
def test_marks_of_deidentification_are_noted_and_stay(mark):
    """The words that are gone cannot be had back; people who train on such texts should know."""
    cell = f"Compared to {mark}, unchanged."
    assert read_text(cell) == Text(cell, (MARKS,))
