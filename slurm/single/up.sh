#!/bin/bash
# slurm/single/up.sh DIR [PORT PORT PORT]: a real SLURM of two nodes on this machine, for tests and for trying things.
# Needs slurm-wlm and munge (Debian); root installs them if they are absent. All state is below DIR.
#   slurm/single/up.sh /tmp/slurm && . /tmp/slurm/env.sh && sinfo          slurm/single/down.sh /tmp/slurm
set -eu
dir=$(mkdir -p "${1:?usage: up.sh DIR [PORT PORT PORT]}" && cd "$1" && pwd)
ports=("${2:-16817}" "${3:-16818}" "${4:-16819}")
export SLURM_CONF=$dir/slurm.conf PATH=$PATH:/usr/sbin:/sbin

is_there() { type sbatch slurmctld slurmd munged; }
if ! is_there >"$dir/packages.log" 2>&1; then
  [ "$(id -u)" = 0 ] || { echo "no SLURM here: install slurm-wlm and munge"; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install --option DPkg::Lock::Timeout=900 --yes --no-install-recommends slurm-wlm munge; }
  # Test processes come here side by side: one installs, the others wait for it.
  exec {turn}>"${TMPDIR:-/tmp}/vidcls-slurm-packages.lock" && flock "$turn"
  { is_there || install || { apt-get update && install; }; } >>"$dir/packages.log" 2>&1 ||
    { echo "cannot install slurm-wlm and munge; see $dir/packages.log"; exit 1; }
  exec {turn}>&-
fi

# Credentials: a munge of our own, which no other service of this machine shares.
chmod go-w "$dir" && mkdir -p "$dir/munge" "$dir/state" "$dir/node1" "$dir/node2"
(umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
chmod 711 "$dir/munge"
munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munged.pid" \
  --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" </dev/null 2>>"$dir/packages.log"

# A busy machine is slow, not broken: the limits are long.
# Two nodes of one machine, told apart by name and port. A queued-again job waits until its old credential has
# expired, by default two minutes: cred_expire. Devices that exist everywhere stand for GPUs.
host=$(hostname -s) user=$(id -un)
cat >"$SLURM_CONF" <<C
ClusterName=single
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
PlugStackConfig=/dev/null
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=300
MessageTimeout=100
KillWait=60
MinJobAge=60
MaxArraySize=1001
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP
C
printf 'NodeName=node[1-2] Name=gpu File=/dev/%s\n' null zero >"$dir/gres.conf"
echo '# none' >"$dir/cgroup.conf"
printf 'export SLURM_CONF=%q\n' "$SLURM_CONF" >"$dir/env.sh"

slurmctld -f "$SLURM_CONF" </dev/null
for node in node1 node2; do slurmd -N $node -f "$SLURM_CONF" </dev/null; done
for _ in $(seq 1500); do
  [ "$(sinfo --noheader --states=idle --format=%D 2>/dev/null)" = 2 ] && { echo "up: . $dir/env.sh"; exit 0; }
  sleep 0.2
done
echo "not up after five minutes; see the logs in $dir"; exit 1
