#!/bin/bash
#SBATCH --job-name=late_fusion_lr_seed
#SBATCH --array=0-7
#SBATCH --time=04:00:00
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16384M
#SBATCH --gres=gpu:1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="/home/student/my project/logs/%A_%a.log"

# SLURM warns this shell only, so it waits beside the command and hands signals on.
child= asked=
hand_on() { asked=$1; if [ -n "$child" ]; then kill -s "$1" "$child" 2>/dev/null; fi; }
trap 'hand_on USR1' USR1
trap 'hand_on USR2' USR2
trap 'hand_on TERM' TERM INT

export VIDCLS_JOB="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
export VIDCLS_JOB_START="$(date +%s)"
export VIDCLS_JOB_TIME_S=14400
set -u
export OMP_NUM_THREADS=4
export NOTE='it'\''s $5'
cd /home/student/project || exit 1

/opt/vidcls/bin/python -m vidcls train 'experiments/late fusion.yaml' optim.lr=3e-4 &
child=$!
if [ -n "$asked" ]; then kill -s "$asked" "$child"; fi
# A signal ends `wait` early; the exit code is asked for once the command is gone.
until wait "$child"; ! kill -0 "$child" 2>/dev/null; do :; done
wait "$child"; code=$?
# bash reads -1 when signal and end coincide. 138 and 140: warned by USR1 or USR2 before the command listened.
case $code:$asked in -1:TERM) code=143 ;; -1:*|138:*|140:*) code=75 ;; esac
# 75: saved, and wants to go on.
if [ "$code" -eq 75 ]; then child=; scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
