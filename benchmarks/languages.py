"""How well the edge tells that a text is not in the encoder's language, beside English notes.

    python -m benchmarks.languages BUNDLE [NOTES.csv ...]

BUNDLE is an English text encoder's; a table has a column `clinical_notes`, `report` or `text`, in English. Prints for
each language how many sentences are noted, alone and as one report, and how many English notes are, wrongly. The
sentences were written for this: what radiologists write every day. MIN_WHOLE was chosen on `SENTENCES` and covid-cxr,
not on `OTHERS`, nor on the English sentences that calibrate text encoders.
"""

# ruff: noqa: RUF001 - letters of other languages look like ours

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from fedfin.encoders.bundle import TextRecipe, read_manifest
from fedfin.encoders.preprocessing import open_tokenizer
from fedfin.encoders.vocabulary import FEW_WORDS, MIN_WORDS, note_vocabulary
from fedfin.errors import FedfinError, InputError
from fedfin_export.quantize.sentences import SENTENCES as CALIBRATION

COLUMNS = ("clinical_notes", "report", "text")
SENTENCES = {
    "German": (
        "Kein Pleuraerguss. Das Herz ist normal groß, die Lungen sind beidseits frei von Infiltraten.",
        "Verdacht auf Pneumonie im rechten Unterlappen, Verlaufskontrolle in zwei Wochen empfohlen.",
        "Im Vergleich zur Voraufnahme vom Vortag deutlich rückläufige Stauung, kein Pneumothorax.",
        "Der Patient klagt seit drei Tagen über Husten, Fieber und zunehmende Atemnot.",
    ),
    "French": (
        "Pas d'épanchement pleural. Le coeur est de taille normale, les poumons sont clairs.",
        "Opacité du lobe inférieur droit évoquant une pneumopathie, contrôle conseillé dans deux semaines.",
        "Par rapport à l'examen précédent, nette diminution de la surcharge, absence de pneumothorax.",
        "Le patient se plaint depuis trois jours de toux, de fièvre et d'une dyspnée croissante.",
    ),
    "Spanish": (
        "Sin derrame pleural. El corazón es de tamaño normal y los pulmones están limpios.",
        "Opacidad en el lóbulo inferior derecho que sugiere neumonía, se recomienda control en dos semanas.",
        "En comparación con el estudio previo, disminución de la congestión, sin neumotórax.",
        "El paciente refiere tos, fiebre y dificultad respiratoria desde hace tres días.",
    ),
    "Italian": (
        "Non versamento pleurico. Il cuore è di dimensioni normali e i polmoni sono liberi da infiltrati.",
        "Opacità del lobo inferiore destro da riferire a polmonite, si consiglia controllo tra due settimane.",
        "Rispetto al precedente esame netta riduzione della congestione, assenza di pneumotorace.",
        "Il paziente lamenta da tre giorni tosse, febbre e dispnea ingravescente.",
    ),
    "Portuguese": (
        "Sem derrame pleural. O coração tem tamanho normal e os pulmões estão limpos.",
        "Opacidade no lobo inferior direito sugestiva de pneumonia, recomenda-se controle em duas semanas.",
        "Em comparação com o exame anterior, redução da congestão, sem pneumotórax.",
        "O paciente refere tosse, febre e falta de ar há três dias.",
    ),
    "Dutch": (
        "Geen pleuravocht. Het hart is normaal van grootte en de longen zijn vrij van infiltraten.",
        "Verdenking op een pneumonie in de rechter onderkwab, controle over twee weken geadviseerd.",
        "In vergelijking met de vorige opname duidelijke afname van de stuwing, geen pneumothorax.",
        "De patiënt klaagt sinds drie dagen over hoest, koorts en toenemende kortademigheid.",
    ),
    "Turkish": (
        "Plevral efüzyon yok. Kalp boyutları normal, her iki akciğer de temiz.",
        "Sağ alt lobda pnömoni ile uyumlu opasite, iki hafta sonra kontrol önerilir.",
        "Önceki incelemeye göre konjesyonda belirgin azalma, pnömotoraks saptanmadı.",
        "Hasta üç gündür öksürük, ateş ve artan nefes darlığından yakınıyor.",
    ),
    "Russian": (
        "Плеврального выпота нет. Сердце нормальных размеров, лёгкие без инфильтратов.",
        "Подозрение на пневмонию в нижней доле справа, контроль через две недели.",
        "По сравнению с предыдущим исследованием застой уменьшился, пневмоторакса нет.",
        "Пациент жалуется на кашель, лихорадку и одышку в течение трёх дней.",
    ),
    "Chinese": (
        "未见胸腔积液。心脏大小正常，双肺清晰，未见浸润影。",
        "右下叶片状影，考虑肺炎，建议两周后复查。",
        "与前片比较，肺淤血明显减轻，未见气胸。",
        "患者咳嗽、发热三天，呼吸困难逐渐加重。",
    ),
}
UNSPACED = ("Chinese", "Japanese")
_FEW = f"phrases of {MIN_WORDS} to {FEW_WORDS} words"
OTHERS = {
    "German, others": (
        "Zentrale Raumforderung links hilär, eine weitere Abklärung mittels CT wird empfohlen.",
        "Regelrechte Lage des zentralen Venenkatheters, kein Anhalt für einen Pneumothorax.",
    ),
    "French, others": (
        "Masse hilaire gauche, un complément par scanner thoracique est souhaitable.",
        "Cathéter veineux central en place, sans signe de pneumothorax.",
    ),
    "Spanish, others": (
        "Masa hiliar izquierda, se recomienda completar el estudio con tomografía de tórax.",
        "Catéter venoso central en buena posición, sin signos de neumotórax.",
    ),
    "Italian, others": (
        "Massa ilare sinistra, si consiglia di completare lo studio con TC del torace.",
        "Catetere venoso centrale in sede, senza segni di pneumotorace.",
    ),
    "Portuguese, others": (
        "Massa hilar esquerda, recomenda-se completar o estudo com tomografia do tórax.",
        "Cateter venoso central em posição adequada, sem sinais de pneumotórax.",
    ),
    "Dutch, others": (
        "Massa in de linker hilus, aanvullend onderzoek met een CT-scan wordt geadviseerd.",
        "Centraal veneuze katheter in goede positie, geen tekenen van een pneumothorax.",
    ),
    "Polish": (
        "Bez wysięku w jamach opłucnowych. Serce prawidłowej wielkości, płuca bez zmian naciekowych.",
    ),
    "Swedish": ("Ingen pleuravätska. Hjärtat är normalstort och lungorna är fria från infiltrat.",),
    "Greek": ("Δεν υπάρχει πλευριτική συλλογή. Η καρδιά έχει φυσιολογικό μέγεθος.",),
    "Arabic": ("لا يوجد انصباب جنبي. حجم القلب طبيعي والرئتان خاليتان من الارتشاح.",),
    "Japanese": ("胸水は認めません。心臓の大きさは正常で、両肺に浸潤影はありません。",),
}


