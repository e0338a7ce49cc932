# The documents of bundles before their own validators: CycloneDX, SPDX, Croissant, Hugging Face's cards.
import json
import os
import pathlib

import pytest


@pytest.fixture(params=["full", "bare", "real"])
def bundle(request, bundles):
    if request.param not in bundles:
        pytest.skip("there is no smollm2.gguf in FREEHOLD_TEST_MODELS")
    return bundles[request.param]


def load(bundle, name):
    return json.loads((bundle / name).read_text())


def test_cyclonedx_is_valid(bundle):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (bundle / "documents" / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    # What the schema lets through.
    bom = json.loads(text)
    refs = [c["bom-ref"] for c in bom["components"]] + [bom["metadata"]["component"]["bom-ref"]]
    assert len(refs) == len(set(refs))
    for edge in bom["dependencies"]:
        assert edge["ref"] in refs and set(edge["dependsOn"]) <= set(refs)
    for entry in bom["metadata"]["component"]["modelCard"]["modelParameters"].get("datasets", []):
        assert entry["ref"] in refs
    for component in bom["components"]:
        for one in component.get("hashes", []):
            assert len(one["content"]) == 64


def test_cyclonedx_names_a_fault(full):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bom = load(full, "documents/bom.cdx.json")
    bom["metadata"]["component"]["type"] = "model"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is not None


def test_spdx_reads_by_its_own_model(bundle):
    from spdx_python_model import v3_0_1 as spdx

    objects = spdx.SHACLObjectSet()
    with (bundle / "documents" / "bom.spdx3.json").open("rb") as file:
        spdx.JSONLDDeserializer().read(file, objects)
    assert objects.link() == set(), "every reference leads to an element"
    models = list(objects.foreach_type("ai_AIPackage"))
    assert models and list(objects.foreach_type("SpdxDocument"))
    with pytest.raises(Exception):
        models[0].software_primaryPurpose = "no such purpose"


def spdx_folder():
    folder = os.environ.get("FREEHOLD_SPDX_FOLDER", "")
    if not folder:
        pytest.skip("FREEHOLD_SPDX_FOLDER does not name the schema and shapes that the SPDX project publishes")
    return pathlib.Path(folder)


def test_spdx_schema(bundle):
    import jsonschema

    schema = json.loads((spdx_folder() / "schema-v3.0.1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(load(bundle, "documents/bom.spdx3.json"))


@pytest.fixture(scope="module")
def shapes():
    import rdflib

    return rdflib.Graph().parse(spdx_folder() / "spdx-model-v3.0.1.jsonld", format="json-ld")


def violations(document, shapes):
    """What the shapes find in a document. The four individuals of the model itself break its own shapes; they are not ours."""
    import pyshacl
    import rdflib

    document["@context"] = json.loads((spdx_folder() / "spdx-context-v3.0.1.jsonld").read_text())["@context"]
    data = rdflib.Graph().parse(data=json.dumps(document), format="json-ld")
    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, ont_graph=shapes)
    return [f"{focus} {results.value(result, rdflib.SH.resultMessage)}"
            for result, focus in results.subject_objects(rdflib.SH.focusNode)
            if not str(focus).startswith("https://spdx.org/rdf/3.0.1/terms/")]


def test_spdx_shapes(bundle, shapes):
    assert violations(load(bundle, "documents/bom.spdx3.json"), shapes) == []


def test_spdx_shapes_name_a_fault(bare, shapes):
    document = load(bare, "documents/bom.spdx3.json")
    next(e for e in document["@graph"] if e["type"] == "Relationship")["relationshipType"] = "no-such-relation"
    next(e for e in document["@graph"] if e["type"] == "SpdxDocument").pop("creationInfo")
    assert len(violations(document, shapes)) >= 2


def test_spdx_has_what_the_text_of_its_profiles_asks_for(bundle):
    """Neither schema nor shapes look at this."""
    graph = load(bundle, "documents/bom.spdx3.json")["@graph"]
    document = next(e for e in graph if e["type"] == "SpdxDocument")
    need = {
        "ai_AIPackage": ("ai", ["name", "software_packageVersion", "software_downloadLocation", "software_primaryPurpose",
                                "releaseTime", "suppliedBy"]),
        "dataset_DatasetPackage": ("dataset", ["name", "software_downloadLocation", "software_primaryPurpose", "builtTime",
                                               "releaseTime", "originatedBy"]),
    }
    for element in graph:
        profile, keys = need.get(element["type"], ("", []))
        if profile in document["profileConformance"]:
            assert all(key in element for key in keys), element
            for kind in ("hasDeclaredLicense", "hasConcludedLicense"):
                found = [r for r in graph if r["type"] == "Relationship" and r["from"] == element["spdxId"]
                         and r["relationshipType"] == kind]
                assert len(found) == 1 and len(found[0]["to"]) == 1, (element["name"], kind)
    ids = [e["spdxId"] for e in graph if "spdxId" in e]
    assert len(ids) == len(set(ids))
    assert set(document["element"]) == set(ids) - {document["spdxId"]}


def test_the_card_is_read_by_hugging_face(bundle):
    from huggingface_hub import ModelCard

    card = ModelCard((bundle / "README.md").read_text())
    data = card.data.to_dict()
    assert "freehold-bundle" in data["tags"]
    assert card.text.strip().startswith("# ")


def test_the_full_card_says_everything(full):
    from huggingface_hub import ModelCard

    card = ModelCard((full / "README.md").read_text())
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == ["someone/base"]
    assert card.data.datasets == ["stories", "someone/named-only"]
    assert card.data.language == ["en", "no"], "a YAML reader makes a boolean of a bare no"
    assert card.data.eval_results[0].metric_value == 5.25
    assert "Gap" not in card.text.replace("**Gap** marks", "")


def test_data_cards(bundle):
    import mlcroissant

    cards = sorted((bundle / "documents" / "data").glob("*.croissant.json"))
    if not cards:
        pytest.skip("no data is named for this model")
    for card in cards:
        dataset = mlcroissant.Dataset(jsonld=str(card))
        assert not dataset.metadata.issues.errors, dataset.metadata.issues.errors


def test_records_are_read_through_the_data_card(full, facts, tmp_path):
    """The reader follows the card to the file, takes its digest and finds the columns."""
    import shutil

    import mlcroissant

    for name in ("stories", "held-out------"):
        assert (full / "documents" / "data").exists()
    shutil.copy(full / "documents" / "data" / "stories.croissant.json", tmp_path)
    shutil.copy(facts.parent / "train.csv", tmp_path)
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "stories.croissant.json"))
    rows = list(dataset.records("records-train.csv"))
    assert len(rows) == 2 and rows[0]["records-train.csv/text"] == b"Once upon a time"


def test_the_summary_shows_every_field_and_infers_no_answer(bundle):
    summary = load(bundle, "documents/training-content-summary.json")
    fields = {f["id"]: f for f in summary["fields"]}
    assert len(fields) > 25
    for field in ("2.3.used", "2.4.model", "2.5.synthetic", "3.1.code"):
        if fields[field]["answer"] is not None:
            assert fields[field]["by"] == "the provider"
    text = (bundle / "documents" / "training-content-summary.md").read_text()
    assert all(f"({name})" in text for name in fields)


def test_the_program_itself_has_a_bill_of_materials(tmp_path):
    """From what it links and what was compiled in; twice the same bytes."""
    import subprocess
    import sys

    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    program = pathlib.Path(os.environ["FREEHOLD_PROGRAM"])
    build = program.parents[2]
    if not (build / "build.ninja").exists():
        pytest.skip(f"{build} is no folder in which the program was built")
    script = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "sbom.py"
    for name in ("a.json", "b.json"):
        subprocess.run([sys.executable, script, build, program, tmp_path / name], check=True)
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = {part["name"] for part in json.loads(text)["components"]}
    assert {"libssl3", "libcli11-dev", "libstdc++-12-dev", "preact"} <= names, names
