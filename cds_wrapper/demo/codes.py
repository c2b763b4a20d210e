"""The codes the demonstration speaks: what the vendor reads and what the synthetic population writes.

LOINC (Regenstrief Institute), SNOMED CT (SNOMED International), RxNorm (US National Library of Medicine) and
ICD-10-CM codes, named by system and code. The value sets are small and honest: enough for a demonstration,
not a terminology service.
"""

from __future__ import annotations

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
UCUM = "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"

TOTAL_CHOLESTEROL = ("2093-3", "14647-2")
HDL = ("2085-9", "14646-4")
SYSTOLIC = "8480-6"
DIASTOLIC = "8462-4"
PRESSURE_PANELS = ("85354-9", "55284-4")
BMI = ("39156-5",)
SMOKING_STATUS = ("72166-2",)
CREATININE = ("2160-0", "38483-4")

RESPIRATIONS = ("9279-1",)
SATURATION = ("59408-5", "2708-6")
OXYGEN_FLOW = "3151-8"
OXYGEN_SHARE = "3150-6"
PULSE = ("8867-4",)
ALERTNESS = ("67775-7", "80288-4")
TEMPERATURE = ("8310-5",)

EGFR_CURRENT = "98979-8"
"""CKD-EPI 2021, the formula without race that the PREVENT equations were fitted with."""

EGFR_RACE_ADJUSTED = ("48643-1", "88293-6", "48642-3", "62238-1", "33914-3")
"""MDRD and older CKD-EPI results, which depend on the race someone entered.

The demonstration vendor accepts them as synonyms, as real code bases do, and names the code it used; so the
wrapper has something true to warn about.
"""

EGFR = (EGFR_CURRENT, *EGFR_RACE_ADJUSTED)

SMOKING_YES = frozenset(
    {
        "449868002",
        "428041000124106",
        "77176002",
        "428071000124103",
        "428061000124105",
    }  # daily, some days, ...
)
SMOKING_NO = frozenset({"266919005", "8517006"})  # never, former
# 266927001 (unknown if ever smoked) stands in neither: unknown is not "no".

DIABETES_SNOMED = frozenset(
    {
        "73211009",  # diabetes mellitus
        "44054006",  # type 2
        "46635009",  # type 1
        "313436004",  # type 2 without complication
        "313435000",  # type 1 without complication
        "237599002",  # insulin-treated type 2
        "8801005",  # secondary
    }
)
DIABETES_ICD10CM = ("E08", "E09", "E10", "E11", "E13")
"""ICD-10-CM categories; a code below one of them counts (E11.9)."""

STATINS = {
    "83367": "atorvastatin",
    "41127": "fluvastatin",
    "6472": "lovastatin",
    "861634": "pitavastatin",
    "42463": "pravastatin",
    "301542": "rosuvastatin",
    "36567": "simvastatin",
}
"""RxNorm ingredient -> name. Products are recognised by the ingredient's name in their text."""

STATIN_PRODUCTS = frozenset({"316672"})
"""Simvastatin 10 MG: a widely used public sample spells its display wrong, so the name does not find it."""

ANTIHYPERTENSIVES = {
    "325646": "aliskiren",
    "17767": "amlodipine",
    "1202": "atenolol",
    "18867": "benazepril",
    "19484": "bisoprolol",
    "214354": "candesartan",
    "1998": "captopril",
    "20352": "carvedilol",
    "2409": "chlorthalidone",
    "2599": "clonidine",
    "3443": "diltiazem",
    "49276": "doxazosin",
    "3827": "enalapril",
    "298869": "eplerenone",
    "4316": "felodipine",
    "50166": "fosinopril",
    "5470": "hydralazine",
    "5487": "hydrochlorothiazide",
    "5764": "indapamide",
    "83818": "irbesartan",
    "6185": "labetalol",
    "29046": "lisinopril",
    "52175": "losartan",
    "6876": "methyldopa",
    "6918": "metoprolol",
    "7226": "nadolol",
    "31555": "nebivolol",
    "7417": "nifedipine",
    "321064": "olmesartan",
    "54552": "perindopril",
    "35208": "quinapril",
    "35296": "ramipril",
    "9997": "spironolactone",
    "73494": "telmisartan",
    "38454": "trandolapril",
    "10763": "triamterene",
    "69749": "valsartan",
    "11170": "verapamil",
}
"""RxNorm ingredient -> name. Loop diuretics (furosemide) are left out: mostly given for other reasons."""
