package filter

import "strings"

// hostPrograms are programs of Unix hosts whose lines no device writes: a filter of devices does
// not look at them. A device that does not set a tag of its own is never called like one of them.
var hostPrograms = set(
	"CROND", "CRON", "cron", "crond", "anacron", "atd", "run-parts",
	"kernel", "systemd", "init", "runit", "openrc", "supervisord", "rsyslogd", "syslog-ng", "syslogd", "auditd", "augenrules",
	"sudo", "su", "sshd", "sshd-session", "sshd-auth", "dropbear", "login", "passwd", "useradd", "usermod", "userdel", "groupadd",
	"chpasswd", "polkitd", "pkexec", "gdm-password]", "unix_chkpwd", "agetty", "getty", "logger", "sftp-server", "internal-sftp",
	"dbus", "dbus-daemon", "dbus-broker", "dbus-broker-launch", "NetworkManager", "ModemManager", "wpa_supplicant", "hostapd",
	"avahi-daemon", "dhclient", "dhcpcd", "dhcpd", "dnsmasq", "dnsmasq-dhcp", "networkd-dispatcher", "radvd", "odhcpd", "netifd",
	"chronyd", "ntpd", "openntpd", "ntpdate", "named", "unbound", "nsd", "pdns_server", "pdns_recursor", "keepalived",
	"postfix", "master", "smtpd", "exim", "exim4", "sendmail", "sm-mta", "opendkim", "opendmarc", "spamd", "amavis", "rspamd", "clamd", "freshclam",
	"dovecot", "imap-login", "pop3-login", "imapd", "pop3d", "nginx", "apache", "apache2", "httpd", "lighttpd", "haproxy", "caddy", "traefik",
	"squid", "php-fpm", "vsftpd", "proftpd", "pure-ftpd", "mysqld", "mariadbd", "mariadb", "postgres", "postgresql", "redis", "redis-server", "mongod",
	"slapd", "smbd", "nmbd", "winbindd", "samba", "cupsd", "snmpd", "nfsd", "rpcbind", "rpc.mountd", "rpc.statd", "openvpn", "charon", "xl2tpd",
	"dockerd", "docker", "containerd", "podman", "conmon", "kubelet", "k3s", "etcd", "crio", "libvirtd", "virtqemud", "qemu-ga",
	"fail2ban", "fail2ban-server", "fail2ban.actions", "fail2ban.filter", "stockade", "crowdsec", "asterisk", "freeswitch", "kamailio",
	"snapd", "packagekitd", "PackageKit", "apt", "dnf", "yum", "unattended-upgrade", "smartd", "mdadm", "lvm", "multipathd", "irqbalance",
	"rtkit-daemon", "udisksd", "upowerd", "accounts-daemon", "thermald", "acpid", "bluetoothd", "gnome-shell", "pulseaudio", "Xorg",
	"zabbix_agentd", "zabbix_server", "telegraf", "node_exporter", "prometheus", "grafana", "grafana-server", "collectd", "monit", "puppet-agent",
)

// hostFamilies begin the names of further such programs.
var hostFamilies = []string{"systemd-", "postfix/", "postfix-", "docker/", "dovecot/", "gdm-", "snapd."}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// hostProgram reports whether an app name is that of a Unix host's program.
func hostProgram(app []byte) bool {
	if hostPrograms[string(app)] {
		return true
	}
	for _, f := range hostFamilies {
		if len(app) > len(f) && strings.HasPrefix(f, string(app[:1])) && string(app[:len(f)]) == f {
			return true
		}
	}
	return false
}
