#!/usr/bin/env bash
# All measurements on a GPU, in at most 8 minutes, the most important steps first.
#
#     scripts/gpu_check.sh RESULTS [STEP ...]      steps: machine tests gpu paper quick small; all by default
#
# Every step has a time limit and writes RESULTS/<step>.log as it goes; RESULTS/summary.txt has a line for each. A step that
# fails or runs out of time does not stop the next. Needs python3 (PYTHON=) with what pyproject.toml lists, and
# pytest; the checkout itself is used, so nothing must be installed.
#
# Step `small` is Figure 3 with the `sound` preset on 48 voxels per side and UPDATES=300 updates, on the dataset in DATA=FOLDER
# (in the layout of a Medical Segmentation Decathlon task; a phantom by default). `quick` and `small` run ARMS="..." (all by
# default), as many jobs as fit (or JOBS=). SECONDS_IN_ALL=480 is what all steps together may take.
set -uo pipefail

(($# > 0)) || { sed -n '2,13p' "$0" >&2; exit 2; }
results=$(realpath -m "$1")
shift
steps=("$@")
((${#steps[@]})) || steps=(machine tests gpu paper quick small)
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
arms=${ARMS:-}
jobs=${JOBS:-}
updates=${UPDATES:-300}
data=${DATA:-phantom}
[ "$data" = phantom ] || data=$(realpath "$data")
deadline=$((SECONDS + ${SECONDS_IN_ALL:-480}))
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
mkdir -p "$results" && cd "$root" || exit 1

machine() {
  nvidia-smi || true
  "$python" -c 'import torch; print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name())'
}

tests() { # those that need a GPU, and the real command, which takes the GPU by itself
  "$python" -m pytest -q -p no:cacheprovider -n logical -m cuda
  local status=$?
  "$python" -m pytest -q -p no:cacheprovider -n logical tests/cli/test_command.py -k "every_task_pretrains or hand or resumed" ||
    status=$?
  return $status
}

paper() { benchmark paper; }

gpu() { benchmark gpu; }

benchmark() {
  "$python" scripts/benchmark.py --only "$1" --json "$results/benchmark-$1.json" --scratch "$scratch"
}

quick() { # all arms end to end, side by side on one GPU
  reproduce phantom quick
}

small() {
  local preset=$scratch/sound-48
  cp -r configs/presets/fig3/sound "$preset" &&
    sed -i 's/^  size: 96$/  size: 48/' "$preset/preset.yaml" &&
    sed -i -E "s/updates: [0-9]+/updates: $updates/; s/validations: [0-9]+/validations: 5/" \
      "$preset/pretrain.yaml" "$preset/finetune.yaml" || return 1
  reproduce "$data" "$preset" --fractions 0.05 0.25 1 --folds 0 1 --seeds 0
}

reproduce() { # data, preset, options; keeps the tables and what every run says of itself
  local data=$1 preset=$2 name status
  shift 2
  name=$(basename "$preset")
  timeout $((limit - 15)) "$python" -m sslmed reproduce fig3 --data "$data" --preset "$preset" "$@" ${arms:+--arms $arms} \
    ${jobs:+--jobs $jobs} --runs "$scratch/runs" --out "$scratch/out" --downloads "$scratch/data"
  status=$?
  [ ! -d "$scratch/out" ] || cp -r "$scratch/out/." "$results"
  (cd "$scratch/runs" && find . \( -name results.json -o -name run.log -o -name metrics.csv -o -name workflow.log \) \
    -path "*-$name/*" | tar -cJf "$results/runs-$name.tar.xz" -T -)
  rm -rf "$scratch/out"
  return $status
}

declare -A limits=([machine]=60 [tests]=140 [gpu]=100 [paper]=100 [quick]=100 [small]=240)
for step in "${steps[@]}"; do
  [ -n "${limits[$step]:-}" ] || { echo "$step: no such step; there are ${!limits[*]}" >&2; exit 2; }
done
export -f machine tests paper gpu benchmark quick small reproduce
export limit python data arms jobs updates results scratch

status=0
for step in "${steps[@]}"; do
  left=$((deadline - SECONDS))
  ((left > 20)) || { echo "$step: no time left" | tee -a "$results/summary.txt"; status=1; continue; }
  begin=$SECONDS limit=${limits[$step]}
  ((limit < left)) || limit=$left
  timeout --kill-after=5 "$limit" bash -c "$step" >"$results/$step.log" 2>&1
  code=$?
  ((code == 0)) || status=1
  echo "$step: status $code after $((SECONDS - begin)) s: $(tail -n 1 "$results/$step.log" | cut -c1-160)" | tee -a "$results/summary.txt"
done
exit $status
