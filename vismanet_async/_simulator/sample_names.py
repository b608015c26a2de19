"""Plausible Nordic names, places and numbers; every one of them invented, every check digit right."""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

__all__ = [
    "COUNTRIES",
    "FIRST_NAMES",
    "ITEM_WORDS",
    "LAST_NAMES",
    "Country",
    "ascii_name",
    "company_name",
    "item_name",
    "luhn_digit",
    "mod11_digit",
    "organisation_number",
    "person_name",
    "vat_number",
]

FIRST_NAMES = (
    "Åse", "Bjørn", "Camilla", "Dag", "Eva", "Finn", "Grete", "Håkon", "Ingrid", "Jörgen", "Kari", "Lars",
    "Märta",
    "Nils", "Oda", "Pål", "Ragnhild", "Søren", "Tuva", "Ulf", "Vigdis", "Wenche", "Yngve", "Øystein", "Ådne",
)  # fmt: skip
LAST_NAMES = (
    "Aas", "Bergström", "Dahl", "Engström", "Fjeld", "Grønli", "Haugen", "Ihle", "Järvinen", "Kjær",
    "Lindqvist",
    "Myhre", "Nygård", "Ødegård", "Pettersen", "Rønning", "Sjöberg", "Tveit", "Ulvestad", "Vik", "Wråkberg",
    "Åkesson",
)  # fmt: skip
_COMPANY_HEADS = (
    "Nordvik", "Fjellheim", "Østlandske", "Søndre", "Vestre", "Bjørnstad", "Kystnær", "Midnattsol",
    "Trollåsen",
    "Sjøgata", "Älvdal", "Mälarö", "Skärgårds", "Lyngby", "Rødovre", "Havnens", "Tromsø", "Ålesund", "Göta",
    "Vänern",
    "Hedmark", "Primär", "Storå", "Lillebælt", "Kattegat", "Skagen", "Polar", "Nordlys", "Fjord",
    "Granskog", "Ærø",
)  # fmt: skip
_COMPANY_TRADES = (
    "Elektro", "Bygg", "Transport", "Sjømat", "Regnskap", "Rør", "Maskin", "Trevare", "Data", "Eiendom",
    "Bakeri",
    "Energi", "Møbler", "Verksted", "Handel", "Fisk", "Kaffe", "Rådgivning", "Anlegg", "Maling", "Verktøy",
    "Frakt", "Tak",
)  # fmt: skip
ITEM_WORDS = (
    ("Skrue", "Bolt", "Mutter", "Kabel", "Rør", "Ventil", "Pumpe", "Filter", "Lampe", "Bryter", "Dør",
    "Hengsel", "Maling"),
    ("rustfri", "galvanisert", "blå", "grønn", "sort", "hvit", "lett", "tung", "smal", "bred", "isolert"),
    ("M6", "M8", "10 mm", "1/2 tomme", "230 V", "5 l", "2,5 m", "A4", "IP65", "XL", "60 W", "20 kg",
    "à 100 stk", "Ø12", "& co", "nr. 7", "C16"),
)  # fmt: skip


@frozen
class Country:
    """One Nordic country as the generated rows need it."""

    id: str
    name: str
    company_form: str
    currency: str
    dial: str
    places: tuple[tuple[str, str], ...]
    streets: tuple[str, ...]


