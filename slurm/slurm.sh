#!/bin/bash
# One training on SLURM: sbatch slurm/slurm.sh experiments/late_fusion.yaml optim.lr=3e-4
# The queue warns two minutes before the limit; vidcls saves, exits 75, and the job is queued again.
#SBATCH --job-name=vidcls
#SBATCH --time=01:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --gres=gpu:1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
set -u
[ -f .venv/bin/activate ] && . .venv/bin/activate
# The signal reaches this shell only, so it waits beside the training and hands the signal on.
vidcls train "$@" &
child=$!
trap 'kill -USR1 "$child"' USR1
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ "$code" -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
