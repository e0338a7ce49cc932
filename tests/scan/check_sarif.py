"""Holds reports in SARIF against the schema of SARIF 2.1.0 as others have made checks of it. Exit 0: all hold.

    check_sarif.py [--schema FILE] REPORT...
"""
import argparse
import json
import pathlib
import sys

import jsonschema
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

parser = argparse.ArgumentParser()
parser.add_argument("--schema", help="sarif-2.1.0.json; without it only the classes that were made of it check")
parser.add_argument("reports", nargs="+")
options = parser.parse_args()
schema = json.loads(pathlib.Path(options.schema).read_text()) if options.schema else None
bad = 0
for path in options.reports:
    report = json.loads(pathlib.Path(path).read_text())
    faults = []
    try:
        Sarif.model_validate(report)
    except ValueError as fault:
        faults.append(str(fault))
    if schema:
        validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
        faults += [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(report)]
    # What the schema cannot say (SARIF 2.1.0, 3.27.6 and 3.52.4): an index names the rule that ruleId names.
    for run in report["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
                faults.append(f"ruleIndex of {result['ruleId']}")
            # What is said of the whole subject has no place in it.
            place = result["locations"][0]["physicalLocation"] if result.get("locations") else {}
            region = place.get("region", {})
            if region.get("startLine", 1) < 1 or region.get("byteOffset", 0) < 0:
                faults.append(f"region of {result['ruleId']}")
    results = sum(len(run["results"]) for run in report["runs"])
    print(f"{pathlib.Path(path).name}: {results} results, {len(faults)} faults")
    for fault in faults[:10]:
        print("   ", fault[:500])
    bad += bool(faults)
sys.exit(bool(bad))
