#!/bin/bash
# slurm/single/down.sh DIR: end all jobs of the SLURM that up.sh started there, then its daemons, by their own pids.
set -u
dir=${1:?usage: down.sh DIR}
export SLURM_CONF=$dir/slurm.conf
jobs=$(timeout 5 squeue --noheader --format=%A 2>/dev/null | sort -u)
if [ -n "$jobs" ]; then
  timeout 10 scancel --signal=KILL --full $jobs 2>/dev/null
  timeout 10 scancel $jobs 2>/dev/null
  for _ in $(seq 50); do [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break; sleep 0.2; done
fi
pids=()
for file in "$dir"/slurmd.*.pid "$dir/slurmctld.pid" "$dir/munged.pid"; do
  pid=$(cat "$file" 2>/dev/null) || continue
  name=$(basename "$file") && name=${name%%.*}
  # A number may have gone to another program since.
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] && kill "$pid" && pids+=("$pid")
done
for _ in $(seq 50); do
  kill -0 "${pids[@]}" 2>/dev/null || exit 0
  sleep 0.1
done
kill -KILL "${pids[@]}" 2>/dev/null
exit 0
