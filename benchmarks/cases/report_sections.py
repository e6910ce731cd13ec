"""The sections of a free-text radiology report, as MIMIC-CXR has them.

A section begins at a line that starts with a heading and a colon: FINDINGS:, IMPRESSION: and so on, in capitals, or one
of the headings below in any case. It ends at the next heading. Text under no heading is in no section.
"""

import re

# section -> headings that begin it
HEADINGS = {
    "findings": ("FINDINGS", "FINDING", "FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION"),
    "impression": ("IMPRESSION", "IMPRESSIONS", "CONCLUSION"),
    "indication": (
        "INDICATION",
        "INDICATIONS",
        "CLINICAL INDICATION",
        "CLINICAL INFORMATION",
        "CLINICAL HISTORY",
        "HISTORY",
        "REASON FOR EXAM",
        "REASON FOR EXAMINATION",
        "REASON FOR THE EXAM",
        "REASON FOR THIS EXAMINATION",
    ),
}
_SECTION = {heading: section for section, headings in HEADINGS.items() for heading in headings}
_HEADING = re.compile(r"^[ \t]*([A-Za-z][A-Za-z /&()-]{2,40}):", re.MULTILINE)


def read_sections(report: str) -> dict[str, str]:
    """findings, impression and indication, each on one line, blank where absent; parts of one section are joined."""
    found: dict[str, list[str]] = {section: [] for section in HEADINGS}
    starts = [match for match in _HEADING.finditer(report) if _is_heading(match[1])]
    for number, match in enumerate(starts, start=1):
        end = starts[number].start() if number < len(starts) else len(report)
        section = _SECTION.get(match[1].strip().upper())
        if section is not None:
            found[section] += report[match.end() : end].split()
    return {section: " ".join(words) for section, words in found.items()}


def _is_heading(text: str) -> bool:
    return text.isupper() or text.strip().upper() in _SECTION
