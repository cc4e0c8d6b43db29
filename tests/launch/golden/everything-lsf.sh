#!/bin/bash
#BSUB -J "late_fusion_lr_seed"
#BSUB -q gpuv100
#BSUB -P project_1
#BSUB -U course
#BSUB -W 1:30
#BSUB -n 6
# Memory counts per core: 6 x 3414 MB.
#BSUB -R "span[hosts=1] rusage[mem=3414MB]"
#BSUB -gpu "num=2:mode=shared:gmodel=TeslaV100:mig=2/1"
#BSUB -wa USR1
#BSUB -wt 2
#BSUB -rn
#BSUB -o "/home/student/my project/logs/%J.log"
#BSUB -u student@example.org
#BSUB -B
#BSUB -N

export VIDCLS_JOB="$LSB_JOBID"
export VIDCLS_JOB_START="$(date +%s)"
export VIDCLS_JOB_TIME_S=5400
set -u
export GREETING='it'\''s "me"'
export OMP_NUM_THREADS=4
export NOTE='it'\''s $5'
cd /home/student/project || exit 1

exec -- /opt/vidcls/bin/python -m vidcls train 'experiments/late fusion.yaml' optim.lr=3e-4
