# What the tests against a live server share: small real models by our own pull, Python packages in a folder of their own,
# and one line of numbers at the end.
# shellcheck shell=bash

# fetch_test_models PROGRAM MODEL=FILE...: these in $FREEHOLD_TEST_MODELS, which is build/test-models and filled by pulls
# unless it is set already. What cannot be fetched is told; the tests that need it skip.
fetch_test_models() {
    local program=$1
    shift
    if [ -n "${FREEHOLD_TEST_MODELS:-}" ]; then
        echo "   Real models: $FREEHOLD_TEST_MODELS (FREEHOLD_TEST_MODELS)"
        return
    fi
    local folder=$PWD/build/test-models pair name file path
    mkdir -p "$folder"
    export FREEHOLD_TEST_MODELS=$folder
    for pair in "$@"; do
        name=${pair%%=*} file=${pair#*=}
        if [ -s "$folder/$file" ]; then continue; fi
        if FREEHOLD_HOME=$folder/store "$program" pull --quiet "$name"; then
            path=$(FREEHOLD_HOME=$folder/store "$program" show "$name" --path)
            ln -sfn "$path" "$folder/$file"
            echo "   Real model: $name is $folder/$file"
        else
            echo "   $name could not be fetched: the tests that need it will be skipped."
        fi
    done
}

# leave PASSED FAILED SKIPPED [WHY]: the last line, which ./test reads.
leave() {
    [ $# -lt 4 ] || echo "$4"
    printf '%d passed, %d failed, %d skipped\n' "$1" "$2" "$3"
    [ "$2" -eq 0 ]
    exit
}

# python_packages FOLDER REQUIREMENTS: a virtual environment with them, made again only when the list changes. Wheels
# only: nothing is compiled, and nothing of a package runs while it is installed.
python_packages() {
    local venv=$1 wanted=$2
    cmp -s "$wanted" "$venv/requirements.txt" && return 0
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" >"$venv.log" 2>&1 &&
        "$venv/bin/pip" --disable-pip-version-check -q install --only-binary :all: -r "$wanted" >>"$venv.log" 2>&1 &&
        cp "$wanted" "$venv/requirements.txt"
}

# count_junit FILE: "PASSED FAILED SKIPPED" of pytest's report.
count_junit() {
    python3 - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree

suites = list(tree.parse(sys.argv[1]).getroot().iter("testsuite"))
number = lambda name: sum(int(s.get(name, 0)) for s in suites)
bad = number("failures") + number("errors")
print(number("tests") - bad - number("skipped"), bad, number("skipped"))
PY
}
