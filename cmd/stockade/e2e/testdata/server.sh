# Runs rsyslogd and sshd as a host of their own would: in a private mount namespace with its own
# /dev/log, /run and accounts. The folder holds rsyslog.conf, sshd_config, passwd, shadow.
#
#   unshare --mount --propagation private bash server.sh FOLDER
set -eu
dir=$1
mkdir -p "$dir/dev" "$dir/log"
mount --rbind /dev "$dir/dev"
mount -t tmpfs -o mode=755 tmpfs /dev
for node in null zero full random urandom tty ptmx; do
	: >"/dev/$node"
	mount --bind "$dir/dev/$node" "/dev/$node"
done
mkdir /dev/pts /dev/shm
mount --rbind "$dir/dev/pts" /dev/pts
ln -s /proc/self/fd /dev/fd
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/shadow" /etc/shadow

rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/rsyslogd.pid" &
rsyslogd=$!
sshd=
trap 'kill $rsyslogd $sshd 2>/dev/null; wait; exit 0' TERM INT
for _ in $(seq 200); do
	[ -S /dev/log ] && break
	sleep 0.05
done
/usr/sbin/sshd -D -f "$dir/sshd_config" &
sshd=$!
wait
