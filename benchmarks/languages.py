"""How well short queries are told to be in another language than English, and how long that takes.

    python -m benchmarks.languages nfcorpus/queries.jsonl msmarco-dev-600/queries.jsonl

The files have English queries. Compared are rules over py3langid and, where it is installed, lingua: another language
must be so likely, and so many times as likely as English.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sidecar import languages

ENGLISH: Final = "en"
MOST: Final = 1500
"""Queries of a file."""

RULES: Final = ((languages.LEAST, languages.TIMES), (0.3, 10.0), (0.5, 1.0), (0.9, 1.0))

Likelihoods = Callable[[str], Mapping[str, float]]
"""How likely each language is, for a text."""

QUERIES: Final[Mapping[str, Sequence[str]]] = {
    "de": (
        "wie lange kocht man reis",
        "warum ist der himmel blau",
        "kopfschmerzen nach dem sport",
        "günstige winterjacke damen",
        "flug nach hamburg buchen",
        "beste kaffeemaschine",
        "grüner tee wirkung",
        "hausmittel gegen husten",
        "was kostet ein neuer ausweis",
        "laufschuhe herren",
        "rezept für apfelkuchen",
        "schlafstörungen was hilft",
    ),
    "fr": (
        "pourquoi le ciel est bleu",
        "combien de temps cuire le riz",
        "mal de tête après le sport",
        "veste d'hiver femme pas cher",
        "réserver un vol pour paris",
        "meilleure machine à café",
        "bienfaits du thé vert",
        "remède contre la toux",
        "chaussures de course homme",
        "recette tarte aux pommes",
        "comment perdre du poids",
        "troubles du sommeil",
    ),
    "es": (
        "por qué el cielo es azul",
        "cuánto tiempo se cocina el arroz",
        "dolor de cabeza después del ejercicio",
        "chaqueta de invierno mujer barata",
        "reservar vuelo a madrid",
        "mejor cafetera",
        "beneficios del té verde",
        "remedio para la tos",
        "zapatillas para correr hombre",
        "receta de tarta de manzana",
        "cómo bajar de peso",
        "problemas para dormir",
    ),
    "it": (
        "perché il cielo è blu",
        "quanto tempo cuoce il riso",
        "mal di testa dopo lo sport",
        "giacca invernale donna economica",
        "prenotare volo per roma",
        "migliore macchina da caffè",
        "benefici del tè verde",
        "rimedio per la tosse",
        "scarpe da corsa uomo",
        "ricetta torta di mele",
        "come perdere peso",
        "disturbi del sonno",
    ),
    "nl": (
        "waarom is de lucht blauw",
        "hoe lang moet rijst koken",
        "hoofdpijn na het sporten",
        "goedkope winterjas dames",
        "vlucht naar amsterdam boeken",
        "beste koffiezetapparaat",
        "voordelen van groene thee",
        "middel tegen hoest",
        "hardloopschoenen heren",
        "recept appeltaart",
        "hoe kan ik afvallen",
        "slaapproblemen",
    ),
    "pl": (
        "dlaczego niebo jest niebieskie",
        "jak długo gotować ryż",
        "ból głowy po treningu",
        "tania kurtka zimowa damska",
        "lot do warszawy",
        "najlepszy ekspres do kawy",
        "zielona herbata właściwości",
        "domowe sposoby na kaszel",
        "buty do biegania męskie",
        "przepis na szarlotkę",
        "jak schudnąć",
        "problemy ze snem",
    ),
    "pt": (
        "por que o céu é azul",
        "quanto tempo cozinhar o arroz",
        "dor de cabeça depois do exercício",
        "casaco de inverno barato",
        "voo para lisboa",
        "melhor máquina de café",
        "benefícios do chá verde",
        "remédio para tosse",
        "tênis de corrida masculino",
        "receita de torta de maçã",
        "como emagrecer",
        "problemas de sono",
    ),
    "tr": (
        "gökyüzü neden mavi",
        "pirinç ne kadar sürede pişer",
        "spordan sonra baş ağrısı",
        "ucuz kadın kışlık mont",
        "istanbul uçak bileti",
        "en iyi kahve makinesi",
        "yeşil çayın faydaları",
        "öksürük için doğal çözüm",
        "erkek koşu ayakkabısı",
        "elmalı turta tarifi",
        "nasıl kilo verilir",
        "uyku sorunları",
    ),
}
"""Twelve of each language, two to six words."""


def main() -> None:
    """Print a line for each detector and rule."""
    parser = argparse.ArgumentParser(description="Measure how well languages of queries are told apart.")
    parser.add_argument("files", nargs="+", type=Path, help="queries.jsonl with English queries")
    files = parser.parse_args().files
    english = {file.parent.name: _queries(file) for file in files}
    for name, likelihoods in _detectors():
        likelihoods("so that everything is loaded")
        began = time.perf_counter()
        mine = {each: [likelihoods(query) for query in queries] for each, queries in english.items()}
        others = {language: [likelihoods(query) for query in queries] for language, queries in QUERIES.items()}
        count = sum(map(len, mine.values())) + sum(map(len, others.values()))
        each_ms = (time.perf_counter() - began) / count * 1000
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {each_ms:.2f} ms a query, {memory:.0f} MB of this process so far")
        for least, times in RULES:
            wrong = [
                f"{sum(_other(found, least, times) is not None for found in each) / len(each):.1%} of {set_name}"
                for set_name, each in mine.items()
            ]
            right = sum(_other(found, least, times) == language for language, each in others.items() for found in each)
            whole = sum(map(len, others.values()))
            print(f"  {least:g}, {times:g} times: {right} of {whole} found; English lost: {', '.join(wrong)}")


def _other(found: Mapping[str, float], least: float, times: float) -> str | None:
    best = max(found, key=lambda language: found[language])
    is_clear = found[best] >= least and found[best] >= times * found[ENGLISH]
    return best if is_clear and best != ENGLISH else None


def _detectors() -> Iterator[tuple[str, Likelihoods]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    yield "py3langid", lambda text: {language: float(likely) for language, likely in identifier.rank(text)}
    if importlib.util.find_spec("lingua") is None:
        return
    from lingua import LanguageDetectorBuilder

    for name, builder in (
        ("lingua, low accuracy", LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode()),
        ("lingua", LanguageDetectorBuilder.from_all_languages()),
    ):
        yield name, _lingua(builder.build())


def _lingua(detector: Any) -> Likelihoods:
    return lambda text: {
        each.language.iso_code_639_1.name.lower(): each.value
        for each in detector.compute_language_confidence_values(text)
    }


def _queries(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in islice(lines, MOST)]


if __name__ == "__main__":
    main()
