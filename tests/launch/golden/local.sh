#!/bin/bash
# late_fusion_lr_seed: one task on this machine

mkdir -p '/home/student/my project/logs' && cd '/home/student/my project/logs' && exec >>"$(uname -n)_$$".log 2>&1 </dev/null || exit 1

export VIDCLS_JOB="$(uname -n)_$$"
export VIDCLS_JOB_START="$(date +%s)"
set -u
export OMP_NUM_THREADS=4
export NOTE='it'\''s $5'
cd /home/student/project || exit 1

exec -- /opt/vidcls/bin/python -m vidcls train 'experiments/late fusion.yaml' optim.lr=3e-4
