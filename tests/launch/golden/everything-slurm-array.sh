#!/bin/bash
#SBATCH --job-name=late_fusion_lr_seed
#SBATCH --array=0-7%3
#SBATCH --partition=gpu
#SBATCH --account=project_1
#SBATCH --qos=short
#SBATCH --reservation=course
#SBATCH --time=26:30:00
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=6
#SBATCH --mem=20480M
#SBATCH --gres=gpu:a100_1g.10gb:2
#SBATCH --signal=B:USR1@300
#SBATCH --no-requeue
#SBATCH --open-mode=append
#SBATCH --output="/home/student/my project/logs/%A_%a.log"
#SBATCH --mail-user=student@example.org
#SBATCH --mail-type=BEGIN,END,FAIL

# SLURM warns this shell only, so it waits beside the command and hands signals on.
child= asked=
hand_on() { asked=$1; if [ -n "$child" ]; then kill -s "$1" "$child" 2>/dev/null; fi; }
trap 'hand_on USR1' USR1
trap 'hand_on USR2' USR2
trap 'hand_on TERM' TERM INT

export VIDCLS_JOB="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
export VIDCLS_JOB_START="$(date +%s)"
export VIDCLS_JOB_TIME_S=95400
# The profile's own lines.
module load python/3.12
ulimit -c 0
. '/scratch/student/a venv/bin/activate' || exit 1
set -u
export SCRATCH=/scratch/student
export OMP_NUM_THREADS=4
export GREETING='it'\''s "me"'
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
exit $code