def read_notes(path: Path) -> list[str]:
    """The distinct notes of a table. Raises InputError when it has no column of notes."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    column = next((name for name in COLUMNS if rows and name in rows[0]), None)
    if column is None:
        raise InputError(f"{path}: has none of the columns {', '.join(COLUMNS)}")
    return sorted({row[column] for row in rows if row[column].strip()})


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="an English text encoder")
    parser.add_argument("notes", type=Path, nargs="*", metavar="NOTES.csv", help="a table of English notes")
    args = parser.parse_args()
    try:
        show(args.bundle, {path.parent.name: read_notes(path) for path in args.notes})
    except FedfinError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def show(bundle: Path, english: dict[str, list[str]]) -> None:
    """Print the table. Raises InputError for a bundle that takes no text."""
    recipe = read_manifest(bundle).recipe
    if not isinstance(recipe, TextRecipe):
        raise InputError(f"{bundle}: takes no text; name a text encoder's bundle")
    tokenizer = open_tokenizer(bundle / recipe.tokenizer)

    def noted(texts: list[str]) -> str:
        return f"{sum(bool(note_vocabulary(tokenizer, text)) for text in texts)} of {len(texts)}"

    print("| text | noted | as one report |\n|---|---:|---:|")
    for language, sentences in (SENTENCES | OTHERS).items():
        print(f"| {language} | {noted(list(sentences))} | {noted([' '.join(sentences)])} |")
    for name, notes in ({"calibration": list(CALIBRATION)} | english).items():
        print(f"| English: {name} | {noted(notes)} | |")
        print(f"| English: {name}, {_FEW} | {noted(phrases(notes))} | |")
    spaced = [text for name, texts in (SENTENCES | OTHERS).items() if name not in UNSPACED for text in texts]
    print(f"| others, {_FEW} | {noted(phrases(spaced))} | |")


def phrases(texts: Iterable[str]) -> list[str]:
    """What is between punctuation, where it has few words."""
    found = [phrase for text in texts for phrase in re.split(r"[.;,:()]\s*", text)]
    return [p for p in found if MIN_WORDS <= len(re.findall(r"[^\W\d_]+", p)) <= FEW_WORDS]


if __name__ == "__main__":
    sys.exit(main())
