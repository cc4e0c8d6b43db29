#!/bin/bash
#BSUB -J "late_fusion_lr_seed"
#BSUB -q c02516
#BSUB -app c02516_1g.10gb
#BSUB -W 4:00
#BSUB -n 4
# Memory counts per core: 4 x 4096 MB.
#BSUB -R "span[hosts=1] rusage[mem=4096MB]"
#BSUB -gpu "num=1:mode=exclusive_process"
#BSUB -wa USR1
#BSUB -wt 2
#BSUB -r
#BSUB -Q "75 138 140"
#BSUB -o "/home/student/my project/logs/%J.log"

export VIDCLS_JOB="$LSB_JOBID"
export VIDCLS_JOB_START="$(date +%s)"
export VIDCLS_JOB_TIME_S=14400
# The profile's own lines.
module load python3/3.12.7
module load cuda/12.8.1
. /work3/student/vidcls/venv/bin/activate || exit 1
set -u
export SCRATCH=/work3/student/vidcls
export OMP_NUM_THREADS=4
export NOTE='it'\''s $5'
cd /home/student/project || exit 1

exec -- /opt/vidcls/bin/python -m vidcls train 'experiments/late fusion.yaml' optim.lr=3e-4