COUNTRIES = (
    Country(
        "NO", "Norge", "AS", "NOK", "+47",
        (("0150", "Oslo"), ("5003", "Bergen"), ("7010", "Trondheim"), ("9008", "Tromsø"), ("6002",
        "Ålesund"), ("8006", "Bodø")),
        ("Storgata", "Kirkeveien", "Sjøgata", "Industriveien", "Åsveien", "Fjordgata"),
    ),
    Country(
        "SE", "Sverige", "AB", "SEK", "+46",
        (("111 20", "Stockholm"), ("411 03", "Göteborg"), ("211 20", "Malmö"), ("972 31", "Luleå"),
        ("702 11", "Örebro")),
        ("Storgatan", "Kyrkogatan", "Hamngatan", "Sjövägen", "Ängsvägen"),
    ),
    Country(
        "DK", "Danmark", "ApS", "DKK", "+45",
        (("1050", "København K"), ("8000", "Aarhus C"), ("9000", "Aalborg"), ("6700", "Esbjerg"), ("4600",
        "Køge")),
        ("Hovedgaden", "Havnegade", "Søndergade", "Møllevej", "Ågade"),
    ),
    Country(
        "FI", "Finland", "Oy", "EUR", "+358",
        (("00100", "Helsinki"), ("20100", "Turku"), ("33100", "Tampere"), ("90100", "Oulu"), ("65100",
        "Vaasa")),
        ("Hämeenkatu", "Satamakatu", "Kirkkokatu", "Järvitie"),
    ),
)  # fmt: skip


_LARGEST_DIGIT = 9


def mod11_digit(digits: str, weights: tuple[int, ...]) -> int | None:
    """Return the modulus-11 check digit, or None where the digits have none (remainder 10)."""
    check = -sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11
    return None if check > _LARGEST_DIGIT else check


def luhn_digit(digits: str) -> int:
    """Return the Luhn check digit that makes `digits` plus it valid."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return -sum(value // 10 + value % 10 for value in doubled) % 10


_MOD11_WEIGHTS = {"NO": (3, 2, 7, 6, 5, 4, 3, 2), "DK": (2, 7, 6, 5, 4, 3, 2), "FI": (7, 9, 10, 5, 8, 4, 2)}
_BASES = {"NO": 80_000_000, "DK": 2_000_000, "FI": 1_000_000}


@lru_cache(maxsize=4096)
def organisation_number(country: str, index: int) -> str:
    """Return a well-formed organisation number; different for different indexes below 300,000 or so.

    NO: nine digits, modulus 11. SE: ten digits, Luhn. DK (CVR) and FI (Y-tunnus): eight, modulus 11.
    """
    if country == "SE":
        digits = f"556{index % 1_000_000:06d}"
        return f"{digits[:6]}-{digits[6:]}{luhn_digit(digits)}"
    weights = _MOD11_WEIGHTS[country]
    width = len(weights)
    number = _BASES[country] + index * 2 % (9 * 10 ** (width - 1) - _BASES[country])
    while (check := mod11_digit(f"{number:0{width}d}", weights)) is None:
        number += 1  # even numbers are dealt out, so the odd neighbour is free
    return f"{number:0{width}d}-{check}" if country == "FI" else f"{number:0{width}d}{check}"


def vat_number(country: str, organisation: str) -> str:
    """Return the VAT registration number that goes with an organisation number."""
    digits = organisation.replace("-", "")
    if country == "SE":
        return f"SE{digits}01"
    return f"NO{digits}MVA" if country == "NO" else f"{country}{digits}"


def company_name(hashed: int, form: str) -> str:
    """Return an invented company name."""
    head = _COMPANY_HEADS[hashed % len(_COMPANY_HEADS)]
    trade = _COMPANY_TRADES[hashed // 31 % len(_COMPANY_TRADES)]
    return f"{head} {trade} {form}"


def person_name(hashed: int) -> tuple[str, str]:
    """Return an invented first and last name."""
    return FIRST_NAMES[hashed % len(FIRST_NAMES)], LAST_NAMES[hashed // 25 % len(LAST_NAMES)]


def item_name(hashed: int) -> str:
    """Return an invented item description."""
    first, second, third = ITEM_WORDS
    return f"{first[hashed % 13]} {second[hashed // 13 % 11]} {third[hashed // 143 % 17]}"


def ascii_name(text: str) -> str:
    """Return the text as it stands in an e-mail address."""
    plain = text.lower().translate(str.maketrans("åäæøöéàüñ", "aaaooeaun"))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())
