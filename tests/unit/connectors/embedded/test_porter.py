"""The stemmer; the expected stems are those of Lucene 10.5.1's PorterStemFilter."""

import pytest

from connectors.embedded.porter import stem

STEMS = """
generalizations gener|relational relat|conditional condit|rational ration|valency valenc|hesitancy hesit|digitizer digit
|conformably conform|radically radic|differently differ|vilely vile|analogously analog|vietnamization vietnam
|predication predic|operator oper|feudalism feudal|decisiveness decis|hopefulness hope|callousness callous
|formality formal|sensitivity sensit|sensibility sensibl|triplicate triplic|formative form|formalize formal
|electricity electr|electrical electr|hopeful hope|goodness good|revival reviv|allowance allow|inference infer
|airliner airlin|gyroscopic gyroscop|adjustable adjust|defensible defens|irritant irrit|replacement replac
|adjustment adjust|dependent depend|adoption adopt|homologou homolog|angularity angular
|homologous homolog|effective effect|bowdlerize bowdler|probate probat|rate rate|cease ceas|controlling control
|rolling roll|happy happi|sky sky|caresses caress|ponies poni|ties ti|caress caress|cats cat|feed feed
|plastered plaster|bled bled|motoring motor|sing sing|conflated conflat|troubled troubl|sized size|hopping hop
|tanned tan|falling fall|hissing hiss|fizzed fizz|failing fail|filing file|a a|is is|sea sea
"""


@pytest.mark.parametrize("pair", STEMS.replace("\n", "").split("|"))
def test_stems_are_those_of_lucene(pair: str) -> None:
    """Every step of the algorithm, with the two departures that its author made later."""
    word, expected = pair.split()
    assert expected == stem(word)
