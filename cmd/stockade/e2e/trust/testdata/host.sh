# Runs rsyslogd and sshd, where there is a configuration of them, with a /dev/log and a /run of their own.
# Without rsyslogd, /dev/log is the socket FOLDER/log.
#
#   unshare --mount --propagation private bash host.sh FOLDER
set -eu
dir=$1
mkdir -p "$dir/dev" "$dir/work"
mount --rbind /dev "$dir/dev"
mount -t tmpfs -o mode=755 tmpfs /dev
for node in null zero full random urandom tty ptmx; do
	: >"/dev/$node"
	mount --bind "$dir/dev/$node" "/dev/$node"
done
ln -s /proc/self/fd /dev/fd
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
rsyslogd= sshd= logger=
if [ -e "$dir/rsyslog.conf" ]; then
	rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/rsyslogd.pid" &
	rsyslogd=$!
else
	ln -s "$dir/log" /dev/log
fi
trap 'kill $rsyslogd $sshd $logger 2>/dev/null; wait; exit 0' TERM INT
for _ in $(seq 200); do
	[ -S /dev/log ] && break
	sleep 0.05
done
if [ -e "$dir/sshd_config" ]; then
	/usr/sbin/sshd -D -f "$dir/sshd_config" &
	sshd=$!
fi
# What is written to the pipe, root logs, with one program that lives on.
if [ -p "$dir/root" ]; then
	logger -u /dev/log -p authpriv.info -t sshd <"$dir/root" &
	logger=$!
fi
: >"$dir/ready"
wait
