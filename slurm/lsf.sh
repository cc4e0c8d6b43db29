#!/bin/sh
# One training on LSF: bsub < slurm/lsf.sh, with the experiment in SPEC: bsub -env "all, SPEC=experiments/cnn3d.yaml"
# The queue warns two minutes before the limit; vidcls saves, exits 75, and the job is queued again (-Q 75).
#BSUB -J vidcls
#BSUB -q gpuv100
#BSUB -W 1:00
#BSUB -n 4
#BSUB -R "span[hosts=1] rusage[mem=4GB]"
#BSUB -gpu "num=1:mode=exclusive_process"
#BSUB -wa USR1
#BSUB -wt 2
#BSUB -r
#BSUB -Q 75
#BSUB -o lsf-%J.log
# mem is per core: four cores ask for 16 GB in all.
[ -f .venv/bin/activate ] && . .venv/bin/activate
exec vidcls train "${SPEC:-experiments/late_fusion.yaml}"
